/* SPDX-License-Identifier: Apache-2.0
 *
 * What commands that take a RECIPE share.
 */
#ifndef CORE_CLI_RECIPE_H
#define CORE_CLI_RECIPE_H

#include "cli/cli.h"
#include "recipe/compare.h"
#include "train/folder.h"

/* Loads the command's first argument with its --set options. */
GRAFT_MUST_USE enum graft_status recipe_load(const struct cli_args *args,
                                             struct settings **settings, struct error *e);
/* The same for a command that looks at model and data alone: settings_load_data. */
GRAFT_MUST_USE enum graft_status recipe_load_data(const struct cli_args *args,
                                                  struct settings **settings, struct error *e);
/* The same for a recipe with a `compare` section. */
GRAFT_MUST_USE enum graft_status recipe_load_compare(const struct cli_args *args,
                                                     struct settings_compare **compare,
                                                     struct error *e);
/* Has it one? False also for a recipe that cannot be read: loading it says why. */
bool recipe_is_compare(const struct cli_args *args);

/* What --resume and --overwrite ask for. */
GRAFT_MUST_USE enum graft_status recipe_mode(const struct cli_args *args, enum run_mode *mode,
                                             struct error *e);

/* cli_fail for what a recipe asked for: an error about one of its keys says where that stands.
 * `settings` may be NULL: no recipe was read. */
int recipe_fail(const struct settings *settings, struct error *e);

/* Before something is trained: the recipe's device computes rightly, or is refused (self_test). */
GRAFT_MUST_USE enum graft_status recipe_test_device(const struct settings *settings,
                                                    struct error *e);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What commands that take a RECIPE share.
 */
#ifndef CORE_CLI_RECIPE_H
#define CORE_CLI_RECIPE_H

#include "cli/cli.h"
#include "recipe/settings.h"

/* Loads the command's first argument with its --set options. */
GRAFT_MUST_USE enum graft_status recipe_load(const struct cli_args *args,
                                             struct settings **settings, struct error *e);

#endif

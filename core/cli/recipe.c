/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the recipe of a command line, and the test of its device.
 */
#include "cli/recipe.h"

#include "check/self_test.h"
#include "session/source.h"

#include <stdio.h>

enum { SET_LIMIT = 256 };

/* The --set texts of a command line. */
struct sets {
    const char *texts[SET_LIMIT];
    size_t count;
};

static enum graft_status find_sets(const struct cli_args *args, struct sets *sets, struct error *e)
{
    sets->count = cli_values(args, "set", sets->texts, SET_LIMIT);
    if (sets->count <= SET_LIMIT) return GRAFT_OK;
    return error_set(e, GRAFT_E_INVALID, "found %zu --set, at most %d are read", sets->count,
                     SET_LIMIT);
}

enum graft_status recipe_load(const struct cli_args *args, struct settings **settings,
                              struct error *e)
{
    struct sets sets;
    enum graft_status status = find_sets(args, &sets, e);
    if (status != GRAFT_OK) return status;
    return settings_load(args->arguments[0], sets.texts, sets.count, settings, e);
}

enum graft_status recipe_load_data(const struct cli_args *args, struct settings **settings,
                                   struct error *e)
{
    struct sets sets;
    enum graft_status status = find_sets(args, &sets, e);
    if (status != GRAFT_OK) return status;
    return settings_load_data(args->arguments[0], sets.texts, sets.count, settings, e);
}

enum graft_status recipe_load_compare(const struct cli_args *args,
                                      struct settings_compare **compare, struct error *e)
{
    struct sets sets;
    enum graft_status status = find_sets(args, &sets, e);
    if (status != GRAFT_OK) return status;
    return settings_compare_load(args->arguments[0], sets.texts, sets.count, compare, e);
}

bool recipe_is_compare(const struct cli_args *args)
{
    struct sets sets;
    return find_sets(args, &sets, NULL) == GRAFT_OK &&
           settings_is_compare(args->arguments[0], sets.texts, sets.count);
}

enum graft_status recipe_mode(const struct cli_args *args, enum run_mode *mode, struct error *e)
{
    bool resume = cli_flag(args, "resume"), overwrite = cli_flag(args, "overwrite");
    if (resume && overwrite)
        return error_set(e, GRAFT_E_INVALID, "--resume and --overwrite exclude each other");
    *mode = resume ? RUN_RESUME : overwrite ? RUN_OVERWRITE : RUN_NEW;
    return GRAFT_OK;
}

int recipe_fail(const struct settings *settings, struct error *e)
{
    if (settings != NULL) settings_locate(settings, e);
    return cli_fail(e);
}

static void testing(const char *device)
{
    fprintf(stderr, "testing %s, which takes a moment, before something is trained on it\n",
            device);
}

enum graft_status recipe_test_device(const struct settings *s, struct error *e)
{
    const struct device_request request = source_device(s, NULL);
    return self_test(&request, testing, e);
}

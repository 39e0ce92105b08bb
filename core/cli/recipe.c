/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the recipe of a command line, and the test of its device.
 */
#include "cli/recipe.h"

#include "check/self_test.h"
#include "session/source.h"

#include <stdio.h>

enum { SET_LIMIT = 256 };

static enum graft_status find_sets(const struct cli_args *args, const char *sets[SET_LIMIT],
                                   size_t *count, struct error *e)
{
    *count = cli_values(args, "set", sets, SET_LIMIT);
    if (*count <= SET_LIMIT) return GRAFT_OK;
    return error_set(e, GRAFT_E_INVALID, "found %zu --set, at most %d are read", *count, SET_LIMIT);
}

enum graft_status recipe_load(const struct cli_args *args, struct settings **settings,
                              struct error *e)
{
    const char *sets[SET_LIMIT];
    size_t count;
    enum graft_status status = find_sets(args, sets, &count, e);
    return status == GRAFT_OK ? settings_load(args->arguments[0], sets, count, settings, e)
                              : status;
}

enum graft_status recipe_load_data(const struct cli_args *args, struct settings **settings,
                                   struct error *e)
{
    const char *sets[SET_LIMIT];
    size_t count;
    enum graft_status status = find_sets(args, sets, &count, e);
    return status == GRAFT_OK ? settings_load_data(args->arguments[0], sets, count, settings, e)
                              : status;
}

int recipe_fail(const struct settings *settings, struct error *e)
{
    if (settings != NULL) settings_locate(settings, e);
    return cli_fail(e);
}

enum graft_status recipe_load_compare(const struct cli_args *args,
                                      struct settings_compare **compare, struct error *e)
{
    const char *sets[SET_LIMIT];
    size_t count;
    enum graft_status status = find_sets(args, sets, &count, e);
    return status == GRAFT_OK ? settings_compare_load(args->arguments[0], sets, count, compare, e)
                              : status;
}

bool recipe_is_compare(const struct cli_args *args)
{
    const char *sets[SET_LIMIT];
    size_t count;
    return find_sets(args, sets, &count, NULL) == GRAFT_OK &&
           settings_is_compare(args->arguments[0], sets, count);
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

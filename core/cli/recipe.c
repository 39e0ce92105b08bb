/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the recipe of a command line.
 */
#include "cli/recipe.h"

enum { SET_LIMIT = 256 };

enum graft_status recipe_load(const struct cli_args *args, struct settings **settings,
                              struct error *e)
{
    const char *sets[SET_LIMIT];
    size_t count = cli_values(args, "set", sets, SET_LIMIT);
    if (count > SET_LIMIT)
        return error_set(e, GRAFT_E_INVALID, "found %zu --set, at most %d are read", count,
                         SET_LIMIT);
    return settings_load(args->arguments[0], sets, count, settings, e);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * graft explain RECIPE: the effective recipe with where each value came from.
 */
#include "cli/recipe.h"

int command_explain(const struct cli_args *args)
{
    struct error e = {0};
    struct settings *settings = NULL;
    struct str text = {0};
    if (recipe_load(args, &settings, &e) != GRAFT_OK) return cli_fail(&e);
    enum graft_status status = settings_write_yaml(settings, NULL, true, &text, &e);
    settings_free(settings);
    if (status != GRAFT_OK) {
        str_free(&text);
        return cli_fail(&e);
    }
    return cli_print(&text);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * graft explain RECIPE: the effective recipe with where each value came from; of a comparison, the
 * recipe of each method.
 */
#include "cli/recipe.h"

static enum graft_status explain(const struct cli_args *args, struct str *text, struct error *e)
{
    struct settings *settings = NULL;
    enum graft_status status = recipe_load(args, &settings, e);
    if (status == GRAFT_OK) status = settings_write_yaml(settings, NULL, true, text, e);
    settings_free(settings);
    return status;
}

static enum graft_status explain_compare(const struct cli_args *args, struct str *text,
                                         struct error *e)
{
    struct settings_compare *compare = NULL;
    enum graft_status status = recipe_load_compare(args, &compare, e);
    if (status == GRAFT_OK) status = settings_compare_explain(compare, text, e);
    settings_compare_free(compare);
    return status;
}

int command_explain(const struct cli_args *args)
{
    struct error e = {0};
    struct str text = {0};
    enum graft_status status =
        recipe_is_compare(args) ? explain_compare(args, &text, &e) : explain(args, &text, &e);
    if (status != GRAFT_OK) {
        str_free(&text);
        return cli_fail(&e);
    }
    return cli_print(&text);
}

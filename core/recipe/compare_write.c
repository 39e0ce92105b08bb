/* SPDX-License-Identifier: Apache-2.0
 *
 * The effective comparison, with where each value came from.
 */
#include "recipe/compare.h"
#include "recipe/node.h"

static void put_source(const struct settings_compare *c, const struct node *node, struct str *out)
{
    char place[PLACE_SIZE];
    str_printf(out, "  # %s\n",
               node != NULL && node->type != NODE_NULL
                   ? place_text(c->owner->file, node->place, place)
                   : "default");
}

static void explain_section(const struct settings_compare *c, struct str *out)
{
    char number[32];
    str_puts(out, "compare:\n  methods:\n");
    for (size_t m = 0; m < c->method_count; m++) {
        str_printf(out, "    - {name: %s, lr: [", c->methods[m].name);
        for (size_t i = 0; i < c->methods[m].rates.count; i++)
            str_printf(out, "%s%s", i != 0 ? ", " : "",
                       format_f64(c->methods[m].rates.items[i], number));
        str_puts(out, "]}");
        put_source(c, c->methods[m].fragment, out);
    }
    str_puts(out, "  seeds: [");
    for (size_t i = 0; i < c->seeds.count; i++)
        str_printf(out, "%s%lld", i != 0 ? ", " : "", (long long)c->seeds.items[i]);
    str_puts(out, "]");
    put_source(c, node_get(c->section, "seeds"), out);
    str_puts(out, "  select_on: valid");
    put_source(c, node_get(c->section, "select_on"), out);
    str_printf(out, "  halving: %s", c->halving ? "true" : "false");
    put_source(c, node_get(c->section, "halving"), out);
    str_printf(out, "  allow_test_in_train: %s", c->allow_test_in_train ? "true" : "false");
    put_source(c, node_get(c->section, "allow_test_in_train"), out);
}

enum graft_status settings_compare_explain(const struct settings_compare *c, struct str *out,
                                           struct error *e)
{
    enum graft_status status = GRAFT_OK;
    explain_section(c, out);
    for (size_t m = 0; m < c->method_count && status == GRAFT_OK; m++) {
        struct settings *s = NULL;
        str_printf(out, "---  # %s, with its first rate and the first seed\n", c->methods[m].name);
        status = settings_compare_run(c, m, 0, 0, NULL, &s, e);
        if (status == GRAFT_OK) status = settings_write_yaml(s, NULL, true, out, e);
        settings_free(s);
    }
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The host's own keys of a method, for `graft plugin show`.
 */
#include "recipe/describe.h"

#include "recipe/schema.h"

#include <string.h>

void recipe_describe_kind(enum graft_plugin_kind kind, struct str *out)
{
    const struct schema *schema = kind == GRAFT_PLUGIN_ADAPTER ? &schema_adapter : &schema_core;
    const char *prefix = kind == GRAFT_PLUGIN_ADAPTER ? "" : plugin_kind_name(kind), *name;
    size_t width = 0;
    str_printf(out, "\nkeys of every %s:\n", plugin_kind_name(kind));
    for (size_t i = 0; i < schema->count; i++)
        if (schema_below(&schema->keys[i], prefix, &name) && strlen(name) > width)
            width = strlen(name);
    for (size_t i = 0; i < schema->count; i++)
        if (schema_below(&schema->keys[i], prefix, &name))
            str_printf(out, "%-*s  %s\n", (int)width, name, schema->keys[i].help);
}

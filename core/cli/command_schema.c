/* SPDX-License-Identifier: Apache-2.0
 *
 * graft schema: the JSON Schema of recipes, with the keys of every plugin that is found.
 */
#include "cli/cli.h"

#include "base/memory.h"
#include "recipe/json_schema.h"

int command_schema(const struct cli_args *args)
{
    struct error e = {0};
    struct plugin_list *list = NULL;
    (void)args;
    if (plugin_list_create(&list, &e) != GRAFT_OK) return cli_fail(&e);
    const struct plugin **plugins = mem_zalloc(list->count + 1, sizeof *plugins);
    for (size_t i = 0; plugins != NULL && i < list->count; i++) plugins[i] = list->items[i].plugin;
    json_t *schema = plugins != NULL ? recipe_json_schema(plugins, list->count) : NULL;
    mem_free(plugins);
    plugin_list_destroy(list);
    return cli_print_json(schema);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * graft plugin list, graft plugin show NAME.
 */
#include "cli/cli.h"

#include "base/memory.h"
#include "plugin/plugin.h"
#include "plugin/quote.h"
#include "plugin/search.h"
#include "recipe/describe.h"

#include <string.h>

static json_t *found_json(const struct plugin_found *item)
{
    if (item->plugin != NULL) {
        json_t *plugin = plugin_json(item->plugin);
        if (plugin != NULL) json_object_del(plugin, "options");
        return plugin;
    }
    return json_pack("{s:s, s:s*, s:s*}", "path", item->path, "refused", item->refusal, "hidden_by",
                     item->hidden_by);
}

static int print_list_json(const struct plugin_list *list)
{
    json_t *all = json_array();
    for (size_t i = 0; all != NULL && i < list->count; i++) {
        if (json_array_append_new(all, found_json(&list->items[i])) == 0) continue;
        json_decref(all);
        all = NULL;
    }
    return cli_print_json(all);
}

static int print_list(const struct plugin_list *list)
{
    struct str text = {0};
    for (size_t i = 0; i < list->count; i++) {
        const struct plugin_found *item = &list->items[i];
        const struct plugin *p = item->plugin;
        if (p != NULL)
            str_printf(&text, "%-9s  %-16s  %-8s  %s\n", plugin_kind_name(p->kind), p->name,
                       p->version, p->summary);
        else if (item->hidden_by != NULL)
            str_printf(&text, "hidden     %s by %s\n", item->path, item->hidden_by);
        else
            str_printf(&text, "refused    %s (%s)\n", item->refusal, item->path);
    }
    if (list->count == 0) str_puts(&text, "no plugin is found\n");
    return cli_print(&text);
}

int command_plugin_list(const struct cli_args *args)
{
    struct error e = {0};
    struct plugin_list *list = NULL;
    if (plugin_list_create(&list, &e) != GRAFT_OK) return cli_fail(&e);
    int status = cli_flag(args, "json") ? print_list_json(list) : print_list(list);
    plugin_list_destroy(list);
    return status;
}

static enum graft_status load_any(const char *name, const struct plugin **plugin, struct error *e)
{
    static const enum graft_plugin_kind kinds[] = {GRAFT_PLUGIN_ADAPTER, GRAFT_PLUGIN_OPTIMIZER,
                                                   GRAFT_PLUGIN_BACKEND};
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    enum graft_plugin_kind kind;
    const char *start;
    size_t length;
    if (search_split(name, &kind, &start, &length)) /* a file says its kind */
        return plugin_load(kind, name, NULL, plugin, e);
    for (size_t i = 0; i < KINDS; i++) { /* KIND-NAME */
        const char *word = plugin_kind_name(kinds[i]);
        if (strncmp(name, word, strlen(word)) == 0 && name[strlen(word)] == '-')
            return plugin_load(kinds[i], name + strlen(word) + 1, NULL, plugin, e);
    }
    struct error first = {0};
    char shown[QUOTE_SIZE];
    for (size_t i = 0; i < KINDS; i++) {
        struct error why = {0};
        char *path = NULL;
        enum graft_status status = plugin_find(kinds[i], name, NULL, &path, &why);
        mem_free(path);
        if (status == GRAFT_OK) return plugin_load(kinds[i], name, NULL, plugin, e);
        /* Of three "no such name" the one that has a suggestion says most. */
        if (i == 0 || (strstr(first.text, "did you mean") == NULL &&
                       strstr(why.text, "did you mean") != NULL))
            first = why;
    }
    if (first.status == GRAFT_E_INVALID && strstr(first.text, "did you mean") == NULL)
        return error_set(e, GRAFT_E_INVALID, "no plugin is named %s (graft plugin list shows all)",
                         quote_text(name, shown));
    *e = first;
    return first.status;
}

int command_plugin_show(const struct cli_args *args)
{
    struct error e = {0};
    const struct plugin *plugin = NULL;
    struct str text = {0};
    if (load_any(args->arguments[0], &plugin, &e) != GRAFT_OK) return cli_fail(&e);
    if (cli_flag(args, "json")) return cli_print_json(plugin_json(plugin));
    plugin_describe(plugin, &text);
    recipe_describe_kind(plugin->kind, &text);
    return cli_print(&text);
}

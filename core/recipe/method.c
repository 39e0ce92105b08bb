/* SPDX-License-Identifier: Apache-2.0
 *
 * Adapters and the optimizer: the host's keys by the core's tables, the rest by the plugin's own.
 * Names no plugin.
 */
#include "plugin/quote.h"
#include "recipe/read.h"

#include <stdio.h>
#include <string.h>

enum { ADAPTER_LIMIT = 64, GROUP_LIMIT = 64 };

/* One mapping that names a plugin. */
struct method {
    enum graft_plugin_kind kind;
    const struct schema *schema;
    const char *prefix; /* of the host's keys within the schema: "" or "optimizer" */
    const char *label;  /* for messages: "adapter", "adapter.1", "optimizer" */
    const struct node *map;
};

static const struct schema_key *host_key(const struct method *m, const char *key)
{
    const char *name;
    for (size_t i = 0; i < m->schema->count; i++)
        if (schema_below(&m->schema->keys[i], m->prefix, &name) && strcmp(name, key) == 0)
            return &m->schema->keys[i];
    return NULL;
}

static enum graft_status to_input(const struct loader *l, const struct node *node,
                                  struct option_input *in)
{
    static const enum option_input_type types[] = {
        OPTION_INPUT_NULL,   OPTION_INPUT_BOOL, OPTION_INPUT_INT, OPTION_INPUT_FLOAT,
        OPTION_INPUT_STRING, OPTION_INPUT_LIST, OPTION_INPUT_MAP};
    struct option_input *items = NULL;
    *in = (struct option_input){.key = node->key,
                                .type = types[node->type],
                                .b = node->b,
                                .i = node->i,
                                .f = node->f,
                                .s = node->text,
                                .count = node->count};
    in->place = read_place(l, node->place);
    if (in->place == NULL) return read_no_memory(l);
    if (node->key != NULL && (in->key_place = read_place(l, node->key_place)) == NULL)
        return read_no_memory(l);
    if (node->count != 0 && (items = arena_alloc(&l->s->arena, node->count, sizeof *items)) == NULL)
        return read_no_memory(l);
    in->items = items;
    for (const struct node *child = node->first; child != NULL; child = child->next) {
        enum graft_status status = to_input(l, child, items++);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

/* The plugin must leave the host's keys to the host. */
static enum graft_status check_keys(const struct loader *l, const struct method *m,
                                    const struct plugin *plugin)
{
    for (size_t i = 0; i < plugin->option_count; i++) {
        const struct graft_option *o = &plugin->options[i];
        const char *taken = host_key(m, o->key) != NULL                             ? o->key
                            : o->pattern != NULL && host_key(m, o->pattern) != NULL ? o->pattern
                                                                                    : NULL;
        if (taken != NULL)
            return error_set(l->e, GRAFT_E_INVALID,
                             "%s: option %s: this key is the host's: rename it in the plugin",
                             plugin->path, taken);
    }
    return GRAFT_OK;
}

static enum graft_status load_plugin(const struct loader *l, const struct method *m,
                                     const char *method, const struct plugin **plugin)
{
    const struct node *node = node_get(m->map, "method");
    char place[PLACE_SIZE];
    enum graft_status status = plugin_load(m->kind, method, NULL, plugin, l->e);
    if (status == GRAFT_OK) status = check_keys(l, m, *plugin);
    if (status != GRAFT_OK)
        return error_place(l->e, "%s: %s.method", place_text(l->s->file, node->place, place),
                           m->label);
    return GRAFT_OK;
}

/* Everything of the mapping that is not the host's goes to the plugin. */
static enum graft_status read_options(const struct loader *l, const struct method *m,
                                      const struct plugin *plugin, struct option_values **out)
{
    const char *also[64], *name, *place = read_place(l, m->map->place);
    struct option_request request = {
        .plugin = plugin, .path = m->label, .place = place, .also_known = also};
    struct option_input *inputs = arena_alloc(&l->s->arena, m->map->count + 1, sizeof *inputs);
    enum graft_status status;
    if (inputs == NULL || place == NULL) return read_no_memory(l);
    request.inputs = inputs;
    for (const struct node *child = m->map->first; child != NULL; child = child->next) {
        if (host_key(m, child->key) != NULL) continue;
        status = to_input(l, child, &inputs[request.count++]);
        if (status != GRAFT_OK) return status;
    }
    for (size_t i = 0; i < m->schema->count && request.also_count < 64; i++)
        if (schema_below(&m->schema->keys[i], m->prefix, &name)) also[request.also_count++] = name;
    return option_values_create(&request, out, l->e);
}

static enum graft_status read_group(const struct loader *l, const struct node *map,
                                    const char *label, struct settings_group *group)
{
    if (map->type != NODE_MAP)
        return read_refuse(l, map->place, label, "expected a mapping with a match");
    for (const struct node *child = map->first; child != NULL; child = child->next)
        if (schema_find(&schema_group, child->key, strlen(child->key)) == NULL)
            return read_refuse(l, child->key_place, label, "unknown key %s (known: %s)", child->key,
                               "match, lr_scale, weight_decay");
    group->weight_decay = l->s->optimizer.weight_decay;
    for (size_t i = 0; i < schema_group.count; i++) {
        const struct schema_key *row = &schema_group.keys[i];
        const struct node *node = node_get(map, row->path);
        char key[128];
        enum graft_status status;
        snprintf(key, sizeof key, "%s.%s", label, row->path);
        if (node != NULL && node->type != NODE_NULL)
            status = read_value(l, row, key, node, group);
        else if (row->required)
            status = read_refuse(l, map->place, key, "missing: %s", row->help);
        else
            status = read_default(l, row, key, group);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

static enum graft_status read_groups(const struct loader *l, const struct node *list)
{
    struct settings *s = l->s;
    enum graft_status status = GRAFT_OK;
    if (list == NULL || list->type == NODE_NULL) return GRAFT_OK;
    if (list->count > GROUP_LIMIT)
        return read_refuse(l, list->place, "optimizer.groups", "found %zu groups, at most %d",
                           list->count, GROUP_LIMIT);
    s->optimizer.groups = arena_alloc(&s->arena, list->count + 1, sizeof *s->optimizer.groups);
    if (s->optimizer.groups == NULL) return read_no_memory(l);
    for (const struct node *item = list->first; item != NULL && status == GRAFT_OK;
         item = item->next) {
        char label[64];
        snprintf(label, sizeof label, "optimizer.groups.%zu", s->optimizer.group_count);
        status = read_group(l, item, label, &s->optimizer.groups[s->optimizer.group_count++]);
    }
    return status;
}

enum graft_status read_optimizer(const struct loader *l, const struct node *map)
{
    struct method m = {GRAFT_PLUGIN_OPTIMIZER, &schema_core, "optimizer", "optimizer", map};
    struct settings *s = l->s;
    enum graft_status status = read_groups(l, node_get(map, "groups"));
    if (status == GRAFT_OK) status = load_plugin(l, &m, s->optimizer.method, &s->optimizer.plugin);
    return status == GRAFT_OK ? read_options(l, &m, s->optimizer.plugin, &s->optimizer.options)
                              : status;
}

static enum graft_status read_host_keys(const struct loader *l, const struct method *m,
                                        struct settings_adapter *a)
{
    for (size_t i = 0; i < m->schema->count; i++) {
        const struct schema_key *row = &m->schema->keys[i];
        const struct node *node = node_get(m->map, row->path);
        char label[128];
        enum graft_status status;
        snprintf(label, sizeof label, "%s.%s", m->label, row->path);
        if (node != NULL && node->type != NODE_NULL) {
            status = read_value(l, row, label, node, a);
            if (status == GRAFT_OK && (a->places.of[i] = read_place(l, node->place)) == NULL)
                status = read_no_memory(l);
        } else if (row->required) {
            status = read_refuse(l, m->map->place, label, "missing: %s", row->help);
        } else {
            status = read_default(l, row, label, a);
        }
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

/* Numbers of the model that are trained beside the method's own need a place in its file. */
static enum graft_status check_own(const struct loader *l, const struct method *m,
                                   const struct settings_adapter *a)
{
    static const char *const keys[] = {"bias", "modules_to_save"};
    const bool wanted[] = {a->bias != ADAPTER_BIAS_NONE, a->modules_to_save.count != 0};
    for (size_t i = 0; i < 2; i++) {
        const struct node *node = node_get(m->map, keys[i]);
        char label[64];
        if (!wanted[i] || node == NULL || plugin_trains_own(a->plugin, keys[i])) continue;
        snprintf(label, sizeof label, "%s.%s", m->label, keys[i]);
        return read_refuse(l, node->key_place, label,
                           "%s has no place in its file for the model's own numbers: leave it out",
                           a->method);
    }
    return GRAFT_OK;
}

static enum graft_status check_host_keys(const struct loader *l, const struct method *m,
                                         const struct settings_adapter *a)
{
    char label[64];
    const struct node *node;
    if (a->layers_pattern.count != 0 && a->layers_to_transform.count == 0 &&
        (node = node_get(m->map, "layers_pattern")) != NULL) {
        snprintf(label, sizeof label, "%s.layers_pattern", m->label);
        return read_refuse(l, node->key_place, label, "has no effect without layers_to_transform");
    }
    return GRAFT_OK;
}

static enum graft_status read_adapter(const struct loader *l, const struct node *map,
                                      const char *label, struct settings_adapter *a)
{
    struct method m = {GRAFT_PLUGIN_ADAPTER, &schema_adapter, "", label, map};
    char shown[QUOTE_SIZE];
    enum graft_status status;
    if (map->type != NODE_MAP)
        return read_refuse(l, map->place, label,
                           "found %s, expected a mapping with a method, as {method: NAME}",
                           node_show(map, shown));
    a->places.of = arena_alloc(&l->s->arena, schema_adapter.count, sizeof *a->places.of);
    if (a->places.of == NULL) return read_no_memory(l);
    if ((status = read_host_keys(l, &m, a)) != GRAFT_OK ||
        (status = check_host_keys(l, &m, a)) != GRAFT_OK ||
        (status = load_plugin(l, &m, a->method, &a->plugin)) != GRAFT_OK ||
        (status = check_own(l, &m, a)) != GRAFT_OK)
        return status;
    return read_options(l, &m, a->plugin, &a->options);
}

enum graft_status read_adapters(const struct loader *l, const struct node *node)
{
    struct settings *s = l->s;
    bool list = node->type == NODE_LIST;
    size_t count = list ? node->count : 1;
    if (count == 0 || count > ADAPTER_LIMIT)
        return read_refuse(l, node->place, "adapter", "found a list of %zu, expected 1 to %d",
                           count, ADAPTER_LIMIT);
    s->adapters = arena_alloc(&s->arena, count, sizeof *s->adapters);
    if (s->adapters == NULL) return read_no_memory(l);
    s->adapter_is_list = list;
    const struct node *item = list ? node->first : node;
    for (size_t i = 0; i < count; i++, item = item->next) {
        char label[32] = "adapter";
        if (list) snprintf(label, sizeof label, "adapter.%zu", i);
        s->adapter_count = i + 1; /* settings_free looks at this one, too */
        enum graft_status status = read_adapter(l, item, label, &s->adapters[i]);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Every key becomes a property with its help, its bounds and its default. The keys of a method
 * stand in a definition KIND-NAME, which "if method is NAME" chooses. What the reader takes for
 * "not given", null, is allowed where a key may be absent.
 */
#include "recipe/json_schema.h"

#include "plugin/check.h"
#include "recipe/schema.h"
#include "recipe/set.h"
#include "recipe/settings.h"

#include <stdio.h>
#include <string.h>

struct plugins {
    const struct plugin *const *items;
    size_t count;
};

static json_t *typed(const char *type)
{
    return json_pack("{s:s}", "type", type);
}

static json_t *one_or_list(const char *type)
{
    return json_pack("{s:[o, {s:s, s:o}]}", "anyOf", typed(type), "type", "array", "items",
                     typed(type));
}

/* The words, and true and false themselves where they are among them: YAML reads them so. */
static json_t *choice(const char *const *words)
{
    json_t *list = json_array();
    for (size_t i = 0; words[i] != NULL; i++) {
        json_array_append_new(list, json_string(words[i]));
        if (strcmp(words[i], "true") == 0) json_array_append_new(list, json_true());
        if (strcmp(words[i], "false") == 0) json_array_append_new(list, json_false());
    }
    return json_pack("{s:o}", "enum", list);
}

static json_t *bounded(const char *type, double min, double max)
{
    json_t *schema = typed(type);
    if (min < 0 || max > 0) {
        json_object_set_new(schema, "minimum", json_real(min));
        json_object_set_new(schema, "maximum", json_real(max));
    }
    return schema;
}

/* A default as the recipe would write it, as JSON; text where it is no JSON of its own. */
static json_t *default_of(const char *fallback)
{
    json_t *value = json_loads(fallback, JSON_DECODE_ANY, NULL);
    return value != NULL ? value : json_string(fallback);
}

static json_t *nullable(json_t *schema)
{
    return json_pack("{s:[o, o]}", "anyOf", schema, typed("null"));
}

static json_t *finished(json_t *schema, bool required, const char *help, const char *fallback)
{
    if (!required) schema = nullable(schema);
    if (schema == NULL) return NULL;
    json_object_set_new(schema, "description", json_string(help));
    if (fallback != NULL) json_object_set_new(schema, "default", default_of(fallback));
    return schema;
}

/* ---- objects ---- */

static json_t *new_object(void)
{
    return json_pack("{s:s, s:{}, s:[], s:b}", "type", "object", "properties", "required",
                     "additionalProperties", 0);
}

static void add_property(json_t *object, const char *name, json_t *schema, bool required)
{
    json_object_set_new(json_object_get(object, "properties"), name, schema);
    if (required) json_array_append_new(json_object_get(object, "required"), json_string(name));
}

/* ---- plugins ---- */

static json_t *option_value_schema(const struct graft_option *o)
{
    switch (o->type) {
    case GRAFT_OPTION_BOOL: return typed("boolean");
    case GRAFT_OPTION_INT: return bounded("integer", o->min, o->max);
    case GRAFT_OPTION_FLOAT: return bounded("number", o->min, o->max);
    case GRAFT_OPTION_CHOICE: return choice(o->choices);
    case GRAFT_OPTION_SITES: return one_or_list("string");
    default: return typed("string");
    }
}

static void add_options(json_t *object, const struct plugin *plugin)
{
    for (size_t i = 0; i < plugin->option_count; i++) {
        const struct graft_option *o = &plugin->options[i];
        bool required = o->fallback == NULL;
        add_property(object, o->key,
                     finished(option_value_schema(o), required, o->help, o->fallback), required);
        if (o->pattern == NULL) continue;
        json_t *map = json_pack("{s:s, s:o}", "type", "object", "additionalProperties",
                                option_value_schema(o));
        add_property(object, o->pattern,
                     finished(map, false, "the same for sites by pattern", NULL), false);
    }
}

/* Names of the plugins of a kind, or a file. */
static json_t *method_schema(const struct plugins *p, enum graft_plugin_kind kind, const char *also)
{
    json_t *names = json_array();
    if (also != NULL) json_array_append_new(names, json_string(also));
    for (size_t i = 0; i < p->count; i++)
        if (p->items[i] != NULL && p->items[i]->kind == kind)
            json_array_append_new(names, json_string(p->items[i]->name));
    return json_pack("{s:[{s:o}, {s:s, s:s}]}", "anyOf", "enum", names, "type", "string", "pattern",
                     "/");
}

/* ---- the core's tables ---- */

static json_t *core_object(const struct plugins *p, const struct schema *schema, const char *prefix,
                           enum graft_plugin_kind kind);

static json_t *row_schema(const struct plugins *p, const struct schema_key *row,
                          enum graft_plugin_kind kind)
{
    switch (row->type) {
    case SCHEMA_BOOL: return typed("boolean");
    case SCHEMA_INT: return bounded("integer", row->min, row->max);
    case SCHEMA_AUTO_INT:
        return json_pack("{s:[{s:s}, o]}", "anyOf", "const", "auto",
                         bounded("integer", row->min, row->max));
    case SCHEMA_FLOAT: return bounded("number", row->min, row->max);
    case SCHEMA_CHOICE: return choice(row->choices);
    case SCHEMA_CHOICES:
        return json_pack("{s:s, s:o, s:i, s:b}", "type", "array", "items", choice(row->choices),
                         "minItems", 1, "uniqueItems", 1);
    case SCHEMA_METHOD: return method_schema(p, kind, kind == GRAFT_PLUGIN_BACKEND ? "auto" : NULL);
    case SCHEMA_FILES:
    case SCHEMA_NAMES:
    case SCHEMA_TARGETS: return one_or_list("string");
    case SCHEMA_NUMBERS: return one_or_list("integer");
    case SCHEMA_RATES: return one_or_list("number");
    case SCHEMA_METHODS: return typed("array");
    case SCHEMA_GROUPS:
        return json_pack("{s:s, s:o}", "type", "array", "items",
                         core_object(p, &schema_group, "", kind));
    default: return typed("string");
    }
}

static void add_rows(json_t *object, const struct plugins *p, const struct schema *schema,
                     const char *prefix, enum graft_plugin_kind kind)
{
    const char *name;
    for (size_t i = 0; i < schema->count; i++) {
        const struct schema_key *row = &schema->keys[i];
        if (row->type != SCHEMA_MAP && schema_below(row, prefix, &name))
            add_property(
                object, name,
                finished(row_schema(p, row, kind), row->required, row->help, row->fallback),
                row->required);
    }
}

static json_t *core_object(const struct plugins *p, const struct schema *schema, const char *prefix,
                           enum graft_plugin_kind kind)
{
    json_t *object = new_object();
    if (object != NULL) add_rows(object, p, schema, prefix, kind);
    return object;
}

static const char *definition_name(const struct plugin *plugin, char out[128])
{
    snprintf(out, 128, "%s-%s", plugin_kind_name(plugin->kind), plugin->name);
    return out;
}

/* A mapping with a method: its keys are known when its plugin is. */
static json_t *method_object(const struct plugins *p, const struct schema *schema,
                             const char *prefix, enum graft_plugin_kind kind, json_t *definitions)
{
    json_t *object = core_object(p, schema, prefix, kind), *cases = json_array();
    if (object == NULL || cases == NULL) return NULL;
    json_object_del(object, "additionalProperties");
    for (size_t i = 0; i < p->count; i++) {
        const struct plugin *plugin = p->items[i];
        char name[128], reference[160];
        if (plugin == NULL || plugin->kind != kind) continue;
        json_t *own = core_object(p, schema, prefix, kind);
        if (own == NULL) return NULL;
        json_object_set_new(own, "description", json_string(plugin->summary));
        add_options(own, plugin);
        json_object_set_new(definitions, definition_name(plugin, name), own);
        snprintf(reference, sizeof reference, "#/$defs/%s", name);
        json_array_append_new(cases, json_pack("{s:{s:{s:{s:s}}, s:[s]}, s:{s:s}}", "if",
                                               "properties", "method", "const", plugin->name,
                                               "required", "method", "then", "$ref", reference));
    }
    json_object_set_new(object, "allOf", cases);
    return object;
}

/* ---- the whole ---- */

static json_t *reference(const char *place)
{
    return json_pack("{s:s}", "$ref", place);
}

static json_t *adapter_schema(void)
{
    return json_pack("{s:[o, {s:s, s:i, s:o}]}", "anyOf", reference("#/$defs/adapter"), "type",
                     "array", "minItems", 1, "items", reference("#/$defs/adapter"));
}

/* The rate may stand apart from its optimizer: in a comparison's `lr`. */
static json_t *optimizer_schema(const struct plugins *p, const char *prefix, json_t *definitions)
{
    json_t *object = method_object(p, &schema_core, prefix, GRAFT_PLUGIN_OPTIMIZER, definitions);
    const char *name;
    json_t *definition;
    json_object_set_new(object, "required", json_pack("[s]", "method"));
    json_object_foreach(definitions, name, definition)
    {
        if (strncmp(name, "optimizer-", 10) == 0)
            json_object_set_new(definition, "required", json_pack("[s]", "method"));
    }
    return object;
}

static json_t *map_schema(const struct plugins *p, const struct schema_key *row,
                          json_t *definitions)
{
    const char *short_member = set_short_form(row->path);
    if (strcmp(row->path, "adapter") == 0) {
        json_object_set_new(
            definitions, "adapter",
            method_object(p, &schema_adapter, "", GRAFT_PLUGIN_ADAPTER, definitions));
        return adapter_schema();
    }
    if (strcmp(row->path, "optimizer") == 0) return optimizer_schema(p, row->path, definitions);
    json_t *object = core_object(p, &schema_core, row->path, GRAFT_PLUGIN_BACKEND);
    if (short_member == NULL) return object;
    return json_pack("{s:[{s:s}, o]}", "anyOf", "type", "string", object);
}

/* A fragment: without a method, its optimizer has keys of a method that stands elsewhere. */
static json_t *fragment_schema(const struct plugins *p)
{
    json_t *object = core_object(p, &schema_method, "", GRAFT_PLUGIN_ADAPTER);
    for (size_t i = 0; object != NULL && i < schema_method.count; i++) {
        const struct schema_key *row = &schema_method.keys[i];
        if (row->type != SCHEMA_MAP) continue;
        json_t *map = strcmp(row->path, "adapter") == 0 ? adapter_schema()
                      : strcmp(row->path, "optimizer") == 0
                          ? json_pack("{s:s, s:{s:[s]}, s:o}", "type", "object", "if", "required",
                                      "method", "then", reference("#/properties/optimizer"))
                          : typed("object");
        add_property(object, row->path, finished(map, false, row->help, NULL), false);
    }
    return object;
}

static json_t *compare_schema(const struct plugins *p)
{
    json_t *object = core_object(p, &schema_compare, "", GRAFT_PLUGIN_ADAPTER);
    json_t *methods = json_object_get(json_object_get(object, "properties"), "methods");
    json_object_set_new(methods, "items", fragment_schema(p));
    return finished(object, false, "several methods on the same rows, for graft compare", NULL);
}

static bool map_is_required(const char *path)
{
    const char *name;
    if (strcmp(path, "adapter") == 0) return true;
    for (size_t i = 0; i < schema_core.count; i++)
        if (schema_core.keys[i].required && schema_below(&schema_core.keys[i], path, &name))
            return true;
    return false;
}

/* The object that holds the maps named "A" (the top) or "A.B" (below A's properties). */
static json_t *holder_of(json_t *top, const char *path, const char **name)
{
    const char *dot = strchr(path, '.');
    char outer[64];
    *name = path;
    if (dot == NULL) return top;
    *name = dot + 1;
    snprintf(outer, sizeof outer, "%.*s", (int)(dot - path), path);
    json_t *property = json_object_get(json_object_get(top, "properties"), outer);
    return json_array_get(json_object_get(property, "anyOf"), 0);
}

/* The methods of a comparison bring what the common part may lack. */
static void relax_for_compare(json_t *top)
{
    json_object_set_new(top, "if", json_pack("{s:[s]}", "required", "compare"));
    json_object_set_new(top, "else",
                        json_pack("{s:O, s:{s:{s:[s, s]}}}", "required",
                                  json_object_get(top, "required"), "properties", "optimizer",
                                  "required", "method", "lr"));
    json_object_set_new(top, "required", json_pack("[s, s]", "model", "data"));
}

json_t *recipe_json_schema(const struct plugin *const *plugins, size_t count)
{
    const struct plugins p = {plugins, count};
    json_t *top = new_object(), *definitions = json_object();
    if (top == NULL || definitions == NULL) {
        json_decref(top);
        json_decref(definitions);
        return NULL;
    }
    json_object_set_new(top, "$schema",
                        json_string("https://json-schema.org/draft/2020-12/schema"));
    json_object_set_new(top, "title", json_string("graft recipe"));
    for (size_t i = 0; i < schema_core.count; i++) {
        const struct schema_key *row = &schema_core.keys[i];
        const char *name;
        if (row->type != SCHEMA_MAP) continue;
        bool required = map_is_required(row->path);
        json_t *holder = holder_of(top, row->path, &name);
        add_property(holder, name,
                     finished(map_schema(&p, row, definitions), required, row->help, NULL),
                     required);
    }
    add_rows(top, &p, &schema_core, "", GRAFT_PLUGIN_BACKEND);
    add_property(top, "compare", compare_schema(&p), false);
    relax_for_compare(top);
    json_object_set_new(top, "$defs", definitions);
    return top;
}

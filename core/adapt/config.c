/* SPDX-License-Identifier: Apache-2.0
 *
 * adapter_config.json to the settings that a recipe's adapter section would give. A key that would
 * change the arithmetic and is not known is refused; keys that say "off" are passed over.
 */
#include "adapt/internal.h"

#include "base/json.h"
#include "file/paths.h"

#include <math.h>
#include <string.h>

struct reader {
    struct arena *arena;
    const char *path;
    struct error *e;
};

/* Keys that describe the file and change no arithmetic here, whatever they hold. */
static const char *const informational[] = {
    "peft_type",         "task_type",    "graft_method",   "base_model_name_or_path",
    "revision",          "peft_version", "inference_mode", "megatron_core",
    "qalora_group_size", "auto_mapping", "runtime_config"};

static const char *const host_keys[] = {"target_modules", "exclude_modules", "layers_to_transform",
                                        "layers_pattern"};
/* Also the host's, where the method's files have them. */
static const char *const own_keys[] = {"bias", "modules_to_save"};

static bool among(const char *key, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(key, keys[i]) == 0) return true;
    return false;
}

static bool says_off(const char *key, const json_t *value)
{
    if (json_is_null(value) || json_is_false(value)) return true;
    if (json_is_object(value)) return json_object_size(value) == 0;
    if (json_is_array(value)) return json_array_size(value) == 0;
    return strcmp(key, "bias") == 0 && json_is_string(value) &&
           strcmp(json_string_value(value), "none") == 0;
}

static bool plugin_has(const struct plugin *plugin, const char *key)
{
    for (size_t i = 0; i < plugin->option_count; i++)
        if (strcmp(plugin->options[i].key, key) == 0 ||
            (plugin->options[i].pattern != NULL && strcmp(plugin->options[i].pattern, key) == 0))
            return true;
    return false;
}

/* The one value that this key can have. */
static bool is_fixed(const struct graft_config_field *field, const json_t *value)
{
    json_t *fixed = NULL;
    /* What depends on the model shows in the shapes of the tensors. */
    if (field != NULL && field->json[0] == '$') return true;
    if (field == NULL ||
        json_read_bytes(field->json, strlen(field->json), &fixed, NULL) != GRAFT_OK)
        return false;
    bool same = json_is_number(value) && json_is_number(fixed)
                    ? fabs(json_number_value(value) - json_number_value(fixed)) == 0.0
                    : json_equal(value, fixed);
    json_decref(fixed);
    return same;
}

static bool to_input(const struct reader *r, const char *key, const json_t *value,
                     struct option_input *in)
{
    *in = (struct option_input){.key = key, .place = r->path};
    switch (json_typeof(value)) {
    case JSON_NULL: in->type = OPTION_INPUT_NULL; return true;
    case JSON_TRUE:
    case JSON_FALSE:
        in->type = OPTION_INPUT_BOOL;
        in->b = json_is_true(value);
        return true;
    case JSON_INTEGER:
        in->type = OPTION_INPUT_INT;
        in->i = json_integer_value(value);
        return true;
    case JSON_REAL:
        in->type = OPTION_INPUT_FLOAT;
        in->f = json_real_value(value);
        return true;
    case JSON_STRING:
        in->type = OPTION_INPUT_STRING;
        in->s = json_string_value(value);
        return true;
    case JSON_ARRAY:
    case JSON_OBJECT: break;
    }
    bool map = json_is_object(value);
    size_t count = map ? json_object_size(value) : json_array_size(value);
    struct option_input *items = arena_alloc(r->arena, count, sizeof *items);
    if (items == NULL) return false;
    in->type = map ? OPTION_INPUT_MAP : OPTION_INPUT_LIST;
    in->items = items;
    if (!map) {
        for (; in->count < count; in->count++)
            if (!to_input(r, NULL, json_array_get(value, in->count), &items[in->count]))
                return false;
        return true;
    }
    json_t *object = (json_t *)(uintptr_t)value; /* jansson's iterators want it so */
    for (void *it = json_object_iter(object); it != NULL; it = json_object_iter_next(object, it))
        if (!to_input(r, json_object_iter_key(it), json_object_iter_value(it), &items[in->count++]))
            return false;
    return true;
}

/* Then "rank_pattern" says what the file leaves out. */
static bool ranks(const struct plugin *plugin)
{
    const struct layer layer = {.functions = plugin->functions};
    const struct graft_adapter *f = adapt_later(&layer);
    return f != NULL && f->ranked != NULL;
}

static enum graft_status read_options(const struct reader *r, json_t *config,
                                      struct settings_adapter *a)
{
    size_t count = 0;
    struct option_input *inputs = arena_alloc(r->arena, json_object_size(config), sizeof *inputs);
    if (inputs == NULL) return error_memory(r->e, "the adapter's options", 0);
    for (void *it = json_object_iter(config); it != NULL; it = json_object_iter_next(config, it)) {
        const char *key = json_object_iter_key(it);
        const json_t *value = json_object_iter_value(it);
        if (plugin_has(a->plugin, key)) {
            if (!to_input(r, key, value, &inputs[count++]))
                return error_memory(r->e, "the adapter's options", 0);
            continue;
        }
        const struct graft_config_field *fixed = plugin_config_field(a->plugin, key);
        if (among(key, host_keys, 4) || (strcmp(key, "rank_pattern") == 0 && ranks(a->plugin)) ||
            (among(key, own_keys, 2) && plugin_trains_own(a->plugin, key)) ||
            among(key, informational, sizeof informational / sizeof informational[0]) ||
            (fixed == NULL && says_off(key, value)) || is_fixed(fixed, value))
            continue;
        if (fixed != NULL)
            return error_set(r->e, GRAFT_E_UNSUPPORTED,
                             "%s: %s: the %s of this version has %s alone", r->path, key, a->method,
                             fixed->json);
        return error_set(r->e, GRAFT_E_UNSUPPORTED,
                         "%s: %s is set; the %s of this version does not know it", r->path, key,
                         a->method);
    }
    struct option_request request = {
        .plugin = a->plugin, .path = "adapter", .place = r->path, .inputs = inputs, .count = count};
    return option_values_create(&request, &a->options, r->e);
}

static enum graft_status read_names(const struct reader *r, const json_t *value, struct names *out)
{
    size_t count = json_array_size(value);
    out->items = arena_alloc(r->arena, count, sizeof *out->items);
    if (out->items == NULL) return error_memory(r->e, "names", count);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(value, i));
        if (text == NULL)
            return error_set(r->e, GRAFT_E_INVALID, "%s: a list of names holds something else",
                             r->path);
        if ((out->items[i] = arena_strdup(r->arena, text)) == NULL)
            return error_memory(r->e, "names", count);
    }
    out->count = count;
    return GRAFT_OK;
}

static enum graft_status read_targets(const struct reader *r, const json_t *value,
                                      struct targets *out)
{
    if (json_is_array(value)) return read_names(r, value, &out->names);
    if (!json_is_string(value)) return GRAFT_OK;
    out->pattern = arena_strdup(r->arena, json_string_value(value));
    return out->pattern != NULL ? GRAFT_OK : error_memory(r->e, "a pattern", 0);
}

static enum graft_status read_layers(const struct reader *r, const json_t *value,
                                     struct numbers *out)
{
    size_t count = json_is_array(value) ? json_array_size(value) : json_is_integer(value);
    out->items = arena_alloc(r->arena, count, sizeof *out->items);
    if (out->items == NULL) return error_memory(r->e, "layers", count);
    for (size_t i = 0; i < count; i++)
        out->items[i] = json_integer_value(json_is_array(value) ? json_array_get(value, i) : value);
    out->count = count;
    return GRAFT_OK;
}

/* PEFT looks at the end of "lora_only" alone, and so do we. */
static enum graft_status read_bias(const struct reader *r, const json_t *value,
                                   struct settings_adapter *a)
{
    const char *text = json_is_string(value) ? json_string_value(value) : "none";
    size_t length = strlen(text);
    if (strcmp(text, "none") == 0)
        a->bias = ADAPTER_BIAS_NONE;
    else if (strcmp(text, "all") == 0)
        a->bias = ADAPTER_BIAS_ALL;
    else if (length > 5 && strcmp(text + length - 5, "_only") == 0)
        a->bias = ADAPTER_BIAS_ONLY;
    else
        return error_set(r->e, GRAFT_E_INVALID,
                         "%s: bias: found \"%s\", expected none, all or lora_only", r->path, text);
    a->bias_word = arena_strdup(r->arena, text);
    return a->bias_word != NULL ? GRAFT_OK : error_memory(r->e, "bias", length);
}

static enum graft_status read_own(const struct reader *r, const json_t *config,
                                  struct settings_adapter *a)
{
    enum graft_status status = GRAFT_OK;
    if (plugin_trains_own(a->plugin, "bias"))
        status = read_bias(r, json_object_get(config, "bias"), a);
    const json_t *modules = json_object_get(config, "modules_to_save");
    if (status == GRAFT_OK && plugin_trains_own(a->plugin, "modules_to_save") &&
        json_array_size(modules) != 0)
        status = read_names(r, modules, &a->modules_to_save);
    return status;
}

static const struct graft_adapter *functions_of(const struct plugin_found *found)
{
    if (found->plugin == NULL || found->plugin->kind != GRAFT_PLUGIN_ADAPTER) return NULL;
    return found->plugin->functions;
}

/* "IA3, LORA": what the found adapters read. */
static void list_types(const struct plugin_list *list, struct str *out)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct graft_adapter *f = functions_of(&list->items[i]);
        if (f != NULL && f->peft_type != NULL)
            str_printf(out, "%s%s", out->length != 0 ? ", " : "", f->peft_type);
    }
}

/* Among all adapters that can be found, the one of this peft_type. */
static enum graft_status find_type(const struct reader *r, const char *type,
                                   struct settings_adapter *a)
{
    struct plugin_list *list = NULL;
    struct str known = {0};
    enum graft_status status = plugin_list_create(&list, r->e);
    if (status != GRAFT_OK) return status;
    for (size_t i = 0; i < list->count && a->plugin == NULL; i++) {
        const struct graft_adapter *f = functions_of(&list->items[i]);
        if (f != NULL && f->peft_type != NULL && strcmp(f->peft_type, type) == 0)
            a->plugin = list->items[i].plugin;
    }
    if (a->plugin == NULL) {
        list_types(list, &known);
        status = error_set(r->e, GRAFT_E_INVALID,
                           "%s: peft_type: no adapter plugin reads %s; found are %s", r->path, type,
                           known.data != NULL ? known.data : "none");
        str_free(&known);
    }
    plugin_list_destroy(list);
    return status;
}

static bool is_hub(const json_t *config)
{
    return json_is_object(json_object_get(config, "config")) &&
           json_is_string(json_object_get(config, "version"));
}

/* The plugin of AdapterHub's bottleneck adapters. */
static enum graft_status find_hub(const struct reader *r, const json_t *config,
                                  struct settings_adapter *a)
{
    struct plugin_list *list = NULL;
    const json_t *kind = json_object_get(json_object_get(config, "config"), "architecture");
    if (json_is_string(kind))
        return error_set(r->e, GRAFT_E_UNSUPPORTED,
                         "%s: config.architecture: \"%s\"; of AdapterHub's adapters bottleneck "
                         "ones are read",
                         r->path, json_string_value(kind));
    enum graft_status status = plugin_list_create(&list, r->e);
    if (status != GRAFT_OK) return status;
    for (size_t i = 0; i < list->count && a->plugin == NULL; i++) {
        const struct graft_adapter *f = functions_of(&list->items[i]);
        if (f != NULL && f->layout == GRAFT_LAYOUT_ADAPTERHUB) a->plugin = list->items[i].plugin;
    }
    plugin_list_destroy(list);
    if (a->plugin == NULL)
        return error_set(r->e, GRAFT_E_INVALID,
                         "%s: no adapter plugin reads AdapterHub's bottleneck adapters", r->path);
    a->method = a->plugin->name;
    return GRAFT_OK;
}

/* The plugin that an adapter of the model's own weights names. */
static enum graft_status find_full(const struct reader *r, const char *method,
                                   struct settings_adapter *a)
{
    enum graft_status status = plugin_load(GRAFT_PLUGIN_ADAPTER, method, NULL, &a->plugin, r->e);
    if (status != GRAFT_OK) {
        error_place(r->e, "%s: graft_method", r->path);
        return status;
    }
    const struct graft_adapter *f = a->plugin->functions;
    if (f->layout != GRAFT_LAYOUT_FULL)
        return error_set(r->e, GRAFT_E_INVALID,
                         "%s: graft_method: %s keeps no weights of the model", r->path, method);
    a->method = a->plugin->name;
    return GRAFT_OK;
}

static enum graft_status find_plugin(const struct reader *r, const json_t *config,
                                     struct settings_adapter *a)
{
    const char *type = json_string_value(json_object_get(config, "peft_type"));
    const char *method = json_string_value(json_object_get(config, "graft_method"));
    if (type == NULL && is_hub(config)) return find_hub(r, config, a);
    if (type == NULL && method != NULL) return find_full(r, method, a);
    if (type == NULL)
        return error_set(r->e, GRAFT_E_INVALID, "%s: peft_type is missing; this is no PEFT adapter",
                         r->path);
    enum graft_status status = find_type(r, type, a);
    if (status == GRAFT_OK) a->method = a->plugin->name;
    return status;
}

enum graft_status adapt_read_config(const char *folder, struct arena *arena,
                                    struct settings_adapter *out, struct error *e)
{
    json_t *config = NULL;
    struct settings_adapter a = {.from_peft = true};
    struct reader r = {.arena = arena, .e = e};
    char *path = path_join(folder, "adapter_config.json");
    r.path = path != NULL ? arena_strdup(arena, path) : NULL;
    mem_free(path);
    if (r.path == NULL) return error_memory(e, "a path", strlen(folder));
    enum graft_status status = json_read_file(r.path, 1 << 20, &config, e);
    if (status == GRAFT_E_IO) status = e->status = GRAFT_E_INVALID;
    if (status == GRAFT_OK) status = find_plugin(&r, config, &a);
    if (status == GRAFT_OK)
        status = read_options(&r, is_hub(config) ? json_object_get(config, "config") : config, &a);
    if (status == GRAFT_OK) status = read_own(&r, config, &a);
    if (status == GRAFT_OK && plugin_config_field(a.plugin, "target_modules") == NULL)
        status = read_targets(&r, json_object_get(config, "target_modules"), &a.target_modules);
    if (status == GRAFT_OK)
        status = read_targets(&r, json_object_get(config, "exclude_modules"), &a.exclude_modules);
    if (status == GRAFT_OK)
        status =
            read_layers(&r, json_object_get(config, "layers_to_transform"), &a.layers_to_transform);
    if (status == GRAFT_OK && json_is_array(json_object_get(config, "layers_pattern")))
        status = read_names(&r, json_object_get(config, "layers_pattern"), &a.layers_pattern);
    json_decref(config);
    if (status != GRAFT_OK) {
        option_values_destroy(a.options);
        return status;
    }
    *out = a;
    return GRAFT_OK;
}

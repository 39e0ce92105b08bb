/* SPDX-License-Identifier: Apache-2.0
 *
 * PEFT's folder: adapter_config.json (indent 2, sorted keys) and adapter_model.safetensors with the
 * keys "base_model.model." SITE "." NAME. Trained weights of the model keep their own names, in
 * full.safetensors.
 */
#include "adapt/internal.h"

#include "base/json.h"
#include "file/atomic.h"
#include "file/paths.h"
#include "file/safetensors.h"
#include "graph/once.h"
#include "ref/quant.h"

#include <math.h>
#include <string.h>

static const char prefix[] = "base_model.model.", rank_pattern[] = "rank_pattern";

/* Writing */

static int put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value);
}

static json_t *names_json(const struct names *names)
{
    json_t *list = json_array();
    for (size_t i = 0; i < names->count; i++)
        json_array_append_new(list, json_string(names->items[i]));
    return list;
}

static json_t *targets_json(const struct targets *t)
{
    if (t->pattern != NULL) return json_string(t->pattern);
    return t->names.count != 0 ? names_json(&t->names) : json_null();
}

static json_t *numbers_json(const struct numbers *numbers)
{
    if (numbers->count == 0) return json_null();
    json_t *list = json_array();
    for (size_t i = 0; i < numbers->count; i++)
        json_array_append_new(list, json_integer(numbers->items[i]));
    return list;
}

/* The plugin's usual targets as a list; null where it takes every site of its kinds. */
static json_t *usual_json(const char *usual)
{
    if (usual == NULL) return json_null();
    json_t *list = json_array();
    for (const char *word = usual; *word != '\0';) {
        size_t n = strcspn(word, " ");
        json_array_append_new(list, json_stringn(word, n));
        word += n + (word[n] == ' ');
    }
    return list;
}

/* PEFT's config of this method has no such key. */
static bool lacks(const struct layer *layer, const char *key)
{
    const struct graft_config_field *f = plugin_config_field(layer->settings->plugin, key);
    return f != NULL && strcmp(f->json, GRAFT_CONFIG_IGNORED) == 0;
}

static json_t *sites_json(const struct layer *layer)
{
    json_t *list = json_array();
    for (size_t i = 0; i < layer->site_count; i++)
        json_array_append_new(list, json_string(layer->sites[i]->name));
    return list;
}

/* Keys that say "none" are left out: no method of PEFT knows all of them. */
static void put_targets(json_t *config, const struct adapt *a, const struct layer *layer)
{
    const struct settings_adapter *s = layer->settings;
    bool given = s->target_modules.pattern != NULL || s->target_modules.names.count != 0;
    bool excludes = s->exclude_modules.pattern != NULL || s->exclude_modules.names.count != 0;
    if ((excludes && lacks(layer, "exclude_modules")) ||
        (s->layers_to_transform.count != 0 && lacks(layer, "layers_to_transform"))) {
        put(config, "target_modules", sites_json(layer));
        return;
    }
    put(config, "target_modules",
        given ? targets_json(&s->target_modules) : usual_json(adapt_usual_targets(a, layer)));
    if (excludes) put(config, "exclude_modules", targets_json(&s->exclude_modules));
    if (s->layers_to_transform.count != 0)
        put(config, "layers_to_transform", numbers_json(&s->layers_to_transform));
    if (s->layers_pattern.count != 0) put(config, "layers_pattern", names_json(&s->layers_pattern));
}

static json_t *field_json(const struct adapt *a, const struct graft_config_field *f,
                          const char *base_name)
{
    const struct model_config *c = model_config(a->model);
    const struct {
        const char *word;
        int64_t number;
    } numbers[] = {{GRAFT_CONFIG_LAYERS, c->layers},
                   {GRAFT_CONFIG_HIDDEN, c->hidden},
                   {GRAFT_CONFIG_HEADS, c->heads},
                   {GRAFT_CONFIG_KV_HEADS, c->kv_heads},
                   {GRAFT_CONFIG_KV_SIZE, (int64_t)c->kv_heads * c->head_size}};
    json_t *value = NULL;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(f->json, numbers[i].word) == 0) return json_integer(numbers[i].number);
    if (strcmp(f->json, GRAFT_CONFIG_NAME) == 0) return json_string(base_name);
    if (json_read_bytes(f->json, strlen(f->json), &value, NULL) != GRAFT_OK) return json_null();
    return value;
}

static json_t *times(const json_t *number, double factor)
{
    double value = json_number_value(number) * factor;
    return json_is_integer(number) ? json_integer((json_int_t)llround(value)) : json_real(value);
}

enum graft_layout adapt_layout(const struct adapt *a, size_t adapter)
{
    return (enum graft_layout)a->layers[adapter].functions->layout;
}

/* In place of what the plugin's fields say of them. */
static void put_own(json_t *config, const struct settings_adapter *s)
{
    static const char *const biases[] = {"none", "all", "lora_only"};
    const char *word = s->bias_word != NULL ? s->bias_word : biases[s->bias];
    if (s->bias != ADAPTER_BIAS_NONE) put(config, "bias", json_string(word));
    if (s->modules_to_save.count != 0)
        put(config, "modules_to_save", names_json(&s->modules_to_save));
}

static json_t *config_json(const struct adapt *a, size_t index, const char *base_name)
{
    const struct settings_adapter *s = a->layers[index].settings;
    const struct graft_adapter *functions = a->layers[index].functions;
    json_t *config = option_values_json(s->options, true);
    if (config == NULL) return NULL;
    put(config, "base_model_name_or_path", json_string(base_name));
    if (functions->layout == GRAFT_LAYOUT_FULL) {
        put(config, "peft_type", json_null()); /* so that nobody takes it for PEFT's */
        put(config, "graft_method", json_string(s->method));
    } else {
        put(config, "peft_type", json_string(functions->peft_type));
        put(config, "task_type", json_string("CAUSAL_LM"));
        put(config, "inference_mode", json_true());
    }
    if (functions->layout != GRAFT_LAYOUT_PEFT_PROMPT) put_targets(config, a, &a->layers[index]);
    for (const struct graft_config_field *f = functions->fields; f != NULL && f->key != NULL; f++)
        if (strcmp(f->json, GRAFT_CONFIG_IGNORED) != 0)
            put(config, f->key, field_json(a, f, base_name));
    put_own(config, s);
    return config;
}

/* What the save function multiplies: an option's number and those of its patterns. */
static void scale_options(const struct adapt *a, size_t index, json_t *config)
{
    const struct plugin *plugin = a->layers[index].settings->plugin;
    for (size_t i = 0; i < a->scale_count; i++)
        for (size_t k = 0; k < plugin->option_count; k++) {
            const struct graft_option *o = &plugin->options[k];
            if (strcmp(o->key, a->scales[i].option) != 0) continue;
            put(config, o->key, times(json_object_get(config, o->key), a->scales[i].times));
            json_t *map = o->pattern != NULL ? json_object_get(config, o->pattern) : NULL;
            for (void *it = json_object_iter(map); it != NULL; it = json_object_iter_next(map, it))
                json_object_iter_set_new(map, it,
                                         times(json_object_iter_value(it), a->scales[i].times));
        }
}

static enum graft_status write_config(const struct adapt *a, size_t index, const char *folder,
                                      const char *base_name, json_t *pattern, struct error *e)
{
    struct str text = {0};
    bool hub = adapt_layout(a, index) == GRAFT_LAYOUT_ADAPTERHUB;
    json_t *config = hub ? hub_config(a, index, base_name) : config_json(a, index, base_name);
    char *path = path_join(folder, "adapter_config.json");
    enum graft_status status = GRAFT_OK;
    if (config != NULL) scale_options(a, index, config);
    if (config != NULL && pattern != NULL) put(config, rank_pattern, json_incref(pattern));
    if (config != NULL) json_write(&text, config, 2, true);
    str_putc(&text, '\n');
    if (config == NULL || path == NULL || text.failed)
        status = error_memory(e, "adapter_config.json", text.length);
    else
        status = atomic_write_file(path, text.data, text.length, e);
    json_decref(config);
    str_free(&text);
    mem_free(path);
    return status;
}

struct tensors {
    struct arena arena;
    struct tensor_view *views;
    size_t count;
    json_t *pattern; /* of what the file leaves out, or NULL */
};

static const char *file_name(const struct adapt *a, size_t adapter)
{
    switch (adapt_layout(a, adapter)) {
    case GRAFT_LAYOUT_ADAPTERHUB: return "adapter.safetensors";
    case GRAFT_LAYOUT_FULL: return "full.safetensors";
    case GRAFT_LAYOUT_PEFT:
    case GRAFT_LAYOUT_PEFT_PROMPT: break;
    }
    return "adapter_model.safetensors";
}

/* Shared ones go by their bare name. */
static const char *file_key(const struct adapt *a, const struct parameter *p, struct arena *arena)
{
    enum graft_layout layout = adapt_layout(a, p->adapter);
    if (layout == GRAFT_LAYOUT_ADAPTERHUB) return hub_key(p, arena);
    return p->site == NULL ? p->key : adapt_site_key(a, p->adapter, p->key, arena);
}

const char *adapt_site_key(const struct adapt *a, size_t adapter, const char *key,
                           struct arena *arena)
{
    return adapt_layout(a, adapter) == GRAFT_LAYOUT_FULL ? key
                                                         : arena_format(arena, "%s%s", prefix, key);
}

static enum graft_status read_parameters(const struct adapt *a, size_t index,
                                         const struct backend *backend, struct tensors *t,
                                         struct error *e)
{
    t->views = arena_alloc(&t->arena, a->parameter_count + a->saved_count, sizeof *t->views);
    if (t->views == NULL) return error_memory(e, "the adapter's tensors", a->parameter_count);
    for (size_t i = 0; i < a->parameter_count; i++) {
        const struct parameter *p = &a->parameters[i];
        if (p->adapter != index || p->unsaved) continue;
        void *data = arena_alloc(&t->arena, p->stored->bytes, 1);
        const char *name = file_key(a, p, &t->arena);
        if (data == NULL || name == NULL) return error_memory(e, p->key, p->stored->bytes);
        enum graft_status status = stored_read(p->stored, backend, data, p->stored->bytes, e);
        if (status != GRAFT_OK) return status;
        t->views[t->count++] = (struct tensor_view){.name = name,
                                                    .dtype = GRAFT_DTYPE_F32,
                                                    .shape = p->stored->shape,
                                                    .data = data,
                                                    .bytes = p->stored->bytes};
        ranked_thin(a, p, t->pattern, &t->views[t->count - 1]);
    }
    return GRAFT_OK;
}

/* Values that the plugin's save function computes for the file. */
static enum graft_status read_computed(struct adapt *a, struct once *once,
                                       const struct graph *graph, struct tensors *t,
                                       struct error *e)
{
    for (size_t i = 0; i < a->saved_count; i++) {
        struct graft_shape shape = graph_value(graph, a->saved[i].value)->shape;
        uint64_t bytes = dtype_bytes(GRAFT_DTYPE_F32, shape);
        void *data = arena_alloc(&t->arena, bytes, 1);
        if (data == NULL) return error_memory(e, a->saved[i].key, bytes);
        enum graft_status status = once_read(once, a->saved[i].value, data, bytes, e);
        if (status != GRAFT_OK) return status;
        t->views[t->count++] = (struct tensor_view){.name = a->saved[i].key,
                                                    .dtype = GRAFT_DTYPE_F32,
                                                    .shape = shape,
                                                    .data = data,
                                                    .bytes = bytes};
    }
    return GRAFT_OK;
}

/* Everything that goes into the file. */
static enum graft_status collect(struct adapt *a, size_t index, const struct backend *backend,
                                 struct tensors *t, struct error *e)
{
    struct graph *graph = NULL;
    struct once once = {0};
    struct store *scratch = NULL;
    enum graft_status status = graph_create(&graph, e);
    if (status != GRAFT_OK) return status;
    a->saved_count = a->scale_count = 0;
    a->saving = index;
    if (a->layers[index].functions->save != NULL) {
        status = store_create(&scratch, e);
        if (status == GRAFT_OK) {
            status = adapt_build(a, graph, scratch, PURPOSE_SAVE, e);
            adapt_call_save(a, index);
            adapt_end(a);
        }
        if (status == GRAFT_OK) status = graph_status(graph, e);
        graph_prune(graph);
        if (status == GRAFT_OK && a->saved_count != 0) status = once_run(&once, graph, backend, e);
    }
    if (status == GRAFT_OK) status = read_parameters(a, index, backend, t, e);
    if (status == GRAFT_OK) status = read_computed(a, &once, graph, t, e);
    once_end(&once);
    graph_destroy(graph);
    store_destroy(scratch);
    return status;
}

enum graft_status adapt_save(struct adapt *a, size_t index, const char *folder,
                             const char *base_name, const struct backend *backend, struct error *e)
{
    static const struct safetensors_pair metadata[] = {{"format", "pt"}};
    struct tensors t = {{0}, NULL, 0, NULL};
    char *path = path_join(folder, file_name(a, index));
    enum graft_status status = path != NULL ? ranked_pattern(a, index, backend, &t.pattern, e)
                                            : error_memory(e, "a path", strlen(folder));
    if (status == GRAFT_OK) status = collect(a, index, backend, &t, e);
    if (status == GRAFT_OK) status = write_config(a, index, folder, base_name, t.pattern, e);
    if (status == GRAFT_OK) status = safetensors_write(path, t.views, t.count, metadata, 1, e);
    mem_free(path);
    json_decref(t.pattern);
    arena_free(&t.arena);
    return status;
}

/* Reading */

struct source {
    struct safetensors *tensors;
    json_t *pattern; /* of what it leaves out, or NULL */
};

/* Does a tensor of this name belong under this key? */
static bool same_key(const struct adapt *a, const struct parameter *p, const char *name,
                     const char *key)
{
    return adapt_layout(a, p->adapter) == GRAFT_LAYOUT_ADAPTERHUB ? hub_same(name, key)
                                                                  : strcmp(name, key) == 0;
}

/* PEFT keeps whole modules as the model has them: in bf16, say. */
static enum graft_status write_floats(const struct stored *stored, const struct backend *backend,
                                      const struct tensor_view *view, struct error *e)
{
    if (view->dtype == GRAFT_DTYPE_F32)
        return stored_write(stored, backend, view->data, view->bytes, e);
    float *wide = mem_alloc(stored->bytes);
    if (wide == NULL) return error_memory(e, view->name, stored->bytes);
    dequantize_row(view->dtype, view->data, wide, graft_shape_count(view->shape));
    enum graft_status status = stored_write(stored, backend, wide, stored->bytes, e);
    mem_free(wide);
    return status;
}

static bool is_float(int32_t dtype)
{
    return dtype == GRAFT_DTYPE_F32 || dtype == GRAFT_DTYPE_F16 || dtype == GRAFT_DTYPE_BF16;
}

static enum graft_status load_parameter(const struct adapt *a, const struct parameter *p,
                                        const struct source *file, const struct backend *backend,
                                        struct error *e)
{
    struct arena arena = {0};
    const struct tensor_view *view = NULL;
    struct tensor_view whole = {0};
    const char *name = file_key(a, p, &arena);
    if (name == NULL) return error_memory(e, p->key, 0);
    for (size_t i = 0; i < safetensors_count(file->tensors) && view == NULL; i++)
        if (same_key(a, p, safetensors_tensor(file->tensors, i)->name, name))
            view = safetensors_tensor(file->tensors, i);
    enum graft_status status = GRAFT_OK;
    if (view != NULL && is_float(view->dtype)) {
        whole = *view;
        status = ranked_widen(a, p, file->pattern, &whole, &arena, e);
        view = &whole;
    }
    if (status != GRAFT_OK)
        ; /* memory */
    else if (view == NULL)
        status = error_set(e, GRAFT_E_INVALID, "%s is missing", name);
    else if (!is_float(view->dtype))
        status = error_set(e, GRAFT_E_INVALID, "%s is %s; F32, F16 and BF16 are read", name,
                           view->type_name);
    else if (memcmp(view->shape.dim, p->stored->shape.dim, sizeof view->shape.dim) != 0)
        status =
            error_set(e, GRAFT_E_INVALID, "%s is [%lld, %lld]; this recipe makes it [%lld, %lld]",
                      name, (long long)view->shape.dim[0], (long long)view->shape.dim[1],
                      (long long)p->stored->shape.dim[0], (long long)p->stored->shape.dim[1]);
    else
        status = write_floats(p->stored, backend, view, e);
    arena_free(&arena);
    return status;
}

static enum graft_status refuse_others(const struct adapt *a, size_t index,
                                       const struct safetensors *file, struct error *e)
{
    struct arena arena = {0};
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; i < safetensors_count(file) && status == GRAFT_OK; i++) {
        const char *name = safetensors_tensor(file, i)->name;
        bool known = false;
        for (size_t k = 0; k < a->parameter_count && !known; k++) {
            const struct parameter *p = &a->parameters[k];
            if (p->adapter != index || p->unsaved) continue;
            const char *key = file_key(a, p, &arena);
            if (key == NULL) status = error_memory(e, p->key, 0);
            known = key == NULL || same_key(a, p, name, key);
        }
        if (!known)
            status =
                error_set(e, GRAFT_E_INVALID,
                          "%s is in the file and not in the adapter that the recipe makes", name);
    }
    arena_free(&arena);
    return status;
}

/* Which entries the file leaves out, if its config says so. */
static enum graft_status read_pattern(const struct adapt *a, size_t index, const char *folder,
                                      json_t **pattern, struct error *e)
{
    const struct graft_adapter *f = adapt_later(&a->layers[index]);
    json_t *config = NULL;
    if (f == NULL || f->ranked == NULL) return GRAFT_OK;
    char *path = path_join(folder, "adapter_config.json");
    if (path == NULL) return error_memory(e, "a path", strlen(folder));
    enum graft_status status = json_read_file(path, 1 << 20, &config, e);
    if (status == GRAFT_OK) *pattern = json_incref(json_object_get(config, rank_pattern));
    json_decref(config);
    mem_free(path);
    return status;
}

enum graft_status adapt_load(struct adapt *a, size_t index, const char *folder,
                             const struct backend *backend, struct error *e)
{
    struct source file = {NULL, NULL};
    char *path = path_join(folder, file_name(a, index));
    if (path == NULL) return error_memory(e, "a path", strlen(folder));
    enum graft_status status = safetensors_open(path, &file.tensors, e);
    if (status == GRAFT_OK) {
        status = refuse_others(a, index, file.tensors, e);
        if (status == GRAFT_OK) status = read_pattern(a, index, folder, &file.pattern, e);
        for (size_t i = 0; i < a->parameter_count && status == GRAFT_OK; i++)
            if (a->parameters[i].adapter == index && !a->parameters[i].unsaved)
                status = load_parameter(a, &a->parameters[i], &file, backend, e);
        if (status != GRAFT_OK) error_place(e, "%s", path);
    }
    safetensors_close(file.tensors);
    json_decref(file.pattern);
    mem_free(path);
    return status;
}

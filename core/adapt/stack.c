/* SPDX-License-Identifier: Apache-2.0
 *
 * The stack at work: a site's wrap calls the topmost adapter that matched it; its base is the next
 * one below, and at last the frozen layer. Parameters are found by name; their first appearance
 * registers them.
 */
#include "adapt/internal.h"

#include "adapt/targets.h"
#include "base/random.h"

#include <string.h>

static struct parameter *find_parameter(struct adapt *a, size_t layer, const char *key)
{
    for (size_t i = 0; i < a->parameter_count; i++)
        if (a->parameters[i].adapter == layer && strcmp(a->parameters[i].key, key) == 0)
            return &a->parameters[i];
    return NULL;
}

static struct parameter *add_parameter(struct adapt *a, size_t layer, const char *key,
                                       const struct graft_param_desc *d)
{
    const char *name = a->layer_count > 1 ? arena_format(&a->arena, "%zu/%s", layer, key) : key;
    struct stored *stored = name != NULL ? store_add_trained(a->store, name, d->shape) : NULL;
    if (stored == NULL || !array_reserve(&a->parameters, &a->parameter_capacity,
                                         a->parameter_count + 1, sizeof *a->parameters))
        return NULL;
    struct parameter *p = &a->parameters[a->parameter_count++];
    *p = (struct parameter){.adapter = layer,
                            .key = key,
                            .stored = stored,
                            .init = d->init,
                            .scale = d->scale,
                            .unsaved = d->unsaved != 0};
    return p;
}

static bool same_shape(struct graft_shape a, struct graft_shape b)
{
    return a.rank == b.rank && memcmp(a.dim, b.dim, sizeof a.dim) == 0;
}

static graft_value hook_param(void *context, struct graft_builder *b,
                              const struct graft_param_desc *d)
{
    struct adapt *a = context;
    const struct frame *f = a->frame;
    if (d->frozen || d->site != &f->site) {
        graft_fail(b, "%s: frozen and shared parameters are not in this version", d->name);
        return (graft_value){0};
    }
    const char *key = arena_format(&a->arena, "%s.%s", f->site.name, d->name);
    struct parameter *p = key != NULL ? find_parameter(a, f->layer, key) : NULL;
    if (p == NULL && key != NULL && a->registering) p = add_parameter(a, f->layer, key, d);
    if (p == NULL) {
        if (key == NULL || a->registering)
            graph_fail(a->graph, GRAFT_E_MEMORY, "%s: not enough memory", d->name);
        else
            graft_fail(b, "%s: the plugin asks for it in one program and not in another", d->name);
        return (graft_value){0};
    }
    if (!same_shape(p->stored->shape, d->shape)) {
        graft_fail(b, "%s: asked for with two shapes", d->name);
        return (graft_value){0};
    }
    return graph_stored(a->graph, p->stored);
}

static graft_value call_from(struct adapt *a, size_t layers, const struct model_site *site,
                             graft_value x);

static graft_value hook_base(void *context, struct graft_builder *b, const void *site,
                             graft_value x)
{
    struct adapt *a = context;
    struct frame *f = a->frame;
    if (site != &f->site) {
        graft_fail(b, "graft_base takes the site that the adapter was called with");
        return (graft_value){0};
    }
    graft_value y = call_from(a, f->layer, f->model_site, x);
    a->frame = f;
    return y;
}

static graft_value hook_dropout(void *context, struct graft_builder *b, graft_value x, double rate)
{
    struct adapt *a = context;
    struct frame *f = a->frame;
    if (!a->mode.training) return x;
    struct random_key key =
        random_key(a->seed, RANDOM_DROPOUT, (uint32_t)f->layer, f->site.name, f->dropouts++);
    union graft_params p = {.dropout = {.rate = rate}};
    memcpy(p.dropout.key, key.word, sizeof p.dropout.key);
    graft_value inputs[4] = {x, a->mode.row, a->mode.token, a->mode.step};
    return b->api->op(b, GRAFT_OP_DROPOUT, inputs, 4, &p);
}

/* The site as the adapters below number `layers` make it. */
static graft_value call_from(struct adapt *a, size_t layers, const struct model_site *site,
                             graft_value x)
{
    size_t index = (size_t)(site - a->sites);
    while (layers > 0 && !a->layers[layers - 1].matched[index]) layers--;
    if (layers == 0) return model_linear(a->graph, site, x);
    struct layer *layer = &a->layers[layers - 1];
    struct graft_builder *b = graph_builder(a->graph);
    struct error e = {0};
    struct frame frame = {.site = {.struct_size = sizeof frame.site,
                                   .layer = site->layer,
                                   .name = site->name,
                                   .in_features = site->in_features,
                                   .out_features = site->out_features,
                                   .has_bias = site->bias != NULL},
                          .model_site = site,
                          .layer = layers - 1,
                          .outer = a->frame};
    if (option_values_for_site(layer->settings->options, site->name, layer->filled, &e) !=
        GRAFT_OK) {
        graph_fail(a->graph, e.status, "%s", e.text);
        return x;
    }
    a->frame = &frame;
    graft_value y = layer->functions->linear(b, layer->filled, &frame.site, x);
    a->frame = frame.outer;
    return y;
}

static graft_value wrap_linear(void *context, struct graph *graph, const struct model_site *site,
                               graft_value x)
{
    struct adapt *a = context;
    (void)graph;
    return call_from(a, a->layer_count, site, x);
}

struct model_wrap adapt_begin(struct adapt *a, struct graph *graph, const struct adapt_mode *mode)
{
    struct graph_hooks hooks = {
        .context = a, .param = hook_param, .base = hook_base, .dropout = hook_dropout};
    a->graph = graph;
    a->mode = *mode;
    graph_set_hooks(graph, &hooks);
    return (struct model_wrap){.context = a, .linear = wrap_linear};
}

void adapt_end(struct adapt *a)
{
    graph_set_hooks(a->graph, NULL);
    a->graph = NULL;
}

/* Calls every adapter at every site on a made-up x, so that all parameters are known before any
 * program is built, in an order that is the model's own. */
static enum graft_status register_parameters(struct adapt *a, struct error *e)
{
    struct graph *graph = NULL;
    struct store *scratch = NULL;
    enum graft_status status = store_create(&scratch, e);
    if (status == GRAFT_OK) status = graph_create(&graph, e);
    if (status == GRAFT_OK) {
        struct adapt_mode mode = {.training = false};
        struct model_wrap wrap = adapt_begin(a, graph, &mode);
        a->registering = true;
        for (size_t i = 0; i < a->site_count; i++) {
            struct graft_shape shape = graft_shape2(1, a->sites[i].in_features);
            graph_set_place(graph, a->sites[i].name);
            wrap.linear(wrap.context, graph, &a->sites[i],
                        graph_stored(graph, store_add(scratch, STORE_INPUT, "x", GRAFT_DTYPE_F32,
                                                      shape, GRAFT_ROWS_FIXED)));
        }
        a->registering = false;
        status = graph_status(graph, e);
        adapt_end(a);
    }
    graph_destroy(graph);
    store_destroy(scratch);
    return status;
}

/* In a recipe a pattern without effect is a mistake; in a PEFT folder it may have a history. */
static enum graft_status check_patterns(struct adapt *a, const struct layer *layer, struct error *e)
{
    const struct settings_adapter *settings = layer->settings;
    if (settings->places.of == NULL || !option_values_has_patterns(settings->options))
        return GRAFT_OK;
    const char **names = arena_alloc(&a->arena, a->site_count, sizeof *names);
    size_t count = 0;
    if (names == NULL) return error_memory(e, "an adapter", a->site_count);
    for (size_t i = 0; i < a->site_count; i++)
        if (layer->matched[i]) names[count++] = a->sites[i].name;
    return option_values_check_patterns(settings->options, names, count, e);
}

static enum graft_status set_up_layer(struct adapt *a, size_t index,
                                      const struct settings_adapter *settings, struct error *e)
{
    struct layer *layer = &a->layers[index];
    size_t words = settings->plugin->options_size / sizeof(max_align_t) + 1;
    layer->settings = settings;
    layer->functions = settings->plugin->functions;
    layer->matched = arena_alloc(&a->arena, a->site_count, sizeof *layer->matched);
    layer->filled = arena_alloc(&a->arena, words, sizeof(max_align_t));
    if (layer->matched == NULL || layer->filled == NULL)
        return error_memory(e, "an adapter", a->site_count);
    if (layer->functions->linear == NULL)
        return error_set(e, GRAFT_E_INVALID,
                         "%s acts on no linear layer, and this graft knows no "
                         "other site yet",
                         settings->method);
    enum graft_status status = targets_match(settings, a->sites, a->site_count, layer->matched, e);
    return status == GRAFT_OK ? check_patterns(a, layer, e) : status;
}

enum graft_status adapt_create(const struct settings_adapter *adapters, size_t count,
                               const struct model *model, struct store *store, uint64_t seed,
                               struct adapt **out, struct error *e)
{
    struct adapt *a = mem_zalloc(1, sizeof *a);
    if (a == NULL) return error_memory(e, "the adapters", sizeof *a);
    a->model = model;
    a->sites = model_sites(model, &a->site_count);
    a->store = store;
    a->seed = seed;
    a->layer_count = count;
    a->layers = arena_alloc(&a->arena, count, sizeof *a->layers);
    enum graft_status status =
        a->layers == NULL ? error_memory(e, "the adapters", count) : GRAFT_OK;
    for (size_t i = 0; i < count && status == GRAFT_OK; i++) {
        status = set_up_layer(a, i, &adapters[i], e);
        if (status != GRAFT_OK) {
            if (count > 1)
                error_place(e, "adapter.%zu", i);
            else
                error_place(e, "adapter");
        }
    }
    if (status == GRAFT_OK) {
        status = register_parameters(a, e);
        if (status != GRAFT_OK) error_place(e, "adapter");
    }
    if (status == GRAFT_OK && a->parameter_count == 0)
        status = error_set(e, GRAFT_E_INVALID, "adapter: it has no parameter to train");
    if (status != GRAFT_OK) {
        adapt_destroy(a);
        return status;
    }
    *out = a;
    return GRAFT_OK;
}

void adapt_destroy(struct adapt *a)
{
    if (a == NULL) return;
    mem_free(a->parameters);
    arena_free(&a->arena);
    mem_free(a);
}

size_t adapt_count(const struct adapt *a)
{
    return a->layer_count;
}

bool adapt_wraps_head(const struct adapt *a)
{
    for (size_t l = 0; l < a->layer_count; l++)
        for (size_t i = 0; i < a->site_count; i++)
            if (a->layers[l].matched[i] && a->sites[i].layer < 0) return true;
    return false;
}

int64_t adapt_parameters(const struct adapt *a)
{
    int64_t total = 0;
    for (size_t i = 0; i < a->parameter_count; i++)
        total += graft_shape_count(a->parameters[i].stored->shape);
    return total;
}

size_t adapt_sites(const struct adapt *a)
{
    size_t total = 0;
    for (size_t l = 0; l < a->layer_count; l++)
        for (size_t i = 0; i < a->site_count; i++) total += a->layers[l].matched[i];
    return total;
}

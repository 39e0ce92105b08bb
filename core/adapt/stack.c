/* SPDX-License-Identifier: Apache-2.0
 *
 * The stack at work: a site's wrap calls the topmost adapter that matched it; its base is the next
 * one below, and at last the frozen part. Parameters are found by name; their first appearance
 * registers them.
 */
#include "adapt/internal.h"

#include "adapt/targets.h"

#include <math.h>
#include <string.h>

/* ---- one call ---- */

static graft_value frozen(struct adapt *a, const struct model_site *site,
                          const struct model_scope *scope, const graft_value *in)
{
    switch (site->kind) {
    case GRAFT_SITE_LINEAR: return model_linear(a->graph, site, in[0]);
    case GRAFT_SITE_NORM: return model_norm(a->graph, site, in[0], (graft_value){0});
    case GRAFT_SITE_ATTENTION:
        return model_attention(scope, site, &(struct model_heads){in[0], in[1], in[2]}, in[3],
                               in[4]);
    case GRAFT_SITE_BLOCK: return graft_add(graph_builder(a->graph), in[0], in[2]);
    case GRAFT_SITE_EMBEDDING: break;
    }
    return in[0];
}

static struct graft_rows_change rows_of(const struct layer *layer)
{
    struct graft_rows_change change = {.struct_size = sizeof change};
    if (layer->functions->rows != NULL)
        layer->functions->rows(option_values_get(layer->settings->options), &change);
    return change;
}

/* The id of the adapter's first virtual token. */
static int64_t first_virtual(const struct adapt *a, size_t layer)
{
    int64_t first = model_config(a->model)->vocab;
    for (size_t l = 0; l < layer; l++) first += rows_of(&a->layers[l]).virtual_tokens;
    return first;
}

static void fill_site(const struct adapt *a, const struct model_site *site, struct frame *f)
{
    const struct model_config *c = model_config(a->model);
    f->as.site = (struct graft_site){.kind = (int32_t)site->kind,
                                     .layer = site->layer,
                                     .layers = (int32_t)c->layers,
                                     .name = site->name,
                                     .struct_size = sizeof f->as.linear};
    switch (site->kind) {
    case GRAFT_SITE_LINEAR: f->as.linear = a->linears[site - a->sites]; break;
    case GRAFT_SITE_NORM:
        f->as.site.struct_size = sizeof f->as.norm;
        f->as.norm.size = site->in_features;
        f->as.norm.eps = site->eps;
        break;
    case GRAFT_SITE_EMBEDDING:
        f->as.site.struct_size = sizeof f->as.embedding;
        f->as.embedding.vocab = site->in_features;
        f->as.embedding.hidden = site->out_features;
        f->as.embedding.first_virtual = first_virtual(a, f->layer);
        break;
    case GRAFT_SITE_BLOCK:
        f->as.site.struct_size = sizeof f->as.block;
        f->as.block.hidden = site->in_features;
        f->as.block.part = site->part;
        break;
    case GRAFT_SITE_ATTENTION: {
        const struct graft_linear_site *q = &a->linears[site->sibling - a->sites];
        f->as.site.struct_size = sizeof f->as.attention;
        f->as.attention.hidden = site->in_features;
        f->as.attention.heads = c->heads;
        f->as.attention.kv_heads = c->kv_heads;
        f->as.attention.head_size = c->head_size;
        f->as.attention.scale = 1.0 / sqrt(c->head_size);
        f->as.attention.q_proj = q;
        f->as.attention.k_proj = q + 1;
        f->as.attention.v_proj = q + 2;
        f->as.attention.o_proj = q + 3;
        break;
    }
    }
}

static graft_value call_plugin(struct adapt *a, const struct layer *layer, struct frame *f,
                               const graft_value *in)
{
    struct graft_builder *b = graph_builder(a->graph);
    const struct graft_adapter *fn = layer->functions;
    switch (f->model_site->kind) {
    case GRAFT_SITE_LINEAR: return fn->linear(b, layer->filled, &f->as.linear, in[0]);
    case GRAFT_SITE_NORM: return fn->norm(b, layer->filled, &f->as.norm, in[0]);
    case GRAFT_SITE_EMBEDDING:
        return fn->embedding(b, layer->filled, &f->as.embedding, in[1], in[0]);
    case GRAFT_SITE_ATTENTION:
        return fn->attention(b, layer->filled, &f->as.attention, in[0], in[1], in[2]);
    case GRAFT_SITE_BLOCK: break;
    }
    return fn->block(b, layer->filled, &f->as.block, in[0], in[1], in[2]);
}

graft_value adapt_call(struct adapt *a, size_t layers, const struct model_site *site,
                       const struct model_scope *scope, const graft_value *in)
{
    size_t index = (size_t)(site - a->sites);
    while (layers > 0 && !a->layers[layers - 1].matched[index] &&
           a->layers[layers - 1].own[index] == 0)
        layers--;
    if (layers == 0) return frozen(a, site, scope, in);
    struct layer *layer = &a->layers[layers - 1];
    if (!layer->matched[index]) return adapt_own(a, layers - 1, site, in);
    struct error e = {0};
    struct frame frame = {
        .model_site = site, .scope = scope, .layer = layers - 1, .outer = a->frame};
    fill_site(a, site, &frame);
    if (site->kind == GRAFT_SITE_ATTENTION) {
        frame.pk = in[3];
        frame.pv = in[4];
    }
    if (option_values_for_site(layer->settings->options, site->name, layer->filled, &e) !=
        GRAFT_OK) {
        graph_fail(a->graph, e.status, "%s", e.text);
        return in[0];
    }
    a->frame = &frame;
    graft_value y = call_plugin(a, layer, &frame, in);
    a->frame = frame.outer;
    return y;
}

graft_value adapt_base(struct adapt *a, size_t layer, const struct model_site *site,
                       const struct model_scope *scope, const graft_value *in)
{
    if (a->layers[layer].own[site - a->sites] != 0) return adapt_own(a, layer, site, in);
    return adapt_call(a, layer, site, scope, in);
}

/* ---- the wrap ---- */

static graft_value wrap_one(void *context, struct graph *graph, const struct model_site *site,
                            graft_value x)
{
    struct adapt *a = context;
    (void)graph;
    return adapt_call(a, a->layer_count, site, NULL, &x);
}

static graft_value wrap_embedding(void *context, struct graph *graph, const struct model_site *site,
                                  graft_value ids, graft_value x)
{
    struct adapt *a = context;
    graft_value in[2] = {x, ids};
    (void)graph;
    for (size_t l = 0; l < a->layer_count; l++)
        if (a->layers[l].matched[site - a->sites] || a->layers[l].own[site - a->sites] != 0)
            in[0] = adapt_call(a, l + 1, site, NULL, in);
    return in[0];
}

static graft_value wrap_attention(void *context, const struct model_scope *scope,
                                  const struct model_site *site, const struct model_heads *heads)
{
    struct adapt *a = context;
    graft_value in[5] = {heads->q, heads->k, heads->v, {0}, {0}};
    return adapt_call(a, a->layer_count, site, scope, in);
}

static graft_value wrap_block(void *context, struct graph *graph, const struct model_site *site,
                              graft_value stream, graft_value normed, graft_value branch)
{
    struct adapt *a = context;
    graft_value in[3] = {stream, normed, branch};
    (void)graph;
    return adapt_call(a, a->layer_count, site, NULL, in);
}

/* ---- the pass over the whole model ---- */

static void fill_model(const struct adapt *a, size_t layer, struct frame *f)
{
    const struct model_config *c = model_config(a->model);
    f->layer = layer;
    f->as.model = (struct graft_model_site){.site = {.struct_size = sizeof f->as.model,
                                                     .layer = -1,
                                                     .layers = (int32_t)c->layers,
                                                     .name = "model"},
                                            .layers = c->layers,
                                            .hidden = c->hidden,
                                            .vocab = c->vocab,
                                            .heads = c->heads,
                                            .kv_heads = c->kv_heads,
                                            .head_size = c->head_size,
                                            .site_count = (uint32_t)a->layers[layer].site_count,
                                            .sites = a->layers[layer].sites};
}

typedef void model_function(struct graft_builder *b, const void *options,
                            const struct graft_model_site *m);

static void call_model(struct adapt *a, size_t layer, model_function *function)
{
    struct frame frame = {.outer = a->frame};
    if (function == NULL) return;
    fill_model(a, layer, &frame);
    a->frame = &frame;
    function(graph_builder(a->graph), option_values_get(a->layers[layer].settings->options),
             &frame.as.model);
    a->frame = frame.outer;
}

/* Begins a graph for a purpose, with all model functions called. */
static struct model_wrap begin_for(struct adapt *a, struct graph *graph,
                                   const struct adapt_mode *mode, enum purpose purpose)
{
    struct graph_hooks hooks = adapt_hooks;
    hooks.context = a;
    a->graph = graph;
    a->mode = *mode;
    a->purpose = purpose;
    a->shared_count = 0;
    a->penalty = (graft_value){0};
    graph_set_hooks(graph, &hooks);
    for (size_t i = 0; i < a->layer_count; i++) call_model(a, i, a->layers[i].functions->model);
    return (struct model_wrap){.context = a,
                               .linear = wrap_one,
                               .norm = wrap_one,
                               .embedding = wrap_embedding,
                               .attention = wrap_attention,
                               .block = wrap_block};
}

struct model_wrap adapt_begin(struct adapt *a, struct graph *graph, const struct adapt_mode *mode)
{
    return begin_for(a, graph, mode, PURPOSE_RUN);
}

void adapt_call_save(struct adapt *a, size_t layer)
{
    call_model(a, layer, a->layers[layer].functions->save);
}

graft_value adapt_penalty(const struct adapt *a)
{
    return a->penalty;
}

void adapt_end(struct adapt *a)
{
    graph_set_hooks(a->graph, NULL);
    a->graph = NULL;
}

/* ---- creating ---- */

/* Builds one whole program on made-up inputs, so that all parameters are known before any other is
 * built, in an order that is the model's own. */
static enum graft_status register_parameters(struct adapt *a, struct error *e)
{
    struct graph *graph = NULL;
    struct store *scratch = NULL;
    enum graft_status status = store_create(&scratch, e);
    if (status == GRAFT_OK) status = graph_create(&graph, e);
    if (status == GRAFT_OK) {
        status = adapt_build(a, graph, scratch, PURPOSE_REGISTER, e);
        adapt_end(a);
    }
    graph_destroy(graph);
    store_destroy(scratch);
    return status;
}

enum graft_status adapt_build(struct adapt *a, struct graph *graph, struct store *scratch,
                              enum purpose purpose, struct error *e)
{
    static const char *const names[4] = {"ids", "positions", "first", "last"};
    struct adapt_mode mode = {.training = false};
    graft_value in[4];
    for (int i = 0; i < 4; i++)
        in[i] = graph_stored(graph, store_add(scratch, STORE_INPUT, names[i], GRAFT_DTYPE_I32,
                                              graft_shape1(1), GRAFT_ROWS_TOKENS));
    struct model_inputs inputs = {
        .tokens = in[0], .positions = in[1], .first = in[2], .last = in[3]};
    struct model_wrap wrap = begin_for(a, graph, &mode, purpose);
    graft_value hidden = model_hidden(a->model, graph, &inputs, &wrap, NULL);
    model_logits(a->model, graph, hidden, &wrap);
    return graph_status(graph, e);
}

static bool acts_on(const struct graft_adapter *f, enum graft_site_kind kind)
{
    switch (kind) {
    case GRAFT_SITE_LINEAR: return f->linear != NULL;
    case GRAFT_SITE_NORM: return f->norm != NULL;
    case GRAFT_SITE_EMBEDDING: return f->embedding != NULL;
    case GRAFT_SITE_ATTENTION: return f->attention != NULL;
    case GRAFT_SITE_BLOCK: break;
    }
    return f->block != NULL;
}

const char *adapt_usual_targets(const struct adapt *a, const struct layer *layer)
{
    const struct graft_adapter *f = layer->functions;
    if (f->struct_size < offsetof(struct graft_adapter, family_targets) + sizeof f->family_targets)
        return f->default_targets;
    for (const struct graft_family_targets *t = f->family_targets; t != NULL && t->family != NULL;
         t++)
        if (strcmp(t->family, model_config(a->model)->family) == 0) return t->targets;
    return f->default_targets;
}

/* The sites that this adapter can act on, as a list of their own for matching. */
static enum graft_status match(struct adapt *a, struct layer *layer, struct error *e)
{
    const struct model_site **candidates =
        arena_alloc(&a->arena, a->site_count, sizeof *candidates);
    bool *hits = arena_alloc(&a->arena, a->site_count, sizeof *hits);
    size_t count = 0;
    if (candidates == NULL || hits == NULL) return error_memory(e, "the sites", a->site_count);
    for (size_t i = 0; i < a->site_count; i++)
        if (acts_on(layer->functions, a->sites[i].kind)) candidates[count++] = &a->sites[i];
    if (count == 0)
        return error_set(e, GRAFT_E_INVALID,
                         "method: %s acts on no kind of site that this model has",
                         layer->settings->method);
    enum graft_status status =
        targets_match(layer->settings, adapt_usual_targets(a, layer), candidates, count, hits, e);
    for (size_t i = 0; i < count && status == GRAFT_OK; i++)
        layer->matched[candidates[i] - a->sites] = hits[i];
    return status;
}

/* The matched sites as plugins see them, for the model pass. Those of other kinds than linear carry
 * the common part alone. */
static enum graft_status list_sites(struct adapt *a, struct layer *layer, struct error *e)
{
    layer->sites = arena_alloc(&a->arena, a->site_count, sizeof *layer->sites);
    if (layer->sites == NULL) return error_memory(e, "the sites", a->site_count);
    for (size_t i = 0; i < a->site_count; i++)
        if (layer->matched[i]) layer->sites[layer->site_count++] = &a->linears[i].site;
    return GRAFT_OK;
}

/* What an option names must be among the matched sites. In a recipe a pattern without effect is a
 * mistake too; in a PEFT folder it may have a history. */
static enum graft_status check_options(struct adapt *a, const struct layer *layer, struct error *e)
{
    const char **names = arena_alloc(&a->arena, layer->site_count, sizeof *names);
    if (names == NULL) return error_memory(e, "the sites", layer->site_count);
    for (size_t i = 0; i < layer->site_count; i++) names[i] = layer->sites[i]->name;
    return option_values_check_sites(layer->settings->options, names, layer->site_count,
                                     layer->settings->places.of != NULL, e);
}

static enum graft_status set_up_layer(struct adapt *a, size_t index,
                                      const struct settings_adapter *settings, struct error *e)
{
    struct layer *layer = &a->layers[index];
    size_t words = settings->plugin->options_size / sizeof(max_align_t) + 1;
    layer->settings = settings;
    layer->functions = settings->plugin->functions;
    layer->matched = arena_alloc(&a->arena, a->site_count, sizeof *layer->matched);
    layer->own = arena_alloc(&a->arena, a->site_count, sizeof *layer->own);
    layer->filled = arena_alloc(&a->arena, words, sizeof(max_align_t));
    if (layer->matched == NULL || layer->own == NULL || layer->filled == NULL)
        return error_memory(e, "an adapter", a->site_count);
    enum graft_status status = adapt_mark_modules(a, layer, e);
    if (status == GRAFT_OK) status = match(a, layer, e);
    if (status == GRAFT_OK) status = adapt_mark_biases(a, index, e);
    if (status == GRAFT_OK) status = list_sites(a, layer, e);
    return status == GRAFT_OK ? check_options(a, layer, e) : status;
}

static enum graft_status fill_linears(struct adapt *a, struct error *e)
{
    int32_t layers = (int32_t)model_config(a->model)->layers;
    a->linears = arena_alloc(&a->arena, a->site_count, sizeof *a->linears);
    if (a->linears == NULL) return error_memory(e, "the sites", a->site_count);
    for (size_t i = 0; i < a->site_count; i++) {
        const struct model_site *s = &a->sites[i];
        a->linears[i] = (struct graft_linear_site){.site = {.struct_size = sizeof a->linears[i],
                                                            .kind = (int32_t)s->kind,
                                                            .layer = s->layer,
                                                            .layers = layers,
                                                            .name = s->name},
                                                   .in_features = s->in_features,
                                                   .out_features = s->out_features,
                                                   .has_bias = s->bias != NULL};
    }
    return GRAFT_OK;
}

enum graft_status adapt_create(const struct adapt_request *r, struct adapt **out, struct error *e)
{
    size_t count = r->count;
    struct adapt *a = mem_zalloc(1, sizeof *a);
    if (a == NULL) return error_memory(e, "the adapters", sizeof *a);
    a->model = r->model;
    a->sites = model_sites(r->model, &a->site_count);
    a->store = r->store;
    a->seed = r->seed;
    a->from_files = r->from_files;
    a->tokenize = r->tokenize;
    a->tokenize_context = r->tokenize_context;
    a->layer_count = count;
    a->layers = arena_alloc(&a->arena, count, sizeof *a->layers);
    enum graft_status status =
        a->layers == NULL ? error_memory(e, "the adapters", count) : fill_linears(a, e);
    for (size_t i = 0; i < count && status == GRAFT_OK; i++) {
        status = set_up_layer(a, i, &r->adapters[i], e);
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
    if (status == GRAFT_OK && adapt_parameters(a) == 0)
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
    mem_free(a->shared);
    mem_free(a->saved);
    mem_free(a->frozen);
    mem_free(a->factors);
    mem_free(a->scales);
    arena_free(&a->arena);
    mem_free(a);
}

/* ---- questions ---- */

size_t adapt_count(const struct adapt *a)
{
    return a->layer_count;
}

bool adapt_wraps_head(const struct adapt *a)
{
    size_t head = a->site_count - 1;
    for (size_t l = 0; l < a->layer_count; l++)
        if (a->layers[l].matched[head] || a->layers[l].own[head] != 0) return true;
    return false;
}

bool adapt_lr_scales(const struct adapt *a, float *scales)
{
    bool any = false;
    for (size_t i = 0; i < a->parameter_count; i++)
        any |= a->parameters[i].stored->gradient != NULL && a->parameters[i].lr_scale != 1.0;
    for (size_t i = 0; any && i < a->parameter_count; i++) {
        const struct parameter *p = &a->parameters[i];
        int64_t count = graft_shape_count(p->stored->shape);
        if (p->stored->gradient == NULL) continue;
        for (int64_t k = 0; k < count; k++)
            scales[p->stored->offset / sizeof(float) + (uint64_t)k] = (float)p->lr_scale;
    }
    return any;
}

int64_t adapt_parameters(const struct adapt *a)
{
    int64_t total = 0;
    for (size_t i = 0; i < a->parameter_count; i++)
        if (a->parameters[i].stored->gradient != NULL)
            total += graft_shape_count(a->parameters[i].stored->shape);
    return total;
}

size_t adapt_sites(const struct adapt *a)
{
    size_t total = 0;
    for (size_t i = 0; i < a->parameter_count; i++) {
        const struct parameter *p = &a->parameters[i];
        bool first = p->site != NULL;
        for (size_t k = 0; k < i && first; k++)
            first = a->parameters[k].site != p->site || a->parameters[k].adapter != p->adapter;
        total += first;
    }
    return total;
}

struct adapt_rows adapt_rows(const struct adapt *a)
{
    struct adapt_rows rows = {0, 0};
    for (size_t l = 0; l < a->layer_count; l++) {
        struct graft_rows_change change = rows_of(&a->layers[l]);
        rows.virtual_tokens += change.virtual_tokens;
        rows.position_offset += change.position_offset;
    }
    return rows;
}

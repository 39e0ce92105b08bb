/* SPDX-License-Identifier: Apache-2.0
 *
 * The decoder's graph: one walk for all families; what a layer has and has not stands in the
 * model. Letters: T tokens, C hidden, H heads, G key/value heads, D head size, S cache slots.
 */
#include "model/parts.h"

#include <math.h>

struct walk {
    const struct model *model;
    struct graph *graph;
    struct graft_builder *builder;
    const struct model_inputs *inputs;
    const struct model_wrap *wrap;
    const struct model_cache *caches;
    graft_value table; /* [T, rotary]: cosines and sines */
};

graft_value model_linear(struct graph *graph, const struct model_site *site, graft_value x)
{
    struct graft_builder *b = graph_builder(graph);
    graft_value y = graft_linear(b, x, graph_stored(graph, site->weight));
    return site->bias != NULL ? graft_add(b, y, graph_stored(graph, site->bias)) : y;
}

static graft_value at_site(struct graph *graph, const struct model_wrap *wrap,
                           const struct model_site *site, graft_value x)
{
    graph_set_place(graph, site->name);
    graft_value y = wrap != NULL && wrap->linear != NULL
                        ? wrap->linear(wrap->context, graph, site, x)
                        : model_linear(graph, site, x);
    graph_set_place(graph, "");
    return y;
}

static graft_value linear(const struct walk *w, int64_t layer, enum site_slot slot, graft_value x)
{
    return at_site(w->graph, w->wrap, &w->model->layer[layer].site[slot], x);
}

static graft_value norm(const struct walk *w, const struct stored *weight, graft_value x)
{
    graft_value inputs[2] = {x, graph_stored(w->graph, weight)};
    union graft_params p = {.norm = {.eps = w->model->config.norm_eps}};
    return w->builder->api->op(w->builder, GRAFT_OP_RMS_NORM, inputs, 2, &p);
}

/* x [T, heads * D], each head normed by w [D] */
static graft_value head_norm(const struct walk *w, const struct stored *weight, int32_t heads,
                             graft_value x)
{
    if (weight == NULL) return x;
    struct graft_shape flat = graft_shape_of(w->builder, x);
    struct graft_shape split = graft_shape3(flat.dim[0], heads, w->model->config.head_size);
    return graft_reshape(w->builder, norm(w, weight, graft_reshape(w->builder, x, split)), flat);
}

static graft_value rope(const struct walk *w, graft_value x)
{
    const struct model_config *c = &w->model->config;
    graft_value inputs[2] = {x, w->table};
    union graft_params p = {.rope = {.head_size = c->head_size,
                                     .rotary = c->rope.rotary,
                                     .interleaved = c->rope.interleaved}};
    return w->builder->api->op(w->builder, GRAFT_OP_ROPE, inputs, 2, &p);
}

static graft_value rope_table(const struct walk *w)
{
    const struct model_config *c = &w->model->config;
    graft_value inputs[2] = {w->inputs->positions, graph_stored(w->graph, w->model->frequencies)};
    union graft_params p = {.rope = {.factor = c->rope.attention_factor,
                                     .head_size = c->head_size,
                                     .rotary = c->rope.rotary,
                                     .interleaved = c->rope.interleaved}};
    return w->builder->api->op(w->builder, GRAFT_OP_ROPE_TABLE, inputs, 2, &p);
}

/* The cache [S, G * D] with the new rows in it. */
static graft_value cached(const struct walk *w, const struct stored *cache, graft_value rows)
{
    graft_value inputs[3] = {graph_stored(w->graph, cache), rows, w->inputs->cache_rows};
    return w->builder->api->op(w->builder, GRAFT_OP_WRITE_ROWS, inputs, 3, NULL);
}

static graft_value attention(const struct walk *w, int64_t layer, graft_value x)
{
    const struct model_config *c = &w->model->config;
    const struct layer *l = &w->model->layer[layer];
    graft_value q = linear(w, layer, SITE_Q, x);
    graft_value k = linear(w, layer, SITE_K, x);
    graft_value v = linear(w, layer, SITE_V, x);
    q = rope(w, head_norm(w, l->norm[NORM_Q], c->heads, q));
    k = rope(w, head_norm(w, l->norm[NORM_K], c->kv_heads, k));
    if (w->caches != NULL) {
        k = cached(w, w->caches[layer].keys, k);
        v = cached(w, w->caches[layer].values, v);
    }
    graft_value inputs[5] = {q, k, v, w->inputs->first, w->inputs->last};
    union graft_params p = {
        .attention = {.scale = 1.0 / sqrt(c->head_size),
                      .heads = c->heads,
                      .kv_heads = c->kv_heads,
                      .head_size = c->head_size,
                      .window = c->slides != NULL && c->slides[layer] ? c->window : 0}};
    graft_value o = w->builder->api->op(w->builder, GRAFT_OP_ATTENTION, inputs, 5, &p);
    return linear(w, layer, SITE_O, o);
}

static graft_value mlp(const struct walk *w, int64_t layer, graft_value x)
{
    graft_value gate = linear(w, layer, SITE_GATE, x);
    graft_value up = linear(w, layer, SITE_UP, x);
    return linear(w, layer, SITE_DOWN, graft_binary(w->builder, GRAFT_OP_SWIGLU, gate, up));
}

static graft_value block(const struct walk *w, int64_t layer, graft_value h)
{
    const struct layer *l = &w->model->layer[layer];
    h = graft_add(w->builder, h, attention(w, layer, norm(w, l->norm[NORM_ATTENTION], h)));
    return graft_add(w->builder, h, mlp(w, layer, norm(w, l->norm[NORM_MLP], h)));
}

graft_value model_hidden(const struct model *model, struct graph *graph,
                         const struct model_inputs *inputs, const struct model_wrap *wrap,
                         const struct model_cache *caches)
{
    struct walk w = {.model = model,
                     .graph = graph,
                     .builder = graph_builder(graph),
                     .inputs = inputs,
                     .wrap = wrap,
                     .caches = caches};
    graph_set_block(graph, -1);
    graft_value h = graft_binary(w.builder, GRAFT_OP_EMBEDDING, inputs->tokens,
                                 graph_stored(graph, model->embedding));
    w.table = rope_table(&w);
    for (int64_t i = 0; i < model->config.layers; i++) {
        graph_set_block(graph, (int32_t)i);
        h = block(&w, i, h);
    }
    graph_set_block(graph, -1);
    return norm(&w, model->final_norm, h);
}

graft_value model_logits(const struct model *model, struct graph *graph, graft_value x,
                         const struct model_wrap *wrap)
{
    graph_set_block(graph, -1);
    return at_site(graph, wrap, &model->site[model->site_count - 1], x);
}

graft_value model_loss(const struct model *model, struct graph *graph, graft_value x,
                       graft_value targets, const struct model_wrap *wrap, bool head_wrapped)
{
    struct graft_builder *b = graph_builder(graph);
    const struct model_site *head = &model->site[model->site_count - 1];
    if (head_wrapped || head->bias != NULL) {
        graft_value logits = model_logits(model, graph, x, wrap);
        return graft_binary(b, GRAFT_OP_CROSS_ENTROPY, logits, targets);
    }
    graft_value inputs[3] = {x, graph_stored(graph, head->weight), targets};
    graph_set_block(graph, -1);
    return b->api->op(b, GRAFT_OP_HEAD_LOSS, inputs, 3, NULL);
}

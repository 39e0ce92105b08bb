/* SPDX-License-Identifier: Apache-2.0
 *
 * The decoder's graph: one walk for all families; what a layer has and has not stands in the
 * model. Letters: T tokens, C hidden, H heads, G key/value heads, D head size, S cache slots.
 */
#include "model/parts.h"

#include <math.h>

struct model_scope {
    const struct model *model;
    struct graph *graph;
    struct graft_builder *builder;
    const struct model_inputs *inputs;
    const struct model_wrap *wrap;
    const struct model_cache *caches;
    graft_value table; /* [T, rotary]: cosines and sines */
};

struct graph *model_scope_graph(const struct model_scope *w)
{
    return w->graph;
}

/* ---- bases: what stands at a site without adapters ---- */

graft_value model_linear(struct graph *graph, const struct model_site *site, graft_value x)
{
    struct graft_builder *b = graph_builder(graph);
    graft_value y = graft_linear(b, x, graph_stored(graph, site->weight));
    return site->bias != NULL ? graft_add(b, y, graph_stored(graph, site->bias)) : y;
}

static graft_value rms_norm(struct graph *graph, graft_value x, graft_value w, double eps)
{
    struct graft_builder *b = graph_builder(graph);
    graft_value inputs[2] = {x, w};
    union graft_params p = {.norm = {.eps = eps}};
    return b->api->op(b, GRAFT_OP_RMS_NORM, inputs, 2, &p);
}

graft_value model_norm(struct graph *graph, const struct model_site *site, graft_value x,
                       graft_value w)
{
    return rms_norm(graph, x, w.id != 0 ? w : graph_stored(graph, site->weight), site->eps);
}

/* The cache [S, G * D] with the new rows in it. */
static graft_value cached(const struct model_scope *w, const struct stored *cache, graft_value rows)
{
    graft_value inputs[3] = {graph_stored(w->graph, cache), rows, w->inputs->cache_rows};
    return w->builder->api->op(w->builder, GRAFT_OP_WRITE_ROWS, inputs, 3, NULL);
}

graft_value model_attention(const struct model_scope *w, const struct model_site *site,
                            const struct model_heads *heads, graft_value pk, graft_value pv)
{
    const struct model_config *c = &w->model->config;
    graft_value k = heads->k, v = heads->v;
    if (w->caches != NULL) {
        k = cached(w, w->caches[site->layer].keys, k);
        v = cached(w, w->caches[site->layer].values, v);
    }
    graft_value inputs[7] = {heads->q, k, v, w->inputs->first, w->inputs->last, pk, pv};
    union graft_params p = {
        .attention = {.scale = 1.0 / sqrt(c->head_size),
                      .heads = c->heads,
                      .kv_heads = c->kv_heads,
                      .head_size = c->head_size,
                      .window = c->slides != NULL && c->slides[site->layer] ? c->window : 0}};
    return w->builder->api->op(w->builder, GRAFT_OP_ATTENTION, inputs, pk.id != 0 ? 7 : 5, &p);
}

/* ---- sites: the base, or what wraps it ---- */

static graft_value linear_at(struct graph *graph, const struct model_wrap *wrap,
                             const struct model_site *site, graft_value x)
{
    graph_set_place(graph, site->name);
    graft_value y = wrap != NULL && wrap->linear != NULL
                        ? wrap->linear(wrap->context, graph, site, x)
                        : model_linear(graph, site, x);
    graph_set_place(graph, "");
    return y;
}

static graft_value linear(const struct model_scope *w, int64_t layer, enum site_slot slot,
                          graft_value x)
{
    return linear_at(w->graph, w->wrap, &w->model->layer[layer].site[slot], x);
}

static graft_value norm_at(const struct model_scope *w, const struct model_site *site,
                           graft_value x)
{
    const struct model_wrap *wrap = w->wrap;
    graph_set_place(w->graph, site->name);
    graft_value y = wrap != NULL && wrap->norm != NULL
                        ? wrap->norm(wrap->context, w->graph, site, x)
                        : model_norm(w->graph, site, x, (graft_value){0});
    graph_set_place(w->graph, "");
    return y;
}

static graft_value attention_at(const struct model_scope *w, const struct model_site *site,
                                const struct model_heads *heads)
{
    const struct model_wrap *wrap = w->wrap;
    const graft_value none = {0};
    graph_set_place(w->graph, site->name);
    graft_value o = wrap != NULL && wrap->attention != NULL
                        ? wrap->attention(wrap->context, w, site, heads)
                        : model_attention(w, site, heads, none, none);
    graph_set_place(w->graph, "");
    return o;
}

static graft_value block_at(const struct model_scope *w, const struct model_site *site,
                            graft_value stream, graft_value normed, graft_value branch)
{
    const struct model_wrap *wrap = w->wrap;
    graph_set_place(w->graph, site->name);
    graft_value h = wrap != NULL && wrap->block != NULL
                        ? wrap->block(wrap->context, w->graph, site, stream, normed, branch)
                        : graft_add(w->builder, stream, branch);
    graph_set_place(w->graph, "");
    return h;
}

static graft_value embedding_at(const struct model_scope *w)
{
    const struct model_site *site = model_outer(w->model, SITE_EMBEDDING);
    const struct model_wrap *wrap = w->wrap;
    graft_value ids = w->inputs->tokens;
    graph_set_place(w->graph, site->name);
    graft_value x =
        graft_binary(w->builder, GRAFT_OP_EMBEDDING, ids, graph_stored(w->graph, site->weight));
    if (wrap != NULL && wrap->embedding != NULL)
        x = wrap->embedding(wrap->context, w->graph, site, ids, x);
    graph_set_place(w->graph, "");
    return x;
}

/* ---- the walk ---- */

/* x [T, heads * D], each head normed by w [D] */
static graft_value head_norm(const struct model_scope *w, const struct stored *weight,
                             int32_t heads, graft_value x)
{
    if (weight == NULL) return x;
    const struct model_config *c = &w->model->config;
    struct graft_shape flat = graft_shape_of(w->builder, x);
    struct graft_shape split = graft_shape3(flat.dim[0], heads, c->head_size);
    graft_value y = rms_norm(w->graph, graft_reshape(w->builder, x, split),
                             graph_stored(w->graph, weight), c->norm_eps);
    return graft_reshape(w->builder, y, flat);
}

static graft_value rope(const struct model_scope *w, graft_value x)
{
    const struct model_config *c = &w->model->config;
    graft_value inputs[2] = {x, w->table};
    union graft_params p = {.rope = {.head_size = c->head_size,
                                     .rotary = c->rope.rotary,
                                     .interleaved = c->rope.interleaved}};
    return w->builder->api->op(w->builder, GRAFT_OP_ROPE, inputs, 2, &p);
}

static graft_value rope_table(const struct model_scope *w)
{
    const struct model_config *c = &w->model->config;
    graft_value inputs[2] = {w->inputs->positions, graph_stored(w->graph, w->model->frequencies)};
    union graft_params p = {.rope = {.factor = c->rope.attention_factor,
                                     .head_size = c->head_size,
                                     .rotary = c->rope.rotary,
                                     .interleaved = c->rope.interleaved}};
    return w->builder->api->op(w->builder, GRAFT_OP_ROPE_TABLE, inputs, 2, &p);
}

static graft_value attention(const struct model_scope *w, int64_t layer, graft_value x)
{
    const struct model_config *c = &w->model->config;
    const struct layer *l = &w->model->layer[layer];
    struct model_heads heads = {.q = linear(w, layer, SITE_Q, x),
                                .k = linear(w, layer, SITE_K, x),
                                .v = linear(w, layer, SITE_V, x)};
    heads.q = rope(w, head_norm(w, l->norm[NORM_Q], c->heads, heads.q));
    heads.k = rope(w, head_norm(w, l->norm[NORM_K], c->kv_heads, heads.k));
    return linear(w, layer, SITE_O, attention_at(w, &l->site[SITE_ATTENTION], &heads));
}

static graft_value mlp(const struct model_scope *w, int64_t layer, graft_value x)
{
    graft_value gate = linear(w, layer, SITE_GATE, x);
    graft_value up = linear(w, layer, SITE_UP, x);
    return linear(w, layer, SITE_DOWN, graft_binary(w->builder, GRAFT_OP_SWIGLU, gate, up));
}

static graft_value block(const struct model_scope *w, int64_t layer, graft_value h)
{
    const struct model_site *site = w->model->layer[layer].site;
    graft_value x = norm_at(w, &site[SITE_ATTENTION_NORM], h);
    h = block_at(w, &site[SITE_ATTENTION_BLOCK], h, x, attention(w, layer, x));
    x = norm_at(w, &site[SITE_MLP_NORM], h);
    return block_at(w, &site[SITE_MLP_BLOCK], h, x, mlp(w, layer, x));
}

graft_value model_hidden(const struct model *model, struct graph *graph,
                         const struct model_inputs *inputs, const struct model_wrap *wrap,
                         const struct model_cache *caches)
{
    struct model_scope w = {.model = model,
                            .graph = graph,
                            .builder = graph_builder(graph),
                            .inputs = inputs,
                            .wrap = wrap,
                            .caches = caches};
    graph_set_block(graph, -1);
    graft_value h = embedding_at(&w);
    w.table = rope_table(&w);
    for (int64_t i = 0; i < model->config.layers; i++) {
        graph_set_block(graph, (int32_t)i);
        h = block(&w, i, h);
    }
    graph_set_block(graph, -1);
    return norm_at(&w, model_outer(model, SITE_LAST_NORM), h);
}

graft_value model_logits(const struct model *model, struct graph *graph, graft_value x,
                         const struct model_wrap *wrap)
{
    graph_set_block(graph, -1);
    return linear_at(graph, wrap, model_outer(model, SITE_HEAD), x);
}

graft_value model_loss(const struct model *model, struct graph *graph, graft_value x,
                       graft_value targets, const struct model_wrap *wrap, bool head_wrapped)
{
    struct graft_builder *b = graph_builder(graph);
    const struct model_site *head = model_outer(model, SITE_HEAD);
    if (head_wrapped || head->bias != NULL) {
        graft_value logits = model_logits(model, graph, x, wrap);
        return graft_binary(b, GRAFT_OP_CROSS_ENTROPY, logits, targets);
    }
    graft_value inputs[3] = {x, graph_stored(graph, head->weight), targets};
    graph_set_block(graph, -1);
    return b->api->op(b, GRAFT_OP_HEAD_LOSS, inputs, 3, NULL);
}

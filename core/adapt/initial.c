/* SPDX-License-Identifier: Apache-2.0
 *
 * What the host offers to initial values: the tokens of a text, and the keys and values that the
 * bare model has of them; and factors of frozen weights. Integers and factors are registered with
 * the parameters and written before the program that computes initial values runs.
 */
#include "adapt/internal.h"

#include "adapt/factor.h"
#include "base/random.h"
#include "graph/once.h"

#include <string.h>

static const graft_value none = {0};

/* The text's tokens, cut or repeated, as PEFT does for prompt tuning. */
static bool fill_text(struct adapt *a, const char *text, int32_t *ids, int64_t count)
{
    int64_t found = a->tokenize != NULL ? a->tokenize(a->tokenize_context, text, ids, count) : -1;
    for (int64_t i = found; found > 0 && i < count; i++) ids[i] = ids[i - found];
    return found > 0;
}

static bool fill(struct adapt *a, enum frozen_kind kind, const char *text, int32_t *ids,
                 int64_t count)
{
    uint32_t vocab = (uint32_t)model_config(a->model)->vocab, words[4];
    struct random_key key =
        random_key(a->seed, RANDOM_INIT, (uint32_t)a->frame->layer, "tokens", 0);
    if (kind == FROZEN_TEXT) return fill_text(a, text, ids, count);
    for (int64_t i = 0; i < count; i++) {
        random_words(key, (uint32_t[4]){(uint32_t)i, 0, 0, 0}, words);
        ids[i] = kind == FROZEN_DRAWN    ? (int32_t)(words[0] % vocab)
                 : kind == FROZEN_RISING ? (int32_t)i
                                         : 0;
    }
    return true;
}

static struct frozen_ids *find(struct adapt *a, enum frozen_kind kind, const char *text,
                               int64_t count)
{
    for (size_t i = 0; i < a->frozen_count; i++) {
        struct frozen_ids *f = &a->frozen[i];
        if (f->kind == kind && f->adapter == a->frame->layer && f->stored->shape.dim[0] == count &&
            strcmp(f->text, text) == 0)
            return f;
    }
    return NULL;
}

static struct frozen_ids *add(struct adapt *a, enum frozen_kind kind, const char *text,
                              int64_t count)
{
    const char *name = arena_format(&a->arena, "tokens.%zu.%zu", a->frame->layer, a->frozen_count);
    const char *copy = arena_strdup(&a->arena, text);
    int32_t *ids = arena_alloc(&a->arena, (size_t)count, sizeof *ids);
    if (name == NULL || copy == NULL || ids == NULL ||
        !array_reserve(&a->frozen, &a->frozen_capacity, a->frozen_count + 1, sizeof *a->frozen) ||
        !fill(a, kind, text, ids, count))
        return NULL;
    const struct stored *stored = store_add(a->store, STORE_FROZEN, name, GRAFT_DTYPE_I32,
                                            graft_shape1(count), GRAFT_ROWS_FIXED);
    if (stored == NULL) return NULL;
    a->frozen[a->frozen_count] = (struct frozen_ids){kind, a->frame->layer, copy, stored, ids};
    return &a->frozen[a->frozen_count++];
}

static graft_value frozen(struct adapt *a, struct graft_builder *b, enum frozen_kind kind,
                          const char *text, int64_t count)
{
    struct frozen_ids *f = find(a, kind, text, count);
    if (f == NULL && a->purpose == PURPOSE_REGISTER) f = add(a, kind, text, count);
    if (f != NULL) return graph_stored(a->graph, f->stored);
    graft_fail(b, "\"%s\" has no tokens to begin with", text);
    return none;
}

graft_value adapt_tokens(struct adapt *a, struct graft_builder *b, const char *text, int64_t count)
{
    return frozen(a, b, text != NULL ? FROZEN_TEXT : FROZEN_DRAWN, text != NULL ? text : "", count);
}

/* ---- keys and values ---- */

struct capture {
    int64_t width, size; /* of the whole, of one layer's keys */
    graft_value sum;     /* [count, width]: what the layers so far gave */
};

static void put(struct capture *c, struct graft_builder *b, graft_value x, int64_t at)
{
    graft_value placed = graft_place(b, x, 1, at * c->size, c->width);
    c->sum = c->sum.id != 0 ? graft_add(b, c->sum, placed) : placed;
}

static graft_value capture_attention(void *context, const struct model_scope *scope,
                                     const struct model_site *site, const struct model_heads *heads)
{
    struct graft_builder *b = graph_builder(model_scope_graph(scope));
    put(context, b, heads->k, 2 * site->layer);
    put(context, b, heads->v, 2 * site->layer + 1);
    return model_attention(scope, site, heads, none, none);
}

graft_value adapt_text_state(struct adapt *a, struct graft_builder *b, const char *text,
                             int64_t count)
{
    const struct model_config *m = model_config(a->model);
    struct capture c = {.size = (int64_t)m->kv_heads * m->head_size};
    c.width = 2 * m->layers * c.size;
    graft_value rising = frozen(a, b, FROZEN_RISING, "", count);
    struct model_inputs inputs = {.tokens = frozen(a, b, FROZEN_TEXT, text, count),
                                  .positions = rising,
                                  .first = frozen(a, b, FROZEN_ZEROS, "", count),
                                  .last = rising};
    if (a->purpose != PURPOSE_INIT) /* nobody reads it */
        return graph_broadcast(a->graph, graft_constant(b, 0.0), graft_shape2(count, c.width),
                               GRAFT_ROWS_FIXED);
    struct model_wrap wrap = {.context = &c, .attention = capture_attention};
    model_hidden(a->model, a->graph, &inputs, &wrap, NULL);
    return c.sum;
}

/* ---- factors ---- */

static struct frozen_factor *find_factor(struct adapt *a, int32_t kind, int64_t rank)
{
    for (size_t i = 0; i < a->factor_count; i++) {
        struct frozen_factor *f = &a->factors[i];
        if (f->kind == kind && f->adapter == a->frame->layer && f->site == a->frame->model_site &&
            f->rank == rank)
            return f;
    }
    return NULL;
}

static struct frozen_factor *add_factor(struct adapt *a, int32_t kind, int64_t rank)
{
    const struct model_site *site = a->frame->model_site;
    const char *left = arena_format(&a->arena, "factor.%zu.left", a->factor_count);
    const char *right = arena_format(&a->arena, "factor.%zu.right", a->factor_count);
    if (left == NULL || right == NULL ||
        !array_reserve(&a->factors, &a->factor_capacity, a->factor_count + 1, sizeof *a->factors))
        return NULL;
    struct frozen_factor f = {.kind = kind, .adapter = a->frame->layer, .site = site, .rank = rank};
    f.left = store_add(a->store, STORE_FROZEN, left, GRAFT_DTYPE_F32,
                       graft_shape2(site->out_features, rank), GRAFT_ROWS_FIXED);
    f.right = store_add(a->store, STORE_FROZEN, right, GRAFT_DTYPE_F32,
                        graft_shape2(rank, site->in_features), GRAFT_ROWS_FIXED);
    if (f.left == NULL || f.right == NULL) return NULL;
    a->factors[a->factor_count] = f;
    return &a->factors[a->factor_count++];
}

graft_value adapt_factor(struct adapt *a, struct graft_builder *b, int32_t kind, int64_t rank,
                         bool right)
{
    const struct model_site *site = a->frame->model_site;
    if ((kind != GRAFT_FACTOR_SVD && kind != GRAFT_FACTOR_QR) || rank < 1 ||
        rank > site->in_features || rank > site->out_features) {
        graft_fail(b,
                   "factors of kind %d and rank %lld: there are SVD (1) and QR (2), of a rank "
                   "from 1 to the smaller side of the weight",
                   (int)kind, (long long)rank);
        return none;
    }
    struct frozen_factor *f = find_factor(a, kind, rank);
    if (f == NULL && a->purpose == PURPOSE_REGISTER) f = add_factor(a, kind, rank);
    if (f != NULL) return graph_stored(a->graph, right ? f->right : f->left);
    graph_fail(a->graph, GRAFT_E_MEMORY, "factors: not enough memory");
    return none;
}

/* The weight in f32, whatever it is stored as. */
static enum graft_status read_weight(const struct model_site *site, const struct backend *backend,
                                     float *weight, struct error *e)
{
    struct graph *graph = NULL;
    struct once once = {0};
    uint64_t bytes = (uint64_t)(site->out_features * site->in_features) * sizeof *weight;
    enum graft_status status = graph_create(&graph, e);
    if (status != GRAFT_OK) return status;
    graft_value w =
        graft_unary(graph_builder(graph), GRAFT_OP_DEQUANTIZE, graph_stored(graph, site->weight));
    graph_keep(graph, w);
    status = graph_status(graph, e);
    if (status == GRAFT_OK) status = once_run(&once, graph, backend, e);
    if (status == GRAFT_OK) status = once_read(&once, w, weight, bytes, e);
    once_end(&once);
    graph_destroy(graph);
    return status;
}

static enum graft_status write_factor(const struct frozen_factor *f, const struct backend *backend,
                                      struct error *e)
{
    size_t out = (size_t)f->site->out_features, in = (size_t)f->site->in_features;
    size_t rank = (size_t)f->rank;
    float *weight = mem_zalloc(out * in, sizeof *weight);
    float *left = mem_zalloc(out * rank, sizeof *left);
    float *right = mem_zalloc(rank * in, sizeof *right);
    struct factor work = {weight, out, in, rank, left, right};
    enum graft_status status = GRAFT_OK;
    bool room = weight != NULL && left != NULL && right != NULL;
    if (room) status = read_weight(f->site, backend, weight, e);
    if (room && status == GRAFT_OK)
        room = f->kind == GRAFT_FACTOR_QR ? factor_qr(&work) : factor_svd(&work);
    if (!room) status = error_memory(e, f->site->name, out * in * sizeof(double));
    if (status == GRAFT_OK)
        status = stored_write(f->left, backend, left, out * rank * sizeof *left, e);
    if (status == GRAFT_OK)
        status = stored_write(f->right, backend, right, rank * in * sizeof *right, e);
    mem_free(weight);
    mem_free(left);
    mem_free(right);
    return status;
}

enum graft_status adapt_write_factors(const struct adapt *a, const struct backend *backend,
                                      struct error *e)
{
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; i < a->factor_count && status == GRAFT_OK; i++)
        status = write_factor(&a->factors[i], backend, e);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What the host offers to initial values: the tokens of a text, and the keys and values that the
 * bare model has of them. Integers are registered with the parameters and written before the
 * program that computes initial values runs.
 */
#include "adapt/internal.h"

#include "base/random.h"

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

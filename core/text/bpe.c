/* SPDX-License-Identifier: Apache-2.0
 *
 * The model: byte pair encoding of one piece. The pair with the lowest rank merges first, the
 * leftmost among equals; a heap with stale entries gives that in n log n. SPM vocabularies rank a
 * pair by the score of the token that it becomes.
 */
#include "text/parts.h"

#include <string.h>

struct symbol {
    int32_t id; /* -1: SPM text without a token yet */
    uint32_t begin, length;
    int32_t previous, next; /* -1: none */
};

struct merge {
    uint32_t rank, position;
    int32_t id;
};

static bool add_symbol(struct encoder *x, int32_t id, size_t begin, size_t length)
{
    if (!array_reserve(&x->symbols, &x->symbol_capacity, x->symbol_count + 1, sizeof *x->symbols))
        return false;
    x->symbols[x->symbol_count++] = (struct symbol){id, (uint32_t)begin, (uint32_t)length, -1, -1};
    return true;
}

static bool before(const struct merge *a, const struct merge *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->position < b->position;
}

static bool heap_push(struct encoder *x, struct merge m)
{
    if (!array_reserve(&x->heap, &x->heap_capacity, x->heap_count + 1, sizeof *x->heap))
        return false;
    size_t at = x->heap_count++;
    while (at > 0 && before(&m, &x->heap[(at - 1) / 2])) {
        x->heap[at] = x->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    x->heap[at] = m;
    return true;
}

static struct merge heap_pop(struct encoder *x)
{
    struct merge top = x->heap[0], last = x->heap[--x->heap_count];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < x->heap_count) {
        if (child + 1 < x->heap_count && before(&x->heap[child + 1], &x->heap[child])) child++;
        if (!before(&x->heap[child], &last)) break;
        x->heap[at] = x->heap[child];
        at = child;
    }
    x->heap[at] = last;
    return top;
}

/* What the symbol and its right neighbour become. */
static bool find_merge(const struct encoder *x, const struct piece *p, int32_t position,
                       struct merge *m)
{
    const struct symbol *left = &x->symbols[position];
    if (left->next < 0) return false;
    const struct symbol *right = &x->symbols[left->next];
    m->position = (uint32_t)position;
    if (x->t->score_rank != NULL) {
        m->id = string_map_find(&x->t->model, p->bytes + left->begin, left->length + right->length);
        if (m->id < 0) return false;
        m->rank = x->t->score_rank[m->id];
        return true;
    }
    const struct pair_slot *pair = pair_map_find(&x->t->merges, left->id, right->id);
    if (pair == NULL) return false;
    m->id = pair->merged;
    m->rank = pair->rank;
    return true;
}

static bool push_merge(struct encoder *x, const struct piece *p, int32_t position)
{
    struct merge m;
    return position < 0 || !find_merge(x, p, position, &m) || heap_push(x, m);
}

static bool merge_all(struct encoder *x, const struct piece *p)
{
    int32_t count = (int32_t)x->symbol_count;
    for (int32_t i = 0; i < count; i++) {
        x->symbols[i].previous = i - 1;
        x->symbols[i].next = i + 1 < count ? i + 1 : -1;
    }
    x->heap_count = 0;
    for (int32_t i = 0; i + 1 < count; i++)
        if (!push_merge(x, p, i)) return false;
    while (x->heap_count != 0) {
        struct merge top = heap_pop(x), now;
        struct symbol *left = &x->symbols[top.position];
        /* stale: the symbol is gone or its pair became another one */
        if (left->length == 0 || !find_merge(x, p, (int32_t)top.position, &now) || now.id != top.id)
            continue;
        struct symbol *right = &x->symbols[left->next];
        left->id = top.id;
        left->length += right->length;
        left->next = right->next;
        right->length = 0;
        if (left->next >= 0) x->symbols[left->next].previous = (int32_t)top.position;
        if (!push_merge(x, p, left->previous) || !push_merge(x, p, (int32_t)top.position))
            return false;
    }
    return true;
}

static enum graft_status no_memory(const struct encoder *x, const struct piece *p)
{
    return error_memory(x->e, "tokens of a text", p->length);
}

static enum graft_status no_token(const struct encoder *x, const struct piece *p, size_t at,
                                  size_t length)
{
    return error_set(x->e, GRAFT_E_INVALID,
                     "byte %u of the text: the tokenizer has no token for \"%.*s\", no byte tokens "
                     "and no unknown token",
                     piece_origin(p, at), (int)length, p->bytes + at);
}

/* The bytes of a character as byte tokens; false: the vocabulary lacks one. */
static bool has_bytes(const struct tokenizer *t, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (t->byte_ids[(unsigned char)bytes[i]] < 0) return false;
    return true;
}

static enum graft_status split_bytes(struct encoder *x, const struct piece *p)
{
    for (size_t i = 0; i < p->length; i++) {
        int32_t id = x->t->byte_ids[(unsigned char)p->bytes[i]];
        if (id < 0) id = x->t->unknown;
        if (id < 0)
            return error_set(x->e, GRAFT_E_INVALID,
                             "byte %u of the text: the tokenizer has no token for the byte 0x%02X",
                             piece_origin(p, i), (unsigned)(unsigned char)p->bytes[i]);
        if (!add_symbol(x, id, i, 1)) return no_memory(x, p);
    }
    return GRAFT_OK;
}

/* The vocabulary's form of a character: with the inner prefix and the outer suffix. False: no
 * memory. */
static bool make_form(struct encoder *x, const struct piece *p, size_t at, size_t length,
                      struct piece *form)
{
    const struct tokenizer *t = x->t;
    bool inner = at != 0 && t->inner_length != 0;
    bool outer = at + length == p->length && t->outer_length != 0;
    *form = piece_part(p, at, at + length);
    if (!inner && !outer) return true;
    struct rewrite *r = &x->affix;
    r->length = 0;
    r->failed = false;
    if (inner) rewrite_add(r, t->inner, t->inner_length, 0);
    rewrite_add(r, p->bytes + at, length, 0);
    if (outer) rewrite_add(r, t->outer, t->outer_length, 0);
    *form = rewrite_piece(r);
    return !r->failed;
}

/* As the reference does, the bytes are those of the whole form, affixes too. */
static bool add_bytes(struct encoder *x, const struct piece *form, size_t at, size_t length)
{
    for (size_t i = 0; i < form->length; i++) {
        size_t begin = at + (i < length ? i : length - 1);
        int32_t id = x->t->byte_ids[(unsigned char)form->bytes[i]];
        if (!add_symbol(x, id, begin, 1)) return false;
    }
    return true;
}

struct unknown_run {
    size_t begin, length; /* length 0: none */
};

static bool flush_unknown(struct encoder *x, struct unknown_run *run)
{
    bool added = run->length == 0 || add_symbol(x, x->t->unknown, run->begin, run->length);
    run->length = 0;
    return added;
}

static bool add_unknown(struct encoder *x, struct unknown_run *run, size_t at, size_t length)
{
    if (run->length != 0 && x->t->fuse_unknown) {
        run->length += length;
        return true;
    }
    bool added = flush_unknown(x, run);
    *run = (struct unknown_run){at, length};
    return added;
}

static enum graft_status split_characters(struct encoder *x, const struct piece *p)
{
    const struct tokenizer *t = x->t;
    struct unknown_run unknown = {0, 0};
    for (size_t at = 0, n; at < p->length; at += n) {
        struct piece form;
        bool added;
        n = utf8_length(p->bytes + at, p->length - at);
        if (!make_form(x, p, at, n, &form)) return no_memory(x, p);
        int32_t id = string_map_find(&t->model, form.bytes, form.length);
        if (id >= 0) {
            added = flush_unknown(x, &unknown) && add_symbol(x, id, at, n);
        } else if (t->byte_fallback && has_bytes(t, form.bytes, form.length)) {
            added = add_bytes(x, &form, at, n);
        } else if (t->unknown >= 0) {
            added = add_unknown(x, &unknown, at, n);
        } else {
            return no_token(x, p, at, n);
        }
        if (!added) return no_memory(x, p);
    }
    return flush_unknown(x, &unknown) ? GRAFT_OK : no_memory(x, p);
}

/* SPM merges by text, so characters without a token may still become one together. */
static enum graft_status split_scored(struct encoder *x, const struct piece *p)
{
    for (size_t at = 0, n; at < p->length; at += n) {
        n = utf8_length(p->bytes + at, p->length - at);
        if (!add_symbol(x, string_map_find(&x->t->model, p->bytes + at, n), at, n))
            return no_memory(x, p);
    }
    return GRAFT_OK;
}

static enum graft_status emit_missing(struct encoder *x, const struct piece *p,
                                      const struct symbol *s, bool *after_unknown)
{
    const struct tokenizer *t = x->t;
    if (has_bytes(t, p->bytes + s->begin, s->length)) {
        for (uint32_t i = s->begin; i < s->begin + s->length; i++)
            if (!token_list_add(x->out, t->byte_ids[(unsigned char)p->bytes[i]],
                                piece_origin(p, i)))
                return no_memory(x, p);
        return GRAFT_OK;
    }
    if (t->unknown < 0) return no_token(x, p, s->begin, s->length);
    if (!*after_unknown && !token_list_add(x->out, t->unknown, piece_origin(p, s->begin)))
        return no_memory(x, p);
    *after_unknown = true;
    return GRAFT_OK;
}

static enum graft_status emit(struct encoder *x, const struct piece *p)
{
    bool after_unknown = false;
    for (int32_t i = x->symbol_count != 0 ? 0 : -1; i >= 0; i = x->symbols[i].next) {
        const struct symbol *s = &x->symbols[i];
        if (s->id < 0) {
            enum graft_status status = emit_missing(x, p, s, &after_unknown);
            if (status != GRAFT_OK) return status;
            continue;
        }
        after_unknown = false;
        if (!token_list_add(x->out, s->id, piece_origin(p, s->begin))) return no_memory(x, p);
    }
    return GRAFT_OK;
}

enum graft_status bpe_encode(struct encoder *x, const struct piece *p)
{
    enum graft_status status;
    x->symbol_count = 0;
    if (x->t->ignore_merges) {
        int32_t id = string_map_find(&x->t->model, p->bytes, p->length);
        if (id >= 0)
            return token_list_add(x->out, id, piece_origin(p, 0)) ? GRAFT_OK : no_memory(x, p);
    }
    if (x->t->score_rank != NULL)
        status = split_scored(x, p);
    else if (x->t->byte_level)
        status = split_bytes(x, p);
    else
        status = split_characters(x, p);
    if (status != GRAFT_OK) return status;
    if (!merge_all(x, p)) return no_memory(x, p);
    return emit(x, p);
}

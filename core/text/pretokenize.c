/* SPDX-License-Identifier: Apache-2.0
 *
 * Pre-tokenizer steps. A step cuts a piece and hands each part to the next step; the last ones go
 * to the model. No list of pieces is kept.
 */
#include "text/parts.h"

#include <string.h>

const char GPT2_PATTERN[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/* Matches and the gaps between them, joined as the behaviour says, on their way to the next step */
struct cutter {
    struct encoder *x;
    const struct piece *p;
    enum split_behavior behavior;
    size_t next_step;
    bool pending, pending_match;
    size_t begin, end; /* of the pending part */
};

static enum graft_status flush(struct cutter *c)
{
    if (!c->pending) return GRAFT_OK;
    c->pending = false;
    if (c->begin == c->end) return GRAFT_OK;
    struct piece part = piece_part(c->p, c->begin, c->end);
    return pretokenize(c->x, c->next_step, &part);
}

/* Does a part join the one before it? */
static bool joins(const struct cutter *c, bool match)
{
    switch (c->behavior) {
    case SPLIT_MERGED_WITH_PREVIOUS: return match && !c->pending_match;
    case SPLIT_MERGED_WITH_NEXT: return !match && c->pending_match;
    case SPLIT_CONTIGUOUS: return match == c->pending_match;
    case SPLIT_ISOLATED:
    case SPLIT_REMOVED: break;
    }
    return false;
}

static enum graft_status cut(struct cutter *c, size_t begin, size_t end, bool match)
{
    if (begin == end) return GRAFT_OK;
    if (c->pending && joins(c, match)) {
        c->end = end;
        c->pending_match = match;
        return GRAFT_OK;
    }
    enum graft_status status = flush(c);
    if (status != GRAFT_OK || (match && c->behavior == SPLIT_REMOVED)) return status;
    c->pending = true;
    c->pending_match = match;
    c->begin = begin;
    c->end = end;
    return GRAFT_OK;
}

static enum graft_status split(struct encoder *x, size_t step, const struct piece *p)
{
    const struct step *s = &x->t->steps[step];
    struct cutter c = {.x = x, .p = p, .behavior = s->behavior, .next_step = step + 1};
    size_t at = 0, search = 0, begin = 0, end = 0;
    enum graft_status status = GRAFT_OK;
    while (search < p->length) {
        bool found;
        status = regex_next(&s->regex, x->match, p, search, &found, &begin, &end, x->e);
        if (status != GRAFT_OK) return status;
        if (!found) break;
        search = end;
        if (begin == end) {
            search += end < p->length ? utf8_length(p->bytes + end, p->length - end) : 1;
            continue;
        }
        status = cut(&c, at, begin, s->invert);
        if (status == GRAFT_OK) status = cut(&c, begin, end, !s->invert);
        if (status != GRAFT_OK) return status;
        at = end;
    }
    status = cut(&c, at, p->length, s->invert);
    return status == GRAFT_OK ? flush(&c) : status;
}

static bool starts_with(const struct piece *p, const char *bytes, size_t length)
{
    return p->length >= length && memcmp(p->bytes, bytes, length) == 0;
}

/* ByteLevel's add_prefix_space, and Metaspace without its split (a step of its own). */
static enum graft_status mark_blanks(struct encoder *x, size_t step, const struct piece *p)
{
    const struct step *s = &x->t->steps[step];
    struct rewrite *out = &x->step[step];
    bool meta = s->kind == STEP_METASPACE;
    bool wanted = s->scheme == PREPEND_ALWAYS ||
                  (s->scheme == PREPEND_FIRST && p->length != 0 && piece_origin(p, 0) == 0);
    bool there = starts_with(p, s->mark, s->mark_length) || (meta && starts_with(p, " ", 1));
    out->length = 0;
    out->failed = false;
    if (wanted && !there) rewrite_add(out, s->mark, s->mark_length, piece_origin(p, 0));
    for (size_t at = 0, begin = 0; at <= p->length; at++) {
        if (at < p->length && !(meta && p->bytes[at] == ' ')) continue;
        rewrite_copy(out, p, begin, at);
        if (at < p->length) rewrite_add(out, s->mark, s->mark_length, piece_origin(p, at));
        begin = at + 1;
    }
    if (out->failed) return error_memory(x->e, "splitting a text", p->length);
    struct piece marked = rewrite_piece(out);
    return pretokenize(x, step + 1, &marked);
}

enum graft_status pretokenize(struct encoder *x, size_t step, const struct piece *p)
{
    if (p->length == 0) return GRAFT_OK;
    if (step == x->t->step_count) return bpe_encode(x, p);
    if (x->t->steps[step].kind == STEP_SPLIT) return split(x, step, p);
    return mark_blanks(x, step, p);
}

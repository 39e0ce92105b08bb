/* SPDX-License-Identifier: Apache-2.0
 *
 * One scan over the order. A sweep grows from its first node over a window of what follows: a node
 * joins if it works on the same rows and reads a member. Of the others those that a member needs
 * and that need no member are moved before the sweep, the rest stays behind it.
 */
#include "graph/sweep.h"

#include "base/memory.h"
#include "graph/op.h"

#include <string.h>

enum { REACH = 32 }; /* how far behind its last member a sweep looks for the next */

enum role { ASIDE, MEMBER, BEFORE, AFTER }; /* ASIDE: needs no member, and none needs it so far */

struct former {
    const struct graph *graph;
    const uint32_t *home;
    const struct graph_node **order, **moved;
    uint32_t count;
    enum role *role;   /* of the nodes at first..end */
    uint32_t *made_at; /* by value number: where in the order its maker is */
    bool *rewritten;   /* by value number: lies where a node adds or writes rows */
    uint32_t first;    /* of the sweep at work */
    uint32_t members;
    int64_t rows;
    int32_t kind; /* enum graft_rows */
};

static const struct graph_value *value_of(const struct former *f, graft_value v)
{
    return graph_value(f->graph, v);
}

static const struct stored *stored_of(const struct former *f, graft_value v)
{
    return value_of(f, (graft_value){f->home[v.id - 1] + 1})->stored;
}

static bool overlap(const struct stored *a, const struct stored *b)
{
    return a->kind == b->kind && a->kind != STORE_BASE && a->offset < b->offset + b->bytes &&
           b->offset < a->offset + a->bytes;
}

static bool broadcasts(int32_t op)
{
    return op == GRAFT_OP_BROADCAST || op_info(op)->infer == op_info(GRAFT_OP_ADD)->infer;
}

/* Its rows are along the first dimension; ops along the last one need another. */
static bool works_by_row(const struct former *f, const struct graph_node *n)
{
    if (op_info(n->op)->by_row == 0 || n->output[0].id == 0) return false;
    switch (n->op) {
    case GRAFT_OP_SLICE:
    case GRAFT_OP_PLACE: return n->params.slice.axis > 0;
    case GRAFT_OP_RMS_NORM:
    case GRAFT_OP_RMS_NORM_BACKWARD: return value_of(f, n->output[0])->shape.rank > 1;
    default: return true;
    }
}

static bool has_rows(const struct former *f, graft_value v)
{
    const struct graph_value *value = value_of(f, v);
    return value->shape.dim[0] == f->rows && value->rows == f->kind;
}

static uint16_t rows_read(const struct former *f, const struct graph_node *n)
{
    int32_t rank = value_of(f, n->output[0])->shape.rank;
    uint32_t mask = 0;
    for (uint32_t i = 0; i < n->input_count; i++) {
        if (n->input[i].id == 0 || !(op_info(n->op)->by_row >> i & 1)) continue;
        if (broadcasts(n->op) && value_of(f, n->input[i])->shape.rank != rank) continue;
        if (has_rows(f, n->input[i])) mask |= 1u << i;
    }
    return (uint16_t)mask;
}

/* Where v is made, if that is in the window before `end`; else `end`. */
static uint32_t maker(const struct former *f, graft_value v, uint32_t end)
{
    uint32_t at = v.id != 0 ? f->made_at[f->home[v.id - 1]] : UINT32_MAX;
    return at >= f->first && at < end ? at : end;
}

/* Whether reading v at any time gives the same: nobody writes a part of its memory. */
static bool settled(const struct former *f, const struct graph_node *n)
{
    for (uint32_t i = 0; i < n->input_count; i++)
        if (n->input[i].id != 0 && f->rewritten[f->home[n->input[i].id - 1]]) return false;
    return true;
}

/* Marks what the node at `at` reads from aside as to be moved BEFORE, or says that it cannot. */
static bool move_before(struct former *f, uint32_t at, uint32_t end)
{
    const struct graph_node *n = f->order[at];
    for (uint32_t i = 0; i < n->input_count; i++) {
        uint32_t from = maker(f, n->input[i], end);
        if (from == end || f->role[from] != ASIDE) continue;
        if (op_info(f->order[from]->op)->writes || !settled(f, f->order[from])) return false;
        f->role[from] = BEFORE;
    }
    return true;
}

/* The makers of what is needed lie before it, so one walk back finds them all. */
static bool gather(struct former *f, uint32_t at)
{
    enum role *before = f->role + f->first;
    enum role kept[SWEEP_MOST * (REACH + 1)];
    memcpy(kept, before, (at - f->first) * sizeof *before);
    bool fits = move_before(f, at, at);
    for (uint32_t i = at; fits && i-- > f->first;)
        if (f->role[i] == BEFORE) fits = move_before(f, i, at);
    if (!fits) memcpy(before, kept, (at - f->first) * sizeof *before);
    return fits;
}

/* Where members write stored values, another node may read the same rows of the same value only,
 * and nobody who stays behind may read the value before. */
static bool reads_apart(const struct former *f, const struct graph_node *n, uint16_t by_row,
                        const struct stored *to)
{
    for (uint32_t i = 0; i < n->input_count; i++) {
        const struct stored *s = n->input[i].id != 0 ? stored_of(f, n->input[i]) : NULL;
        if (s == NULL || !overlap(s, to)) continue;
        if (!(by_row >> i & 1) || s->offset != to->offset || s->bytes != to->bytes) return false;
    }
    return true;
}

static bool writes_apart(const struct former *f, uint32_t at, uint16_t by_row)
{
    const struct graph_node *n = f->order[at];
    const struct stored *to = n->op == GRAFT_OP_ASSIGN ? stored_of(f, n->input[0]) : NULL;
    for (uint32_t i = f->first; i < at; i++) {
        const struct graph_node *other = f->order[i];
        bool member = f->role[i] == MEMBER;
        if (member && other->op == GRAFT_OP_ASSIGN &&
            !reads_apart(f, n, by_row, stored_of(f, other->input[0])))
            return false;
        if (to != NULL && f->role[i] != BEFORE &&
            !reads_apart(f, other, member ? rows_read(f, other) : 0, to))
            return false;
    }
    return true;
}

static bool same_rows(const struct former *f, uint32_t at)
{
    const struct graph_node *n = f->order[at];
    if (!works_by_row(f, n) || !settled(f, n)) return false;
    for (uint32_t i = 0; i < n->output_count; i++)
        if (n->output[i].id != 0 && !has_rows(f, n->output[i])) return false;
    return true;
}

static bool joins(struct former *f, uint32_t at)
{
    const struct graph_node *n = f->order[at];
    if (!same_rows(f, at)) return false;
    uint16_t by_row = rows_read(f, n);
    bool reads_member = false;
    for (uint32_t i = 0; i < n->input_count; i++) {
        uint32_t from = maker(f, n->input[i], at);
        if (from == at || f->role[from] == ASIDE || f->role[from] == BEFORE) continue;
        if (f->role[from] == AFTER || !(by_row >> i & 1)) return false;
        reads_member = true;
    }
    return reads_member && writes_apart(f, at, by_row) && gather(f, at);
}

static bool needs_member(const struct former *f, uint32_t at)
{
    const struct graph_node *n = f->order[at];
    for (uint32_t i = 0; i < n->input_count; i++) {
        uint32_t from = maker(f, n->input[i], at);
        if (from != at && (f->role[from] == MEMBER || f->role[from] == AFTER)) return true;
    }
    return false;
}

/* Every reader of what `at` makes, as far as it is not behind the sweep, is a member by rows. */
static bool read_by_row_alone(const struct former *f, uint32_t at, uint32_t end)
{
    for (uint32_t i = at + 1; i < end; i++) {
        const struct graph_node *n = f->order[i];
        uint16_t by_row = f->role[i] == MEMBER ? rows_read(f, n) : 0;
        if (f->role[i] != MEMBER && f->role[i] != BEFORE) continue;
        for (uint32_t k = 0; k < n->input_count; k++)
            if (maker(f, n->input[k], i) == at && !(by_row >> k & 1)) return false;
    }
    return true;
}

/* Members that write may stand behind it. */
static bool reads_apart_of_all(const struct former *f, uint32_t at, uint32_t end)
{
    uint16_t by_row = rows_read(f, f->order[at]);
    for (uint32_t i = f->first; i < end; i++)
        if (f->role[i] == MEMBER && f->order[i]->op == GRAFT_OP_ASSIGN &&
            !reads_apart(f, f->order[at], by_row, stored_of(f, f->order[i]->input[0])))
            return false;
    return true;
}

/* What was to go before the sweep and works on the same rows goes into it. From the end, so that
 * what reads a node is settled before it is. */
static void take_in(struct former *f, uint32_t end)
{
    for (uint32_t i = end; i-- > f->first && f->members < SWEEP_MOST;) {
        if (f->role[i] != BEFORE || !same_rows(f, i) || !read_by_row_alone(f, i, end) ||
            !reads_apart_of_all(f, i, end))
            continue;
        f->role[i] = MEMBER;
        f->members++;
    }
}

/* Grows the sweep that begins at f->first; returns the end of its window. */
static uint32_t grow(struct former *f)
{
    const struct graph_value *made = value_of(f, f->order[f->first]->output[0]);
    uint32_t end = f->first + 1;
    f->rows = made->shape.dim[0];
    f->kind = made->rows;
    f->members = 1;
    f->role[f->first] = MEMBER;
    for (uint32_t i = end; i < f->count && i - end < REACH && f->members < SWEEP_MOST; i++) {
        f->role[i] = ASIDE;
        if (joins(f, i)) {
            f->role[i] = MEMBER;
            f->members++;
            end = i + 1;
        } else if (needs_member(f, i)) {
            f->role[i] = AFTER;
        }
    }
    take_in(f, end);
    return end;
}

static void note_makers(struct former *f, uint32_t begin, uint32_t end)
{
    for (uint32_t i = begin; i < end; i++)
        for (uint32_t k = 0; k < f->order[i]->output_count; k++) {
            graft_value v = f->order[i]->output[k];
            if (v.id != 0 && f->home[v.id - 1] == v.id - 1) f->made_at[v.id - 1] = i;
        }
}

/* Puts the window in its order; returns where the sweep begins in it. */
static uint32_t arrange(struct former *f, uint32_t end)
{
    uint32_t at = f->first, begin = at;
    for (int part = 0; part < 3; part++) {
        if (part == 1) begin = at;
        for (uint32_t i = f->first; i < end; i++) {
            enum role r = f->role[i];
            if ((r == BEFORE ? 0 : r == MEMBER ? 1 : 2) == part) f->moved[at++] = f->order[i];
        }
    }
    memcpy(f->order + f->first, f->moved + f->first, (end - f->first) * sizeof *f->order);
    note_makers(f, f->first, end);
    return begin;
}

static void note_rewritten(struct former *f)
{
    for (uint32_t i = 0; i < f->count; i++) {
        const struct graph_node *n = f->order[i];
        if (n->op != GRAFT_OP_ACCUMULATE && n->op != GRAFT_OP_WRITE_ROWS) continue;
        const struct stored *to = stored_of(f, n->input[0]);
        for (uint32_t v = 0; to != NULL && v < graph_value_count(f->graph); v++) {
            const struct stored *s = stored_of(f, (graft_value){v + 1});
            if (s != NULL && overlap(s, to)) f->rewritten[v] = true;
        }
    }
}

static void form(struct former *f, struct sweep_mark *marks)
{
    note_makers(f, 0, f->count);
    note_rewritten(f);
    for (f->first = 0; f->first < f->count; f->first++) {
        const struct graph_node *n = f->order[f->first];
        if (!works_by_row(f, n) || value_of(f, n->output[0])->shape.dim[0] < 2) continue;
        if (!settled(f, n)) continue;
        uint32_t end = grow(f);
        if (f->members < 2) continue;
        uint32_t begin = arrange(f, end);
        marks[begin].length = (uint16_t)f->members;
        for (uint32_t i = begin; i < begin + f->members; i++)
            marks[i].by_row = rows_read(f, f->order[i]);
        f->first = begin + f->members - 1;
    }
}

bool sweeps_form(const struct graph *graph, const uint32_t *home, const struct graph_node **order,
                 uint32_t count, struct sweep_mark *marks)
{
    size_t values = graph_value_count(graph);
    struct former f = {.graph = graph,
                       .home = home,
                       .order = order,
                       .moved = mem_zalloc(count, sizeof *f.moved),
                       .count = count,
                       .role = mem_zalloc(count, sizeof *f.role),
                       .made_at = mem_alloc(values * sizeof *f.made_at),
                       .rewritten = mem_zalloc(values, sizeof *f.rewritten)};
    bool fits = f.moved != NULL && f.role != NULL && f.made_at != NULL && f.rewritten != NULL;
    if (fits) {
        memset(f.made_at, 0xFF, values * sizeof *f.made_at);
        form(&f, marks);
    }
    mem_free(f.moved);
    mem_free(f.role);
    mem_free(f.made_at);
    mem_free(f.rewritten);
    return fits;
}

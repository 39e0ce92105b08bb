/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of the elementwise ops: both operands repeated along every combination of axes, live rows,
 * special numbers, lengths around a vector's and a task's.
 */
#include "check/case.h"

#include <math.h>

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))

static const int32_t binary_ops[] = {GRAFT_OP_ADD, GRAFT_OP_SUB,     GRAFT_OP_MUL,
                                     GRAFT_OP_DIV, GRAFT_OP_MINIMUM, GRAFT_OP_MAXIMUM};
static const int32_t unary_ops[] = {
    GRAFT_OP_AFFINE,  GRAFT_OP_SQRT, GRAFT_OP_EXP,      GRAFT_OP_EXPM1, GRAFT_OP_TANH,
    GRAFT_OP_SIGMOID, GRAFT_OP_SILU, GRAFT_OP_FINITE,   GRAFT_OP_ABS,   GRAFT_OP_SIGN,
    GRAFT_OP_RELU,    GRAFT_OP_GELU, GRAFT_OP_GELU_TANH};

/* live: -1 none; else the first dimension of the first (and, where it has one, the second) operand
 * is a capacity of token rows. */
static const struct pair {
    struct graft_shape a, b;
    int64_t live;
} pairs[] = {
    {{{1, 1, 1, 1}, 1}, {{1, 1, 1, 1}, 1}, -1},
    {{{5, 1, 1, 1}, 1}, {{5, 1, 1, 1}, 1}, -1},
    {{{70000, 1, 1, 1}, 1}, {{70000, 1, 1, 1}, 1}, -1},
    {{{70001, 1, 1, 1}, 1}, {{1, 1, 1, 1}, 1}, -1},
    {{{1, 1, 1, 1}, 1}, {{33, 1, 1, 1}, 1}, -1},
    {{{7, 19, 1, 1}, 2}, {{19, 1, 1, 1}, 1}, -1},
    {{{19, 1, 1, 1}, 1}, {{7, 19, 1, 1}, 2}, -1},
    {{{7, 19, 1, 1}, 2}, {{7, 1, 1, 1}, 2}, -1},
    {{{7, 1, 1, 1}, 2}, {{1, 19, 1, 1}, 2}, -1},
    {{{3, 4, 5, 6}, 4}, {{3, 4, 5, 6}, 4}, -1},
    {{{3, 1, 5, 1}, 4}, {{4, 1, 6, 1}, 3}, -1},
    {{{3, 4, 5, 1}, 3}, {{1, 4, 1, 1}, 3}, -1},
    {{{12, 40, 1, 1}, 2}, {{12, 40, 1, 1}, 2}, 5},
    {{{12, 40, 1, 1}, 2}, {{40, 1, 1, 1}, 1}, 12},
    {{{12, 40, 1, 1}, 2}, {{1, 1, 1, 1}, 1}, 1},
    {{{12, 40, 1, 1}, 2}, {{12, 1, 1, 1}, 2}, 7},
    {{{12, 40, 1, 1}, 2}, {{12, 40, 1, 1}, 2}, 0},
};

static const struct line {
    struct graft_shape a;
    int64_t live;
    enum fill fill;
    double scale;
} lines[] = {
    {{{1, 1, 1, 1}, 1}, -1, FILL_NORMAL, 0},    {{{7, 1, 1, 1}, 1}, -1, FILL_NORMAL, 1e-4},
    {{{37, 1, 1, 1}, 1}, -1, FILL_NORMAL, 20},  {{{5, 33, 1, 1}, 2}, -1, FILL_NORMAL, 0},
    {{{2, 3, 5, 7}, 4}, -1, FILL_NORMAL, 4},    {{{70003, 1, 1, 1}, 1}, -1, FILL_NORMAL, 0},
    {{{12, 40, 1, 1}, 2}, 5, FILL_NORMAL, 0},   {{{12, 40, 1, 1}, 2}, 0, FILL_NORMAL, 0},
    {{{400, 1, 1, 1}, 1}, -1, FILL_SPECIAL, 0}, {{{19, 1, 1, 1}, 1}, -1, FILL_ZERO, 0},
};

static void make_binary(struct check_case *c, int32_t op, const struct pair *p)
{
    char a[64], b[64];
    bool first = p->live >= 0;
    bool both = first && p->b.rank == p->a.rank && p->b.dim[0] == p->a.dim[0];
    case_begin(c, op, "%s with %s, live %d", shape_text(p->a, a), shape_text(p->b, b),
               (int)p->live);
    case_input(c, FILL_NORMAL, p->a, first ? GRAFT_ROWS_TOKENS : GRAFT_ROWS_FIXED);
    case_input(c, op == GRAFT_OP_DIV ? FILL_AWAY : FILL_NORMAL, p->b,
               both ? GRAFT_ROWS_TOKENS : GRAFT_ROWS_FIXED);
    case_live(c, first ? p->live : 0, 0);
}

static void make_unary(struct check_case *c, int32_t op, const struct line *l)
{
    char a[64];
    enum fill fill = l->fill;
    bool kink = op == GRAFT_OP_ABS || op == GRAFT_OP_SIGN || op == GRAFT_OP_RELU;
    if (kink && fill == FILL_NORMAL && l->scale == 0.0) fill = FILL_AWAY;
    if (op == GRAFT_OP_SQRT) fill = FILL_POSITIVE;
    if (op != GRAFT_OP_FINITE && fill == FILL_SPECIAL) fill = FILL_NORMAL;
    case_begin(c, op, "%s, scale %g, live %d", shape_text(l->a, a), l->scale, (int)l->live);
    case_input(c, fill, l->a, l->live >= 0 ? GRAFT_ROWS_TOKENS : GRAFT_ROWS_FIXED)->scale =
        l->scale;
    case_live(c, l->live >= 0 ? l->live : 0, 0);
    if (op == GRAFT_OP_AFFINE) {
        c->params.affine.scale = -0.7;
        c->params.affine.shift = l->scale > 1.0 ? 0.0 : 0.3;
    }
}

static void make(uint32_t index, struct check_case *c)
{
    uint32_t binary = COUNT(binary_ops) * COUNT(pairs);
    if (index < binary)
        make_binary(c, binary_ops[index / COUNT(pairs)], &pairs[index % COUNT(pairs)]);
    else
        make_unary(c, unary_ops[(index - binary) / COUNT(lines)],
                   &lines[(index - binary) % COUNT(lines)]);
}

static int64_t magnitude(struct check_data *d)
{
    int64_t count = graft_shape_count(d->call.out[0].shape);
    const double *a = f64_in(d, 0), *out = f64_out(d, 0);
    for (int64_t i = 0; i < count; i++) {
        double m = fabs(out[i]);
        switch (d->c.op) {
        case GRAFT_OP_EXP:
        case GRAFT_OP_SIGMOID:
        case GRAFT_OP_SILU: m *= 1.0 + fabs(a[i]); break;
        case GRAFT_OP_GELU:
        case GRAFT_OP_GELU_TANH: m = fabs(a[i]); break;
        case GRAFT_OP_AFFINE:
            m = fabs(d->c.params.affine.scale * a[i]) + fabs(d->c.params.affine.shift);
            break;
        default: break;
        }
        d->budget[0][i] = m;
    }
    return 0;
}

const struct check_family check_elementwise = {COUNT(binary_ops) * COUNT(pairs) +
                                                   COUNT(unary_ops) * COUNT(lines),
                                               make, NULL, magnitude, NULL};

/* Broadcast and reshape: copies. */
static const struct copy {
    int32_t op;
    struct graft_shape x, to;
    int64_t live;
} copies[] = {
    {GRAFT_OP_BROADCAST, {{1, 1, 1, 1}, 1}, {{9, 1, 1, 1}, 1}, -1},
    {GRAFT_OP_BROADCAST, {{1, 1, 1, 1}, 1}, {{3, 5, 7, 2}, 4}, -1},
    {GRAFT_OP_BROADCAST, {{6, 1, 1, 1}, 2}, {{6, 41, 1, 1}, 2}, -1},
    {GRAFT_OP_BROADCAST, {{1, 41, 1, 1}, 2}, {{300, 41, 1, 1}, 2}, -1},
    {GRAFT_OP_BROADCAST, {{2, 1, 3, 1}, 3}, {{2, 4, 3, 1}, 3}, -1},
    {GRAFT_OP_BROADCAST, {{41, 1, 1, 1}, 1}, {{10, 41, 1, 1}, 2}, 6},
    {GRAFT_OP_BROADCAST, {{10, 1, 1, 1}, 2}, {{10, 41, 1, 1}, 2}, 6},
    {GRAFT_OP_RESHAPE, {{6, 4, 1, 1}, 2}, {{24, 1, 1, 1}, 1}, -1},
    {GRAFT_OP_RESHAPE, {{6, 40, 1, 1}, 2}, {{6, 8, 5, 1}, 3}, 4},
    {GRAFT_OP_RESHAPE, {{6, 40, 1, 1}, 2}, {{6, 8, 5, 1}, 3}, 0},
};

static void make_copy(uint32_t index, struct check_case *c)
{
    const struct copy *p = &copies[index];
    char a[64], b[64];
    bool rows = p->live >= 0 && p->x.rank == p->to.rank;
    rows = rows || (p->live >= 0 && p->op == GRAFT_OP_RESHAPE);
    case_begin(c, p->op, "%s to %s, live %d", shape_text(p->x, a), shape_text(p->to, b),
               (int)p->live);
    case_input(c, FILL_NORMAL, p->x, rows ? GRAFT_ROWS_TOKENS : GRAFT_ROWS_FIXED);
    case_live(c, p->live >= 0 ? p->live : 0, 0);
    c->params.shape = p->to;
}

static int64_t magnitude_none(struct check_data *d)
{
    (void)d;
    return 0;
}

const struct check_family check_broadcast = {COUNT(copies), make_copy, NULL, magnitude_none, NULL};

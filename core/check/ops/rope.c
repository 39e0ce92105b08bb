/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of rotary embeddings: both pairings, partial rotary, both directions.
 */
#include "check/case.h"

#include <math.h>

static const int64_t tables[][4] = {/* tokens, live, rotary, largest position */
                                    {1, 1, 2, 1},
                                    {9, 9, 64, 100},
                                    {70, 41, 20, 5000},
                                    {5, 0, 8, 10},
                                    {3, 3, 128, 100000}};
static const int64_t sizes[][5] = {/* tokens, live, heads, head size, rotary */
                                   {1, 1, 1, 2, 2},     {7, 7, 3, 8, 8},   {70, 41, 9, 64, 64},
                                   {33, 33, 2, 80, 20}, {5, 0, 2, 16, 16}, {260, 257, 1, 6, 4}};

enum { TABLES = sizeof tables / sizeof tables[0], SIZES = sizeof sizes / sizeof sizes[0] };

static void make_table(uint32_t index, struct check_case *c)
{
    const int64_t *s = tables[index];
    case_begin(c, GRAFT_OP_ROPE_TABLE, "tokens %d live %d rotary %d positions below %d", (int)s[0],
               (int)s[1], (int)s[2], (int)s[3]);
    case_input(c, FILL_INDEX, graft_shape1(s[0]), GRAFT_ROWS_TOKENS)->limit = s[3];
    case_input(c, FILL_POSITIVE, graft_shape1(s[2] / 2), GRAFT_ROWS_FIXED);
    case_live(c, s[1], 0);
    c->params.rope.factor = index % 2 ? 1.25 : 1.0;
}

/* base^(-2i / rotary), as models have it */
static void frequencies(struct check_data *d, struct draw *draw)
{
    double *f = d->call.in[1].data;
    int64_t n = d->call.in[1].shape.dim[0];
    (void)draw;
    for (int64_t i = 0; i < n; i++) f[i] = pow(10000.0, -(double)i / (double)n);
}

static int64_t magnitude_table(struct check_data *d)
{
    int64_t rows = d->call.out[0].shape.dim[0], n = d->call.in[1].shape.dim[0];
    for (int64_t t = 0; t < rows; t++)
        for (int64_t i = 0; i < 2 * n; i++)
            d->budget[0][t * 2 * n + i] =
                d->c.params.rope.factor * (1.0 + fabs(i32_in(d, 0)[t] * f64_in(d, 1)[i % n]));
    return 0;
}

static void make_rope(uint32_t index, struct check_case *c)
{
    const int64_t *s = sizes[index / 4];
    case_begin(c, GRAFT_OP_ROPE, "tokens %d live %d heads %d size %d rotary %d%s%s", (int)s[0],
               (int)s[1], (int)s[2], (int)s[3], (int)s[4], index & 1 ? " interleaved" : "",
               index & 2 ? " inverse" : "");
    case_input(c, FILL_NORMAL, graft_shape2(s[0], s[2] * s[3]), GRAFT_ROWS_TOKENS);
    case_input(c, FILL_NORMAL, graft_shape2(s[0], s[4]), GRAFT_ROWS_TOKENS);
    case_live(c, s[1], 0);
    c->params.rope.head_size = (int32_t)s[3];
    c->params.rope.rotary = (int32_t)s[4];
    c->params.rope.interleaved = index & 1;
    c->params.rope.inverse = index >> 1 & 1;
}

/* Both numbers of a pair: |x| and |y| times the larger of |cos| and |sin|; passed ones: exact. */
static int64_t magnitude_rope(struct check_data *d)
{
    const double *x = f64_in(d, 0), *table = f64_in(d, 1);
    int64_t rows = d->call.in[0].shape.dim[0], width = d->call.in[0].shape.dim[1];
    int64_t size = d->c.params.rope.head_size, n = d->c.params.rope.rotary / 2;
    for (int64_t t = 0; t < rows; t++)
        for (int64_t h = 0; h < width; h += size)
            for (int64_t i = 0; i < n; i++) {
                int64_t at = t * width + h;
                int64_t first = at + (d->c.params.rope.interleaved ? 2 * i : i);
                int64_t second = first + (d->c.params.rope.interleaved ? 1 : n);
                double c = fabs(table[t * 2 * n + i]), s = fabs(table[t * 2 * n + n + i]);
                d->budget[0][first] = fabs(x[first]) * c + fabs(x[second]) * s;
                d->budget[0][second] = fabs(x[first]) * s + fabs(x[second]) * c;
            }
    return 0;
}

const struct check_family check_rope_table = {TABLES, make_table, frequencies, magnitude_table,
                                              NULL};
const struct check_family check_rope = {4 * SIZES, make_rope, NULL, magnitude_rope, NULL};

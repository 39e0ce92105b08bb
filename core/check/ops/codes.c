/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of block-wise 8-bit codes, on bitsandbytes' dynamic map: blocks of zeros, numbers over
 * many magnitudes, a short last block.
 */
#include "check/case.h"

#include <float.h>
#include <math.h>

static const struct size {
    int64_t numbers, block;
    double scale;
    enum fill fill;
} sizes[] = {
    {1, 256, 0, FILL_NORMAL},         {256, 256, 0, FILL_NORMAL}, {4096, 64, 1e-6, FILL_NORMAL},
    {70000, 256, 1e-3, FILL_NORMAL},  {1000, 256, 0, FILL_ZERO},  {300, 4096, 20, FILL_NORMAL},
    {5000, 2048, 1e-30, FILL_NORMAL}, {77, 1, 0, FILL_NORMAL},    {513, 7, 0, FILL_POSITIVE}};

enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void make_encode(uint32_t index, struct check_case *c)
{
    const struct size *s = &sizes[index % SIZES];
    uint32_t absent = index / SIZES;
    case_begin(c, GRAFT_OP_ENCODE, "%d in %d, scale %g, fill %d, absent %u", (int)s->numbers,
               (int)s->block, s->scale, (int)s->fill, absent);
    case_input(c, s->fill, graft_shape1(s->numbers), GRAFT_ROWS_FIXED)->scale = s->scale;
    case_input(c, FILL_MAP, graft_shape1(256), GRAFT_ROWS_FIXED);
    c->params.codes.block = s->block;
    c->absent = absent;
}

/* Every eighth number is its block's start again a thousand times smaller, the middle block 0. */
static void spread(struct check_data *d, struct draw *draw)
{
    double *x = d->call.in[0].data;
    int64_t n = d->call.in[0].shape.dim[0], block = d->c.params.codes.block;
    (void)draw;
    for (int64_t i = 0; i < n; i += 8) x[i] *= 1e-3;
    for (int64_t i = 2 * block; i < n && i < 3 * block; i++) x[i] = 0.0;
}

static void make_decode(uint32_t index, struct check_case *c)
{
    const struct size *s = &sizes[index];
    int64_t scales = (s->numbers + s->block - 1) / s->block;
    case_begin(c, GRAFT_OP_DECODE, "%d in %d, scale %g", (int)s->numbers, (int)s->block, s->scale);
    case_input(c, FILL_CODE, graft_shape1(s->numbers), GRAFT_ROWS_FIXED);
    case_input(c, s->fill, graft_shape1(scales), GRAFT_ROWS_FIXED)->scale = s->scale;
    case_input(c, FILL_MAP, graft_shape1(256), GRAFT_ROWS_FIXED);
    c->params.codes.block = s->block;
}

static int64_t magnitude(struct check_data *d)
{
    int64_t count = graft_shape_count(d->call.out[0].shape);
    if (d->c.op == GRAFT_OP_ENCODE) return 0;
    for (int64_t i = 0; i < count; i++) d->budget[0][i] = fabs(f64_out(d, 0)[i]);
    return 0;
}

/* A code that is no farther than rounding of the quotient can make it. */
static bool accept(const struct check_data *d, uint32_t output, int64_t at, int32_t found)
{
    const double *x = f64_in(d, 0), *map = f64_in(d, 1), *scale = f64_out(d, 1);
    const uint8_t *best = d->call.out[0].data;
    if (output != 0 || found < 0 || found > 255 || scale[at / d->c.params.codes.block] == 0.0)
        return false;
    double quotient = x[at] / scale[at / d->c.params.codes.block];
    return fabs(map[found] - quotient) <=
           fabs(map[best[at]] - quotient) + 4 * FLT_EPSILON * fabs(quotient);
}

const struct check_family check_encode = {3 * SIZES, make_encode, spread, magnitude, accept};
const struct check_family check_decode = {SIZES, make_decode, NULL, magnitude, NULL};

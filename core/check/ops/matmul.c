/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of products: transposes, batches, live rows outside and inside the sum, every storage type
 * of the second operand.
 */
#include "check/case.h"

#include "ref/quant.h"
#include "ref/ref.h"

#include <math.h>

/* A product over its own small table; K fits blocks of 32, 256 where the type needs it. */
static const struct size {
    int64_t m, n, k, live; /* live: of m (plain) or of k (transposed a); -1: fixed rows */
    int32_t ta, tb;
} sizes[] = {
    {1, 1, 1, -1, 0, 0},      {1, 17, 33, -1, 0, 1},    {3, 5, 7, -1, 0, 0},
    {3, 5, 7, -1, 0, 1},      {3, 5, 7, -1, 1, 0},      {3, 5, 7, -1, 1, 1},
    {65, 130, 67, -1, 0, 0},  {65, 130, 67, -1, 0, 1},  {65, 130, 67, -1, 1, 0},
    {65, 130, 67, -1, 1, 1},  {8, 300, 513, -1, 0, 1},  {129, 16, 1025, -1, 0, 1},
    {17, 9, 2000, -1, 1, 0},  {40, 48, 64, 23, 0, 1},   {40, 48, 64, 1, 0, 0},
    {40, 48, 64, 0, 0, 1},    {40, 8, 96, 57, 1, 0},    {40, 8, 96, 0, 1, 0},
    {16, 24, 4096, -1, 0, 1}, {301, 70, 300, -1, 1, 0}, {301, 70, 300, 261, 1, 0},
    {301, 5, 300, -1, 1, 1},
};

static const int64_t batches[][4] = {
    {1, 4, 4, 4}, {3, 5, 7, 9}, {2, 33, 17, 65}, {5, 1, 30, 8}}; /* batch, m, n, k */

static const int32_t types[] = {GRAFT_DTYPE_F32,  GRAFT_DTYPE_F16,  GRAFT_DTYPE_BF16,
                                GRAFT_DTYPE_Q8_0, GRAFT_DTYPE_Q4_0, GRAFT_DTYPE_Q4_1,
                                GRAFT_DTYPE_Q5_0, GRAFT_DTYPE_Q5_1, GRAFT_DTYPE_Q4_K,
                                GRAFT_DTYPE_Q5_K, GRAFT_DTYPE_Q6_K, GRAFT_DTYPE_NF4};

/* rows and columns of the stored weight, rows of x, whether it is transposed (forward) */
static const struct stored_size {
    int64_t rows, cols, m, live;
    int32_t tb;
} stored[] = {{1, 256, 1, -1, 1},   {24, 512, 1, -1, 1},   {70, 256, 33, 20, 1},
              {24, 512, 5, -1, 0},  {70, 256, 33, 20, 0},  {33, 768, 130, -1, 1},
              {33, 768, 130, 0, 1}, {130, 256, 65, -1, 0}, {96, 1536, 3, -1, 1}};

enum {
    SIZES = sizeof sizes / sizeof sizes[0],
    BATCHES = 4 * sizeof batches / sizeof batches[0],
    STORED = sizeof stored / sizeof stored[0],
    TYPES = sizeof types / sizeof types[0]
};

static void make_size(struct check_case *c, const struct size *s)
{
    bool live = s->live >= 0;
    int32_t rows = live ? GRAFT_ROWS_TOKENS : GRAFT_ROWS_FIXED;
    case_begin(c, GRAFT_OP_MATMUL, "m %d n %d k %d transpose %d %d live %d", (int)s->m, (int)s->n,
               (int)s->k, s->ta, s->tb, (int)s->live);
    case_input(c, FILL_NORMAL, s->ta ? graft_shape2(s->k, s->m) : graft_shape2(s->m, s->k), rows);
    case_input(c, FILL_NORMAL, s->tb ? graft_shape2(s->n, s->k) : graft_shape2(s->k, s->n),
               s->ta ? rows : GRAFT_ROWS_FIXED);
    case_live(c, live ? s->live : 0, 0);
    c->params.matmul.transpose_a = s->ta;
    c->params.matmul.transpose_b = s->tb;
}

static void make_batch(struct check_case *c, uint32_t index)
{
    const int64_t *b = batches[index / 4];
    int32_t ta = index & 1, tb = index >> 1 & 1;
    case_begin(c, GRAFT_OP_MATMUL, "batch %d m %d n %d k %d transpose %d %d", (int)b[0], (int)b[1],
               (int)b[2], (int)b[3], ta, tb);
    case_input(c, FILL_NORMAL, ta ? graft_shape3(b[0], b[3], b[1]) : graft_shape3(b[0], b[1], b[3]),
               0);
    case_input(c, FILL_NORMAL, tb ? graft_shape3(b[0], b[2], b[3]) : graft_shape3(b[0], b[3], b[2]),
               0);
    c->params.matmul.transpose_a = ta;
    c->params.matmul.transpose_b = tb;
}

static void make_stored(struct check_case *c, int32_t type, const struct stored_size *s)
{
    case_begin(c, GRAFT_OP_MATMUL, "weight %s [%d, %d] transpose %d m %d live %d", quant_name(type),
               (int)s->rows, (int)s->cols, s->tb, (int)s->m, (int)s->live);
    case_input(c, FILL_NORMAL, graft_shape2(s->m, s->tb ? s->cols : s->rows),
               s->live >= 0 ? GRAFT_ROWS_TOKENS : GRAFT_ROWS_FIXED);
    case_input(c, FILL_WEIGHT, graft_shape2(s->rows, s->cols), GRAFT_ROWS_FIXED)->dtype = type;
    case_live(c, s->live >= 0 ? s->live : 0, 0);
    c->params.matmul.transpose_b = s->tb;
    c->in[1].limit = type == GRAFT_DTYPE_NF4 && s->m == 5; /* one case with plain scales */
}

static void make(uint32_t index, struct check_case *c)
{
    if (index < SIZES)
        make_size(c, &sizes[index]);
    else if (index < SIZES + BATCHES)
        make_batch(c, index - SIZES);
    else
        make_stored(c, types[(index - SIZES - BATCHES) / STORED],
                    &stored[(index - SIZES - BATCHES) % STORED]);
}

/* sum |a b|: the same product of absolute values. */
static int64_t magnitude(struct check_data *d)
{
    struct kernel_call call = d->call;
    for (int i = 0; i < 2; i++) {
        int64_t count = graft_shape_count(call.in[i].shape);
        const double *from = call.in[i].data;
        if (call.in[i].dtype != GRAFT_DTYPE_F64) from = check_weight_f64(d, 1);
        double *to = arena_alloc(&d->arena, (size_t)count + 1, sizeof *to);
        if (from == NULL || to == NULL) return 0;
        for (int64_t k = 0; k < count; k++) to[k] = fabs(from[k]);
        call.in[i].data = to;
        call.in[i].dtype = GRAFT_DTYPE_F64;
    }
    call.out[0].data = d->budget[0];
    ref_kernel_f64(GRAFT_OP_MATMUL)(&call);
    int32_t first = call.in[0].shape.rank - 2;
    return call.in[0].shape.dim[first + (d->c.params.matmul.transpose_a == 0)];
}

const struct check_family check_matmul = {SIZES + BATCHES + TYPES * STORED, make, NULL, magnitude,
                                          NULL};

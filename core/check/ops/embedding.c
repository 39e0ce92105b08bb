/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of embeddings: every storage type of the table, ids outside it, and the table's gradient.
 */
#include "check/case.h"

#include "ref/quant.h"
#include "ref/ref.h"

#include <math.h>

static const int32_t types[] = {GRAFT_DTYPE_F32,  GRAFT_DTYPE_F16,  GRAFT_DTYPE_BF16,
                                GRAFT_DTYPE_Q8_0, GRAFT_DTYPE_Q4_0, GRAFT_DTYPE_Q4_1,
                                GRAFT_DTYPE_Q5_0, GRAFT_DTYPE_Q5_1, GRAFT_DTYPE_Q4_K,
                                GRAFT_DTYPE_Q5_K, GRAFT_DTYPE_Q6_K, GRAFT_DTYPE_NF4};
static const int64_t sizes[][4] = {/* vocabulary, channels, tokens, live */
                                   {1, 256, 1, 1},
                                   {50, 512, 37, 37},
                                   {300, 256, 129, 100},
                                   {50, 768, 8, 0}};

enum { SIZES = sizeof sizes / sizeof sizes[0], TYPES = sizeof types / sizeof types[0] };

/* Two more kinds: a width that is no block; ids around a table that begins at 5. */
static void make(uint32_t index, struct check_case *c)
{
    const int64_t *s = sizes[index % SIZES];
    int32_t type = types[index / SIZES % TYPES];
    bool odd = index >= SIZES * TYPES, around = index >= SIZES * (TYPES + 1);
    int64_t channels = odd ? 37 : s[1], first = around ? 5 : 0;
    if (odd) type = GRAFT_DTYPE_F32;
    case_begin(c, GRAFT_OP_EMBEDDING, "%s [%d, %d] from %d tokens %d live %d", quant_name(type),
               (int)s[0], (int)channels, (int)first, (int)s[2], (int)s[3]);
    case_input(c, FILL_INDEX, graft_shape1(s[2]), GRAFT_ROWS_TOKENS)->limit = s[0] + 3 * first;
    case_input(c, FILL_WEIGHT, graft_shape2(s[0], channels), GRAFT_ROWS_FIXED)->dtype = type;
    case_live(c, s[3], 0);
    c->params.embedding.first = first;
}

static void make_backward(uint32_t index, struct check_case *c)
{
    const int64_t *s = sizes[index % SIZES];
    int64_t first = index < SIZES ? 0 : 5, channels = index < SIZES ? 37 : s[1];
    case_begin(c, GRAFT_OP_EMBEDDING_BACKWARD, "[%d, %d] from %d tokens %d live %d", (int)s[0],
               (int)channels, (int)first, (int)s[2], (int)s[3]);
    case_input(c, FILL_NORMAL, graft_shape2(s[2], channels), GRAFT_ROWS_TOKENS);
    case_input(c, FILL_INDEX, graft_shape1(s[2]), GRAFT_ROWS_TOKENS)->limit = s[0] + 3 * first;
    case_live(c, s[3], 0);
    c->params.embedding.first = first;
    c->params.embedding.rows = s[0];
}

/* The same op on absolute values. */
static int64_t magnitude_backward(struct check_data *d)
{
    struct kernel_call call = d->call;
    int64_t count = graft_shape_count(call.in[0].shape);
    double *x = arena_alloc(&d->arena, (size_t)count + 1, sizeof *x);
    for (int64_t i = 0; x != NULL && i < count; i++) x[i] = fabs(f64_in(d, 0)[i]);
    call.in[0].data = x;
    call.out[0].data = d->budget[0];
    if (x != NULL) ref_kernel_f64(GRAFT_OP_EMBEDDING_BACKWARD)(&call);
    return call.in[1].shape.dim[0];
}

static int64_t magnitude(struct check_data *d)
{
    (void)d;
    return 0;
}

const struct check_family check_embedding = {SIZES * (TYPES + 2), make, NULL, magnitude, NULL};
const struct check_family check_embedding_backward = {2 * SIZES, make_backward, NULL,
                                                      magnitude_backward, NULL};

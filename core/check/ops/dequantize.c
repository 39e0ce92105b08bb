/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of weights as values: every storage type, narrow, wide and long ones, other ranks.
 */
#include "check/case.h"

#include "ref/quant.h"

static const int32_t types[] = {GRAFT_DTYPE_F32,  GRAFT_DTYPE_F16,  GRAFT_DTYPE_BF16,
                                GRAFT_DTYPE_Q8_0, GRAFT_DTYPE_Q4_0, GRAFT_DTYPE_Q4_1,
                                GRAFT_DTYPE_Q5_0, GRAFT_DTYPE_Q5_1, GRAFT_DTYPE_Q4_K,
                                GRAFT_DTYPE_Q5_K, GRAFT_DTYPE_Q6_K, GRAFT_DTYPE_NF4};
static const int64_t sizes[][2] = {{1, 256}, {37, 512}, {3, 20480}, {200, 256}};
static const struct graft_shape others[] = {
    {{1, 1, 1, 1}, 1}, {{70001, 1, 1, 1}, 1}, {{3, 5, 7, 1}, 3}};

enum {
    SIZES = sizeof sizes / sizeof sizes[0],
    TYPES = sizeof types / sizeof types[0],
    OTHERS = sizeof others / sizeof others[0]
};

static void make(uint32_t index, struct check_case *c)
{
    char text[64];
    int32_t type = index < SIZES * TYPES ? types[index / SIZES] : GRAFT_DTYPE_F32;
    struct graft_shape s = index < SIZES * TYPES
                               ? graft_shape2(sizes[index % SIZES][0], sizes[index % SIZES][1])
                               : others[index - SIZES * TYPES];
    case_begin(c, GRAFT_OP_DEQUANTIZE, "%s %s", quant_name(type), shape_text(s, text));
    case_input(c, s.rank == 2 ? FILL_WEIGHT : FILL_NORMAL, s, GRAFT_ROWS_FIXED)->dtype = type;
}

static int64_t magnitude(struct check_data *d)
{
    (void)d;
    return 0;
}

const struct check_family check_dequantize = {SIZES * TYPES + OTHERS, make, NULL, magnitude, NULL};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of embeddings: every storage type of the table.
 */
#include "check/case.h"

#include "ref/quant.h"

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

static void make(uint32_t index, struct check_case *c)
{
    const int64_t *s = sizes[index % SIZES];
    int32_t type = types[index / SIZES % TYPES];
    bool odd = index >= SIZES * TYPES; /* one more: a width that is no block */
    int64_t channels = odd ? 37 : s[1];
    if (odd) type = GRAFT_DTYPE_F32;
    case_begin(c, GRAFT_OP_EMBEDDING, "%s [%d, %d] tokens %d live %d", quant_name(type), (int)s[0],
               (int)channels, (int)s[2], (int)s[3]);
    case_input(c, FILL_INDEX, graft_shape1(s[2]), GRAFT_ROWS_TOKENS)->limit = s[0];
    case_input(c, FILL_WEIGHT, graft_shape2(s[0], channels), GRAFT_ROWS_FIXED)->dtype = type;
    case_live(c, s[3], 0);
}

static int64_t magnitude(struct check_data *d)
{
    (void)d;
    return 0;
}

const struct check_family check_embedding = {SIZES * TYPES + SIZES, make, NULL, magnitude, NULL};

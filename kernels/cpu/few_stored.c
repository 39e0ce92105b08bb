/* SPDX-License-Identifier: Apache-2.0
 *
 * One row without panels: a weight goes from its code to its product in registers. With more rows
 * it pays to make panels once for all.
 */
#include "cpu/few.h"
#include "cpu/lanes.h"

#if defined(__AVX2__)

enum { GROUPS = 4 /* of VEC weight rows: chains enough to hide a multiply-add's latency */ };

INLINE void compute(int32_t dtype, const struct few_stored *w, int64_t row, const float *x,
                    struct few_ahead *ahead, float *to)
{
    struct lanes l[GROUPS];
    struct turned t[GROUPS][2];
    vec map[TABLE], sum[GROUPS];
    for (int g = 0; g < GROUPS; g++) {
        lanes_at(dtype, w->weight, w->cols, row + g * VEC, w->col, &l[g], map);
        sum[g] = vec_load(to + g * VEC);
    }
    int64_t blocks = w->k / BLOCK;
    for (int64_t block = 0; block < blocks; block += 2) {
        int count = block + 1 < blocks ? 2 : 1;
        few_fetch(ahead);
        for (int g = 0; g < GROUPS; g++)
            count == 2 ? turn_two(dtype, &l[g], block, t[g]) : turn(dtype, &l[g], block, t[g]);
        for (int b = 0; b < count; b++, x += BLOCK) {
#define MULTIPLY(i)                                                                                \
    {                                                                                              \
        vec number = vec_set(x[i]);                                                                \
        for (int g = 0; g < GROUPS; g++)                                                           \
            sum[g] = vec_fma(number, column(dtype, &t[g][b], (i), map), sum[g]);                   \
    }
            COLUMNS32(MULTIPLY)
#undef MULTIPLY
        }
    }
    for (int g = 0; g < GROUPS; g++) vec_store(to + g * VEC, sum[g]);
}

bool few_stored_row(const struct few_stored *w, const float *x, struct few_ahead *ahead, float *sum)
{
    if (!lanes_know(w->dtype) || w->k % BLOCK != 0 || w->col % BLOCK != 0 || w->cols % BLOCK != 0)
        return false;
    for (int64_t j = 0; j < FEW_COLUMNS; j += GROUPS * VEC) {
#define CASE(type)                                                                                 \
    case type: compute(type, w, w->row + j, x, ahead, sum + j); break
        switch (w->dtype) {
            CASE(GRAFT_DTYPE_Q4_1);
            CASE(GRAFT_DTYPE_Q4_0);
            CASE(GRAFT_DTYPE_Q8_0);
            CASE(GRAFT_DTYPE_NF4);
            CASE(GRAFT_DTYPE_BF16);
        default: break;
        }
#undef CASE
    }
    return true;
}

#else

bool few_stored_row(const struct few_stored *w, const float *x, struct few_ahead *ahead, float *sum)
{
    (void)w, (void)x, (void)ahead, (void)sum;
    return false;
}

#endif

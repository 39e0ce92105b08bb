/* SPDX-License-Identifier: Apache-2.0
 *
 * One row without panels: a weight goes from its code to its product in registers. With more rows
 * it pays to make panels once for all.
 */
#include "cpu/few.h"
#include "cpu/lanes.h"

#if defined(__AVX2__)

enum { GROUPS = 4 /* of eight weight rows: chains enough to hide a multiply-add's latency */ };

INLINE void compute(int32_t dtype, const struct few_stored *w, int64_t row, const float *x,
                    float *to)
{
    struct lanes l[GROUPS];
    struct turned t[GROUPS];
    __m256 map[2], sum[GROUPS];
    for (int g = 0; g < GROUPS; g++) {
        lanes_at(dtype, w->weight, w->cols, row + g * LANES, w->col, &l[g], map);
        sum[g] = _mm256_loadu_ps(to + g * LANES);
    }
    for (int64_t k = 0; k < w->k; k += BLOCK, x += BLOCK) {
        for (int g = 0; g < GROUPS; g++) turn(dtype, &l[g], k / BLOCK, &t[g]);
#define MULTIPLY(i)                                                                                \
    {                                                                                              \
        __m256 number = _mm256_set1_ps(x[i]);                                                      \
        for (int g = 0; g < GROUPS; g++)                                                           \
            sum[g] = _mm256_fmadd_ps(number, column(dtype, &t[g], (i), map), sum[g]);              \
    }
        COLUMNS32(MULTIPLY)
#undef MULTIPLY
    }
    for (int g = 0; g < GROUPS; g++) _mm256_storeu_ps(to + g * LANES, sum[g]);
}

bool few_stored_row(const struct few_stored *w, const float *x, float *sum)
{
    if (!lanes_know(w->dtype) || w->k % BLOCK != 0 || w->col % BLOCK != 0 || w->cols % BLOCK != 0)
        return false;
    for (int64_t j = 0; j < FEW_COLUMNS; j += GROUPS * LANES) {
#define CASE(type)                                                                                 \
    case type: compute(type, w, w->row + j, x, sum + j); break
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

bool few_stored_row(const struct few_stored *w, const float *x, float *sum)
{
    (void)w, (void)x, (void)sum;
    return false;
}

#endif

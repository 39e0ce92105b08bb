/* SPDX-License-Identifier: Apache-2.0
 *
 * One row without panels: a weight goes from its code to its product in registers. With more rows
 * it pays to make panels once for all.
 */
#include "cpu/few.h"
#include "cpu/lanes.h"

#if defined(__AVX2__)

enum { GROUPS = 4 /* of VEC weight rows: chains enough to hide a multiply-add's latency */ };

/* The columns of one pass over a block. `pass` is a constant: a shift by a variable costs double.
 */
INLINE void multiply(int32_t dtype, int pass, const struct turned *t /* [GROUPS], 2 apart */,
                     const float *x, const vec map[TABLE], struct few_ahead *ahead, vec sum[GROUPS])
{
    int columns = lanes_columns(dtype);
    for (int word = 0; word < lanes_words(dtype); word++) {
        for (int i = 0; i < columns; i++) {
            vec number = vec_set(*x++);
            for (int g = 0; g < GROUPS; g++)
                sum[g] = vec_fma(number, column(dtype, t + 2 * g, pass, word, i, map), sum[g]);
        }
        if ((word + 1) * columns % FEW_STRIP == 0) few_fetch(ahead);
    }
}

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
        for (int g = 0; g < GROUPS; g++) turn(dtype, &l[g], block, count, t[g]);
        for (int b = 0; b < count; b++, x += BLOCK) {
            multiply(dtype, 0, &t[0][b], x, map, ahead, sum);
            if (lanes_passes(dtype) == 2)
                multiply(dtype, 1, &t[0][b], x + BLOCK / 2, map, ahead, sum);
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

/* SPDX-License-Identifier: Apache-2.0
 *
 * Weight rows become the lanes of a register: their codes are turned in words of four bytes, which
 * is cheaper than turning the numbers they stand for, and a scale is a vector. The arithmetic is
 * the reference's, operation for operation. What has no short cut here, and a remainder of fewer
 * rows than a register has lanes, goes through a tile.
 */
#include "cpu/panels.h"

#include "cpu/dequantize.h"
#include "cpu/gemm.h"
#include "cpu/lanes.h"

#include <stdbool.h>

#if defined(__AVX2__)

/* The columns of one pass over a block. */
INLINE void put(int32_t dtype, int pass, const struct turned *t, const vec map[TABLE], float *to)
{
    for (int word = 0; word < lanes_words(dtype); word++)
        for (int i = 0; i < lanes_columns(dtype); i++, to += GEMM_PANEL)
            vec_store(to, column(dtype, t, pass, t->words[word], i, map));
}

/* VEC rows by k columns, to[column * GEMM_PANEL + lane]. */
INLINE void turn_columns(int32_t dtype, const void *weight, int64_t cols, int64_t row, int64_t col,
                         int64_t k, float *to)
{
    struct lanes l;
    struct turned t[2];
    vec map[TABLE];
    lanes_at(dtype, weight, cols, row, col, &l, map);
    int64_t blocks = k / BLOCK;
    for (int64_t block = 0; block < blocks; block += 2) {
        int count = block + 1 < blocks ? 2 : 1;
        turn(dtype, &l, block, count, t);
        for (int b = 0; b < count; b++, to += BLOCK * GEMM_PANEL) {
            put(dtype, 0, &t[b], map, to);
            if (lanes_passes(dtype) == 2) put(dtype, 1, &t[b], map, to + BLOCK / 2 * GEMM_PANEL);
        }
    }
}

/* Rows [row0, row0 + n) for whole groups of VEC; returns how many rows that were. */
static int64_t turn_lanes(int32_t dtype, const void *weight, int64_t cols, int64_t row0, int64_t n,
                          int64_t col0, int64_t k, float *panels)
{
    if (!lanes_know(dtype) || k % BLOCK != 0 || col0 % BLOCK != 0 || cols % BLOCK != 0) return 0;
    int64_t j = 0;
    for (; j + VEC <= n; j += VEC) {
        float *to = panels + j / GEMM_PANEL * GEMM_PANEL * k + j % GEMM_PANEL;
#define CASE(type)                                                                                 \
    case type: turn_columns(type, weight, cols, row0 + j, col0, k, to); break;
        switch (dtype) {
            LANES_TYPES(CASE)
        default: break;
        }
#undef CASE
    }
    return j;
}

#else

static int64_t turn_lanes(int32_t dtype, const void *weight, int64_t cols, int64_t row0, int64_t n,
                          int64_t col0, int64_t k, float *panels)
{
    (void)dtype, (void)weight, (void)cols, (void)row0, (void)n, (void)col0, (void)k, (void)panels;
    return 0;
}

#endif

void cpu_panels(int32_t dtype, const void *weight, int64_t cols, int64_t row0, int64_t n,
                int64_t col0, int64_t k, float *tile, float *panels)
{
    if (dtype == GRAFT_DTYPE_F32) {
        gemm_pack_columns((const float *)weight + row0 * cols + col0, cols, k, n, panels);
        return;
    }
    int64_t done = turn_lanes(dtype, weight, cols, row0, n, col0, k, panels);
    if (done == n && n % GEMM_PANEL == 0) return;
    /* The panel that is not whole, anew: its columns past n are zeros. */
    done = done / GEMM_PANEL * GEMM_PANEL;
    cpu_dequantize(dtype, weight, cols, row0 + done, n - done, col0, k, tile);
    gemm_pack_columns(tile, k, k, n - done, panels + done * k);
}

const uint8_t *cpu_weight_rows(int32_t dtype, const void *weight, int64_t cols, int64_t row0,
                               int64_t n, int64_t *bytes)
{
    const struct graft_nf4 *nf4 = weight;
    bool fours = dtype == GRAFT_DTYPE_NF4;
    int64_t row = fours ? cols / 2 : (int64_t)quant_row_bytes(dtype, cols);
    *bytes = n * row;
    return (const uint8_t *)weight + (fours ? (int64_t)nf4->codes : 0) + row0 * row;
}

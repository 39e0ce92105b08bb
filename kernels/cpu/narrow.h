/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of bf16 numbers with f32 sums, for processors with instructions for them. The driver
 * (matmul.c, head_loss.c) rounds and packs the operands; a micro-kernel is one file per instruction
 * set, compiled with its own flags and picked at run time.
 */
#ifndef KERNELS_CPU_NARROW_H
#define KERNELS_CPU_NARROW_H

#include <stdbool.h>
#include <stdint.h>

enum {
    NARROW_TILE = 16,  /* rows of a and columns of b that are multiplied at once */
    NARROW_STEP = 32,  /* k of a packed operand is a multiple, padded with zeros */
    NARROW_DEPTH = 256 /* most k of a packed b; a multiple of every quantization block */
};

/* c [m, n] = (add: c +) a [m, k] · b [k, n]. k is a multiple of NARROW_STEP. */
struct narrow_gemm {
    int64_t m, n, k;
    const uint16_t *a; /* [m up to a multiple of NARROW_TILE, k] of bf16 */
    int64_t a_row;     /* numbers from row to row */
    const uint16_t *b; /* narrow_pack_*: panels of NARROW_TILE columns, [k / 2][column][2] each */
    float *c;
    int64_t c_row;
    bool add;
};

struct cpu_narrow {
    const char *name;
    void (*gemm)(const struct narrow_gemm *g);
};

/* Numbers of a packed row of k, and of a packed b [k, n]. */
static inline int64_t narrow_k(int64_t k)
{
    return (k + NARROW_STEP - 1) / NARROW_STEP * NARROW_STEP;
}

static inline int64_t narrow_packed(int64_t k, int64_t n)
{
    return narrow_k(k) * ((n + NARROW_TILE - 1) / NARROW_TILE * NARROW_TILE);
}

/* a's rows [rows, k], rounded to nearest even; rows of the result are narrow_k(k) long. */
void narrow_pack_a(const float *from, int64_t row, int64_t rows, int64_t k, uint16_t *to);
/* b[p, j] = from[p * row + j] */
void narrow_pack_rows(const float *from, int64_t row, int64_t k, int64_t n, uint16_t *panels);
/* b[p, j] = from[j * row + p] */
void narrow_pack_columns(const float *from, int64_t row, int64_t k, int64_t n, uint16_t *panels);
/* b[p, j] is column col0 + p of weight row row0 + j, of any storage type; tile: room for the part.
 */
void narrow_panels(int32_t dtype, const void *weight, int64_t cols, int64_t row0, int64_t n,
                   int64_t col0, int64_t k, float *tile, uint16_t *panels);

/* The rest of a tile at an edge: c [m, n] = (add: c +) tile. */
static inline void narrow_edge(const float *tile, int64_t tile_row, int64_t m, int64_t n, float *c,
                               int64_t c_row, bool add)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            c[i * c_row + j] =
                add ? c[i * c_row + j] + tile[i * tile_row + j] : tile[i * tile_row + j];
}

#endif

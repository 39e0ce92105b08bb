/* SPDX-License-Identifier: Apache-2.0
 *
 * The f32 product under matmul, head_loss and attention, on one thread. A number of the result is
 * the sum over chunks of GEMM_DEPTH of k, each a chain of multiply-adds from zero: it does not
 * depend on how many rows or columns are computed beside it.
 */
#ifndef KERNELS_CPU_GEMM_H
#define KERNELS_CPU_GEMM_H

#include "cpu/vec.h"

#include <stdint.h>

#if defined(__AVX512F__)
enum { GEMM_ROWS = 12 };
#elif defined(__aarch64__)
enum { GEMM_ROWS = 8 };
#else
enum { GEMM_ROWS = 6 };
#endif
/* A panel is GEMM_PANEL columns wide; GEMM_DEPTH is a multiple of every quantization block. */
enum { GEMM_PANEL = 2 * VEC, GEMM_DEPTH = 256 };
/* Columns of a no further apart than this are read where they are; else a's rows are gathered, once
 * for all of b's columns. */
enum { GEMM_NEAR = 256 };

/* c [m, n] = (add: c +) a [m, k] · b [k, n]. One of a_row, a_col is 1. */
struct gemm {
    int64_t m, n, k;
    const float *a; /* a[i, p] = a[i * a_row + p * a_col] */
    int64_t a_row, a_col;
    const float
        *b; /* b[p, j] = b[p * b_row + j]; b_row 0: panels of gemm_pack_*, k <= GEMM_DEPTH */
    int64_t b_row;
    float *c; /* c[i * c_row + j] */
    int64_t c_row;
    int add;
};

void gemm(const struct gemm *g);

/* Floats of a packed b [k, n]. */
static inline int64_t gemm_packed(int64_t k, int64_t n)
{
    return k * ((n + GEMM_PANEL - 1) / GEMM_PANEL * GEMM_PANEL);
}
/* b[p, j] = from[p * row + j] */
void gemm_pack_rows(const float *from, int64_t row, int64_t k, int64_t n, float *panels);
/* b[p, j] = from[j * row + p] */
void gemm_pack_columns(const float *from, int64_t row, int64_t k, int64_t n, float *panels);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * A few rows times a weight [.., K], for decoding: memory feeds each weight once for all of them.
 * The numbers are gemm's, bit for bit, so that a token's do not depend on how many are computed
 * beside it.
 */
#ifndef KERNELS_CPU_FEW_H
#define KERNELS_CPU_FEW_H

#include "cpu/gemm.h"

#include <stdbool.h>

enum { FEW_ROWS = 24, FEW_COLUMNS = 2 * GEMM_PANEL };

/* c [m, n] = x [m, cols] times weight rows [first, first + n), turned. */
struct few {
    int32_t dtype;
    const void *weight; /* [rows, cols] of any storage type */
    int64_t rows, cols, first, n;
    const float *x;
    int64_t m; /* at most FEW_ROWS */
    float *c;
    int64_t c_row;
};

/* tile, panels: of scratch, room for FEW_COLUMNS x GEMM_DEPTH numbers each. */
void few_product(const struct few *f, float *tile, float *panels);

/* FEW_COLUMNS rows of a stored weight [.., cols] from `row`, k of its columns from `col`. */
struct few_stored {
    int32_t dtype;
    const void *weight;
    int64_t cols, row, col, k;
};

/* sum [FEW_COLUMNS] goes on with x [k] times these weights, straight from their codes: each number
 * is one chain of multiply-adds over all calls since it was zero. False, and nothing done: the type
 * has no short cut. */
bool few_stored_row(const struct few_stored *weights, const float *x, float *sum);

#endif

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

enum {
    FEW_ROWS = 24,
    FEW_COLUMNS = 2 * GEMM_PANEL,
    FEW_STRIP = 8, /* columns that are computed between two parts of few_ahead */
    FEW_LINE = 64   /* bytes of a cache line */
};

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

/* Bytes that will be read soon, by this task or the one behind it: fetched part by part, so that
 * memory works while we compute. The hardware does not see the pattern: pieces of many rows. */
struct few_ahead {
    const uint8_t *at, *end;
    int64_t step;
};

static inline void few_fetch(struct few_ahead *ahead)
{
    int64_t left = ahead->end - ahead->at;
    const uint8_t *end = ahead->at + (left < ahead->step ? left : ahead->step);
    for (; ahead->at < end; ahead->at += FEW_LINE) __builtin_prefetch(ahead->at, 0, 2);
}

/* sum [FEW_COLUMNS] goes on with x [k] times these weights, straight from their codes: each number
 * is one chain of multiply-adds over all calls since it was zero. False, and nothing done: the type
 * has no short cut. */
bool few_stored_row(const struct few_stored *weights, const float *x, struct few_ahead *ahead,
                    float *sum);

#endif

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

/* Rows that are multiplied straight from a weight's codes at once: their sums leave registers for
 * codes, scales and the numbers. With half as many, half as wide, panels are faster. */
#if defined(__AVX512F__)
enum { FEW_PASS = 16 };
#else
enum { FEW_PASS = 1 };
#endif

enum {
    FEW_ROWS = 24,
    FEW_COLUMNS = 2 * GEMM_PANEL,
    FEW_STRIP = 8, /* columns that are computed between two parts of few_ahead */
    FEW_LINE = 64  /* bytes of a cache line */
};

/* c [m, n] = x [m, cols] times weight rows [first, first + n), turned. */
struct few {
    int32_t dtype;
    const void *weight; /* [rows, cols] of any storage type */
    int64_t rows, cols, first, n;
    const float *x;
    const float *turned; /* x by few_turn, wanted if m > 1 and few_knows */
    int64_t m;           /* at most FEW_ROWS */
    float *c;
    int64_t c_row;
};

/* tile, panels: of scratch, room for FEW_COLUMNS x GEMM_DEPTH numbers each. */
void few_product(const struct few *f, float *tile, float *panels);

/* Whether few_stored has a way for m rows and weights of that type. */
bool few_knows(int64_t m, int32_t dtype, int64_t cols);
/* turned [m / FEW_PASS upwards][cols, FEW_PASS]: x [m, cols], cols as few_knows wants them; rows
 * that are not there are zeros. */
void few_turn(const float *x, int64_t m, int64_t cols, float *turned);
static inline int64_t few_turned(int64_t m, int64_t cols)
{
    return (m + FEW_PASS - 1) / FEW_PASS * FEW_PASS * cols;
}
/* The product straight from the weight's codes; returns how many of the n columns it made: the rest
 * goes through panels. */
int64_t few_stored(const struct few *f);

/* Bytes that will be read soon, by this task or the one behind it: fetched part by part, so that
 * memory works while we compute. The hardware does not see the pattern: pieces of many rows. */
struct few_ahead {
    const uint8_t *at, *end;
    int64_t step;
};

/* Weight rows [first, first + n), as far as there are any, to be fetched in so many parts. */
struct few_ahead few_rows_ahead(const struct few *f, int64_t first, int64_t n, int64_t parts);

static inline void few_fetch(struct few_ahead *ahead)
{
    int64_t left = ahead->end - ahead->at;
    const uint8_t *end = ahead->at + (left < ahead->step ? left : ahead->step);
    for (; ahead->at < end; ahead->at += FEW_LINE) __builtin_prefetch(ahead->at, 0, 2);
}

#endif

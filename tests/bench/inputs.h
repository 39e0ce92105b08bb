/* SPDX-License-Identifier: Apache-2.0
 *
 * What the timings of ops share: a clock, random numbers, and weights of every stored type.
 */
#ifndef TESTS_BENCH_INPUTS_H
#define TESTS_BENCH_INPUTS_H

#include "bench/program.h"

#include <time.h>

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline float *floats(int64_t n)
{
    static uint32_t seed = 1;
    float *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / 16777216.0f - 0.5f;
    }
    return x;
}

static inline uint32_t weight(struct program *p, int32_t dtype, int64_t rows, int64_t columns)
{
    float *x = floats(rows * columns);
    size_t bytes = (size_t)rows * quant_row_bytes(dtype, columns);
    uint8_t *w;
    if (dtype == GRAFT_DTYPE_NF4) {
        float *absmax = malloc((size_t)(rows * columns) * sizeof *absmax);
        bytes = nf4_bytes(rows * columns, 64, true);
        w = malloc(bytes);
        nf4_init((void *)w, rows * columns, 64, true);
        quantize_nf4(x, 0, rows * columns, (void *)w, absmax);
        quantize_nf4_scales(absmax, (void *)w);
        free(absmax);
    } else {
        w = calloc(1, bytes);
        quantize_row(dtype, x, w, rows * columns);
    }
    free(x);
    return program_sized(p, dtype, graft_shape2(rows, columns), w, bytes);
}

#endif

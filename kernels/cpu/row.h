/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums and maxima over one row, in two vectors of lanes that are added in a fixed order.
 */
#ifndef KERNELS_CPU_ROW_H
#define KERNELS_CPU_ROW_H

#include "cpu/vec.h"

#include <stdint.h>

static inline float row_lanes(vec a, vec b)
{
    float lane[VEC];
    vec_store(lane, a + b);
    for (int half = VEC / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}

/* In pieces that are added in double, so that long rows lose nothing to their length. */
static inline float row_sum(const float *x, int64_t n)
{
    enum { PIECE = 64 * VEC };
    double total = 0.0;
    for (int64_t p = 0; p < n; p += PIECE) {
        vec a = vec_set(0.0f), b = vec_set(0.0f);
        int64_t i = p, end = n - p < PIECE ? n : p + PIECE;
        for (; i + 2 * VEC <= end; i += 2 * VEC) {
            a += vec_load(x + i);
            b += vec_load(x + i + VEC);
        }
        float rest = 0.0f;
        for (; i < end; i++) rest += x[i];
        total += (double)(row_lanes(a, b) + rest);
    }
    return (float)total;
}

static inline float row_dot(const float *x, const float *y, int64_t n)
{
    vec a = vec_set(0.0f), b = vec_set(0.0f);
    int64_t i = 0;
    for (; i + 2 * VEC <= n; i += 2 * VEC) {
        a = vec_fma(vec_load(x + i), vec_load(y + i), a);
        b = vec_fma(vec_load(x + i + VEC), vec_load(y + i + VEC), b);
    }
    float rest = 0.0f;
    for (; i < n; i++) rest = FMA(x[i], y[i], rest);
    return row_lanes(a, b) + rest;
}

/* sum of x * y * z */
static inline float row_dot3(const float *x, const float *y, const float *z, int64_t n)
{
    vec a = vec_set(0.0f);
    int64_t i = 0;
    for (; i + VEC <= n; i += VEC)
        a = vec_fma(vec_load(x + i) * vec_load(y + i), vec_load(z + i), a);
    float rest = 0.0f;
    for (; i < n; i++) rest = FMA(x[i] * y[i], z[i], rest);
    return row_lanes(a, vec_set(0.0f)) + rest;
}

/* The largest of n numbers and `from`; NaNs are passed over. */
static inline float row_max(const float *x, int64_t n, float from)
{
    enum { LANES = 4 * VEC };
    float lane[LANES];
    int64_t i = 0;
    for (int j = 0; j < LANES; j++) lane[j] = from;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++) lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
    float largest = from;
    for (; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    for (int j = 0; j < LANES; j++) largest = lane[j] > largest ? lane[j] : largest;
    return largest;
}

#endif

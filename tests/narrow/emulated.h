/* SPDX-License-Identifier: Apache-2.0
 *
 * The instructions of kernels/cpu/narrow_*.c in plain C, so that those files are tested on every
 * processor: what they read, write and sum, not how fast. From Intel's "Intrinsics Guide" and the
 * "Instruction Set Reference": products of bf16 pairs are added to an f32 lane, denormals are zero.
 */
#ifndef TESTS_NARROW_EMULATED_H
#define TESTS_NARROW_EMULATED_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef float __m512 __attribute__((vector_size(64)));
typedef long long __m512i __attribute__((vector_size(64)));
typedef short __m512bh __attribute__((vector_size(64)));

static inline float emulated_bf16(const void *at)
{
    uint16_t half;
    memcpy(&half, at, sizeof half);
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return fabsf(value) < FLT_MIN ? 0.0f : value;
}

/* sum + the products of two pairs of bf16, each exact in f32: no fused multiply-add is needed */
static inline float emulated_pair(float sum, const void *a, const void *b)
{
    const uint8_t *x = a, *y = b;
    sum += emulated_bf16(x + 2) * emulated_bf16(y + 2);
    sum += emulated_bf16(x) * emulated_bf16(y);
    return fabsf(sum) < FLT_MIN ? 0.0f : sum;
}

static inline __m512 _mm512_setzero_ps(void)
{
    return (__m512){0};
}

static inline __m512i _mm512_loadu_si512(const void *from)
{
    __m512i v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline __m512i _mm512_set1_epi32(int word)
{
    __m512i v;
    for (int i = 0; i < 16; i++) memcpy((char *)&v + 4 * i, &word, 4);
    return v;
}

static inline void _mm512_storeu_ps(float *to, __m512 v)
{
    memcpy(to, &v, sizeof v);
}

static inline __m512 _mm512_dpbf16_ps(__m512 sum, __m512bh a, __m512bh b)
{
    for (int i = 0; i < 16; i++)
        sum[i] = emulated_pair(sum[i], (const char *)&a + 4 * i, (const char *)&b + 4 * i);
    return sum;
}

/* Eight tiles of a thread, as configured here: 16 rows of 64 bytes each. */
static _Thread_local uint8_t emulated_tile[8][16][64];
static _Thread_local int emulated_configured;

static inline void _tile_loadconfig(const void *config)
{
    const uint8_t *c = config;
    emulated_configured = c[0] == 1;
    for (int i = 0; i < 8; i++)
        emulated_configured &= c[16 + 2 * i] == 64 && c[17 + 2 * i] == 0 && c[48 + i] == 16;
}

static inline void _tile_release(void)
{
    emulated_configured = 0;
}

/* Without its configuration the processor faults. */
static inline void emulated_check(void)
{
    if (!emulated_configured) __builtin_trap();
}

static inline void _tile_zero(int tile)
{
    emulated_check();
    memset(emulated_tile[tile], 0, sizeof emulated_tile[tile]);
}

static inline void _tile_loadd(int tile, const void *from, size_t stride)
{
    emulated_check();
    for (size_t i = 0; i < 16; i++)
        memcpy(emulated_tile[tile][i], (const uint8_t *)from + i * stride, 64);
}

static inline void _tile_stored(int tile, void *to, size_t stride)
{
    emulated_check();
    for (size_t i = 0; i < 16; i++) memcpy((uint8_t *)to + i * stride, emulated_tile[tile][i], 64);
}

static inline void _tile_dpbf16ps(int sums, int a, int b)
{
    emulated_check();
    for (int m = 0; m < 16; m++)
        for (int k = 0; k < 16; k++)
            for (int n = 0; n < 16; n++) {
                float sum;
                memcpy(&sum, &emulated_tile[sums][m][4 * n], sizeof sum);
                sum = emulated_pair(sum, &emulated_tile[a][m][4 * k], &emulated_tile[b][k][4 * n]);
                memcpy(&emulated_tile[sums][m][4 * n], &sum, sizeof sum);
            }
}

#endif

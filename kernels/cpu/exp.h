/* SPDX-License-Identifier: Apache-2.0
 *
 * exp and its like in f32 without branches or tables, so that loops over them vectorize. Errors
 * are below 2 units in the last place (exp), 3 (the others); NaN stays NaN, exp overflows to
 * infinity and underflows through subnormal numbers to 0. Polynomials from Cephes (Moshier).
 */
#ifndef KERNELS_CPU_EXP_H
#define KERNELS_CPU_EXP_H

#include "cpu/vec.h"

#include <math.h>
#include <stdint.h>

static inline float exp_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* e^x = 2^n e^r, n the integer nearest x / log 2, |r| <= log(2) / 2. Adding 1.5 * 2^23 rounds to an
 * integer and leaves it in the low bits; 2^n is put together from two halves, each a normal number.
 */
static inline float exp_f32(float x)
{
    x = x < -150.0f ? -150.0f : x;
    x = x > 130.0f ? 130.0f : x;
    float shifted = FMA(x, 1.44269504f, 12582912.0f);
    float n = shifted - 12582912.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    uint32_t i = bits - 0x4B400000u; /* n, two's complement */
    uint32_t half = ((i + 512u) >> 1) - 256u;
    float r = FMA(n, -0.693359375f, x);
    r = FMA(n, 2.12194440e-4f, r);
    float p = 1.9875691500e-4f;
    p = FMA(p, r, 1.3981999507e-3f);
    p = FMA(p, r, 8.3334519073e-3f);
    p = FMA(p, r, 4.1665795894e-2f);
    p = FMA(p, r, 1.6666665459e-1f);
    p = FMA(p, r, 5.0000001201e-1f);
    p = FMA(p, r * r, r) + 1.0f;
    return p * exp_bits((half + 127u) << 23) * exp_bits((i - half + 127u) << 23);
}

static inline float sigmoid_f32(float x)
{
    return 1.0f / (1.0f + exp_f32(-x));
}

static inline float tanh_f32(float x)
{
    float z = x * x;
    float p = -5.70498872745e-3f;
    p = FMA(p, z, 2.06390887954e-2f);
    p = FMA(p, z, -5.37397155531e-2f);
    p = FMA(p, z, 1.33314422036e-1f);
    p = FMA(p, z, -3.33332819422e-1f);
    float near_zero = FMA(p * z, x, x);
    float size = fabsf(x);
    float far = 1.0f - 2.0f / (exp_f32(2.0f * size) + 1.0f);
    return size < 0.625f ? near_zero : copysignf(far, x);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * GELU in f32 without branches. erfc by Abramowitz and Stegun 7.1.26, off by less than 1.5e-7, and
 * no 1 - erf that cancels: errors stay below 3 * 2^-24 of |x|.
 */
#ifndef KERNELS_CPU_GELU_H
#define KERNELS_CPU_GELU_H

#include "cpu/exp.h"

/* x F(x), F the normal distribution; half = F(-|x|) = erfc(|x| / sqrt 2) / 2. */
static inline float gelu_f32(float x)
{
    float size = fabsf(x);
    float t = 1.0f / FMA(0.231641888f, size, 1.0f);
    float p = 0.5307027145f;
    p = FMA(p, t, -0.7265760135f);
    p = FMA(p, t, 0.7107068705f);
    p = FMA(p, t, -0.142248368f);
    p = FMA(p, t, 0.127414796f);
    float half = p * t * exp_f32(-0.5f * x * x);
    return x * (x < 0.0f ? half : 1.0f - half);
}

/* a/2 (1 + tanh(u)) = a sigmoid(2 u) */
static inline float gelu_tanh_f32(float x)
{
    float u2 = x * FMA(0.0713548163f, x * x, 1.59576912f);
    return x * sigmoid_f32(u2);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * f16 and bf16 to f32 and back, exact (round to nearest even), without hardware support and
 * without branches, so that loops over them vectorize. Arrays may lie at any address.
 */
#ifndef KERNELS_REF_HALF_H
#define KERNELS_REF_HALF_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline uint16_t load_u16(const uint8_t *p)
{
    uint16_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

static inline void store_u16(uint8_t *p, uint16_t value)
{
    memcpy(p, &value, sizeof value);
}

/* Normal numbers: exponent and mantissa move into place and a product mends the bias. Subnormal
 * ones: the mantissa is put below 0.5, whose difference from 0.5 is exact. */
static inline float f32_from_f16(uint16_t half)
{
    uint32_t wide = (uint32_t)half << 16;
    uint32_t twice = wide + wide;
    float normal = float_from_bits((twice >> 4) + (0xE0u << 23)) * 0x1p-112f;
    float subnormal = float_from_bits((twice >> 17) | (126u << 23)) - 0.5f;
    uint32_t bits = float_bits(twice < (1u << 27) ? subnormal : normal);
    return float_from_bits((wide & 0x80000000u) | bits);
}

/* The two products turn what is too large into infinity; adding a number whose last mantissa bit
 * weighs as much as the half's last bit rounds to it. NaNs become 0x7E00 with the sign. */
static inline uint16_t f16_from_f32(float value)
{
    uint32_t wide = float_bits(value);
    uint32_t twice = wide + wide;
    uint32_t bias = twice & 0xFF000000u;
    bias = bias < 0x71000000u ? 0x71000000u : bias;
    float scaled = (fabsf(value) * 0x1p112f) * 0x1p-110f;
    uint32_t bits = float_bits(float_from_bits((bias >> 1) + 0x07800000u) + scaled);
    uint32_t magnitude = ((bits >> 13) & 0x7C00u) + (bits & 0x0FFFu);
    return (uint16_t)(((wide & 0x80000000u) >> 16) | (twice > 0xFF000000u ? 0x7E00u : magnitude));
}

static inline float f32_from_bf16(uint16_t half)
{
    return float_from_bits((uint32_t)half << 16);
}

/* A NaN is made quiet, so that dropping its low half cannot turn it into infinity. */
static inline uint16_t bf16_from_f32(float value)
{
    uint32_t bits = float_bits(value);
    uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
    uint32_t quiet = (bits >> 16) | 0x40u;
    return (uint16_t)((bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded);
}

#endif

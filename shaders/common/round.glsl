/* SPDX-License-Identifier: Apache-2.0
 *
 * f32 rounded to the numbers of a narrower type, to nearest even, by integers: drivers may round
 * packHalf2x16 as they like. As f16_from_f32 and bf16_from_f32 of kernels/ref/half.h do.
 */

float round_f16(float x)
{
    uint bits = floatBitsToUint(x), sign = bits & 0x80000000u, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return x; /* NaN */
    if (magnitude < 0x38800000u) { /* below 2^-14: a multiple of 2^-24 */
        float tiny = roundEven(uintBitsToFloat(magnitude) * 16777216.0) / 16777216.0;
        return uintBitsToFloat(floatBitsToUint(tiny) | sign);
    }
    magnitude = magnitude + 0xFFFu + (magnitude >> 13 & 1u) & ~0x1FFFu;
    if (magnitude >= 0x47800000u) magnitude = 0x7F800000u; /* 65520 and more */
    return uintBitsToFloat(sign | magnitude);
}

float round_bf16(float x)
{
    uint bits = floatBitsToUint(x);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return x;
    return uintBitsToFloat(bits + 0x7FFFu + (bits >> 16 & 1u) & 0xFFFF0000u);
}

float round_to(int dtype, float x)
{
    return dtype == F16 ? round_f16(x) : dtype == BF16 ? round_bf16(x) : x;
}

/* Two numbers of a narrow type in a word, the first below. */
uint round_two(int dtype, float x, float y)
{
    x = round_to(dtype, x);
    y = round_to(dtype, y);
    if (dtype == F16) return packHalf2x16(vec2(x, y)); /* exact now */
    return floatBitsToUint(x) >> 16 | floatBitsToUint(y) & 0xFFFF0000u;
}

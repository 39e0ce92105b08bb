#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * Per position n cosines, then n sines, of position * inverse frequency, times a factor. f32 has no
 * bits left for the angle of a late position and drivers' cosines are made for small angles, so the
 * angle is taken in turns: position * mantissa * (1 / 2 pi) in whole numbers, of which the fraction
 * is kept with 32 bits. A thread makes one cosine and its sine.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer table_args
{
    ints positions; /* [T] */
    floats frequency, table; /* [n], [T, 2n] */
    uint tokens, token_kind, n;
    float factor;
};

layout(push_constant, scalar) uniform push
{
    table_args a;
    live_t live;
};

/* Bits shift .. shift + 31 of the number w. */
uint bits_from(uvec3 w, uint shift)
{
    if (shift >= 96) return 0;
    uint word = shift / 32, bit = shift % 32;
    uint low = w[word], high = word < 2 ? w[word + 1] : 0;
    return bit == 0 ? low : low >> bit | high << 32 - bit;
}

/* The fraction of frequency * position / 2 pi in 2^-32; frequency is below 2^24, and 0 or normal.
 * The product has 96 bits after the point, of which the lower 64 are not needed: it is shifted
 * right by the frequency's exponent. */
uint turn(uint position, float frequency)
{
    const uint r0 = 0x28BE60DBu, r1 = 0x9391054Au, r2 = 0x7F09D5F4u; /* 1 / 2 pi */
    uint bits = floatBitsToUint(frequency), mantissa = bits & 0x7FFFFFu | 0x800000u;
    uint shift = 150 - (bits >> 23 & 255), p0, p1, low, high, carry, ignored;
    uvec3 w = uvec3(0); /* bits 64 and up of (p1, p0) * (r0, r1, r2) */
    if (bits == 0) return 0;
    umulExtended(position, mantissa, p1, p0);
    umulExtended(p0, r1, high, ignored);
    w.x = high;
    umulExtended(p1, r2, high, ignored);
    w.x = uaddCarry(w.x, high, carry);
    w.y = carry;
    umulExtended(p0, r0, high, low);
    w.x = uaddCarry(w.x, low, carry);
    w.y += high + carry; /* high is below 2^30: r0 is */
    umulExtended(p1, r1, high, low);
    w.x = uaddCarry(w.x, low, carry);
    w.y = uaddCarry(w.y, carry, w.z);
    w.y = uaddCarry(w.y, high, carry);
    w.z += carry;
    umulExtended(p1, r0, high, low);
    w.y = uaddCarry(w.y, low, carry);
    w.z += high + carry;
    return bits_from(w, shift);
}

/* Of a part of a turn; the polynomials are Cephes', for an eighth of a turn to both sides. */
vec2 cosine_sine(uint part)
{
    uint quarter = part + 0x20000000u >> 30;
    float x = float(int(part - (quarter << 30))) * 1.46291808e-9, z = x * x; /* 2 pi / 2^32 */
    float s = fma(fma(-1.9515295891e-4, z, 8.3321608736e-3), z, -1.6666654611e-1);
    float c = fma(fma(2.443315711809948e-5, z, -1.388731625493765e-3), z, 4.166664568298827e-2);
    s = fma(s * z, x, x);
    c = fma(c * z, z, fma(-0.5, z, 1.0));
    vec2 y = (quarter & 1) == 0 ? vec2(c, s) : vec2(-s, c);
    return (quarter & 2) == 0 ? y : -y;
}

void main()
{
    uint at = global_index(), t = at / a.n, i = at % a.n;
    if (t >= live_rows(a.token_kind, a.tokens)) return;
    int position = a.positions.v[t];
    vec2 y = cosine_sine(turn(uint(abs(position)), abs(a.frequency.v[i])));
    bool back = position < 0 != a.frequency.v[i] < 0.0;
    a.table.v[t * 2 * a.n + i] = a.factor * y.x;
    a.table.v[t * 2 * a.n + a.n + i] = a.factor * (back ? -y.y : y.y);
}

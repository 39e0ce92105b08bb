/* SPDX-License-Identifier: Apache-2.0
 *
 * Stored weights to f32: the one rule per storage type, equal to kernels/ref/quant*.c to the bit.
 * Weights are read as words, so no device needs 8- or 16-bit storage. Numbers are addressed by
 * their flat index in the row-major matrix: blocks lie within rows, and rows are whole blocks.
 *
 * Call decode_begin and a barrier() before the first number is asked for.
 */

const int F32 = 0, F16 = 1, BF16 = 2, Q8_0 = 16, Q4_0 = 17, Q4_1 = 18, Q5_0 = 19, Q5_1 = 20,
          Q4_K = 21, Q5_K = 22, Q6_K = 23, NF4 = 24;

layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer weight
{
    uint v[];
};
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer weight4
{
    uvec4 v[];
};

/* Without what drivers may do to subnormal f16: their value is made by a product. */
float decode_f16(uint bits)
{
    uint magnitude = bits & 0x7FFFu;
    float f = magnitude < 0x400u ? float(magnitude) * (1.0 / 16777216.0)
                                 : unpackHalf2x16(magnitude).x;
    return uintBitsToFloat(floatBitsToUint(f) | (bits & 0x8000u) << 16);
}

float decode_bf16(uint bits)
{
    return uintBitsToFloat(bits << 16);
}

/* Four bytes from an even address; two from one. */
uint word_at(weight w, uint byte)
{
    uint word = w.v[byte / 4u];
    if ((byte & 2u) != 0u) word = word >> 16 | w.v[byte / 4u + 1u] << 16;
    return word;
}

uint half_at(weight w, uint byte)
{
    return w.v[byte / 4u] >> 8u * (byte & 2u) & 0xFFFFu;
}

/* Eight numbers of four or five bits: nibbles of the bytes of q at `shift`, fifth bits of `high`. */
float code(uvec2 q, uint shift, uint high, uint i)
{
    return float(int((q[i / 4u] >> (8u * (i % 4u) + shift) & 15u) | (high >> i & 1u) << 4));
}

/* {f16 d; i8 q[32]} */
void decode_q8_0(weight w, uint e, out float y[8])
{
    uint at = 34u * (e / 32u), q = at + 2u + e % 32u;
    uvec2 codes = uvec2(word_at(w, q), word_at(w, q + 4u));
    float d = decode_f16(half_at(w, at));
    for (uint i = 0u; i < 8u; i++)
        y[i] = float(bitfieldExtract(int(codes[i / 4u]), int(8u * (i % 4u)), 8)) * d;
}

/* {f16 d; [f16 m;] [u32 high;] u8 q[16]}: (q - bias) * d, or q * d + m. Number j shares its byte
 * with number j + 16. */
void decode_legacy(weight w, uint e, bool has_m, bool has_high, out float y[8])
{
    uint j = e % 32u, head = (has_m ? 4u : 2u), at = (head + (has_high ? 20u : 16u)) * (e / 32u);
    uint q = at + head + (has_high ? 4u : 0u) + j % 16u, shift = j / 16u * 4u;
    uvec2 codes = uvec2(word_at(w, q), word_at(w, q + 4u));
    uint high = has_high ? word_at(w, at + head) >> j : 0u;
    float d = decode_f16(half_at(w, at)), m = has_m ? decode_f16(half_at(w, at + 2u)) : 0.0;
    float bias = has_high ? 16.0 : 8.0;
    for (uint i = 0u; i < 8u; i++) {
        float c = code(codes, shift, high, i);
        precise float product = (has_m ? c : c - bias) * d;
        precise float sum = product + m;
        y[i] = has_m ? sum : product;
    }
}

/* {f16 d; f16 dmin; u8 scales[12]; [u8 high[32];] u8 q[128]}: 8 groups of 32,
 * d * scale * q - dmin * min. 32 bytes hold two groups: low nibbles, then high nibbles. */
void decode_k(weight w, uint e, bool has_high, out float y[8])
{
    uint at = (has_high ? 44u : 36u) * (e / 256u), g = e % 256u / 32u, l = e % 32u;
    uint q = at + (has_high ? 12u : 4u) + g / 2u * 8u + l / 4u, shift = g % 2u * 4u;
    uint byte = 8u * (g % 4u);
    uvec3 s = uvec3(w.v[at + 1u], w.v[at + 2u], w.v[at + 3u]) >> byte & 255u;
    uint scale = g < 4u ? s.x & 63u : (s.z & 15u) | s.x >> 6 << 4;
    uint least = g < 4u ? s.y & 63u : s.z >> 4 | s.y >> 6 << 4;
    uvec2 codes = uvec2(w.v[q], w.v[q + 1u]), fifth = uvec2(0u);
    if (has_high) fifth = uvec2(w.v[at + 4u + l / 4u], w.v[at + 5u + l / 4u]);
    precise float d = decode_f16(w.v[at] & 0xFFFFu) * float(scale);
    precise float m = decode_f16(w.v[at] >> 16) * float(least);
    for (uint i = 0u; i < 8u; i++) {
        uint high = fifth[i / 4u] >> (8u * (i % 4u) + g) & 1u;
        precise float product = d * code(codes, shift, high << i, i);
        precise float difference = product - m;
        y[i] = difference;
    }
}

/* {u8 low[128]; u8 high[64]; i8 scale[16]; f16 d}: d * scale * (q - 32). Each half of 128 numbers
 * takes 64 low bytes (two nibbles each) and 32 high bytes (four pairs of bits). */
void decode_q6_k(weight w, uint e, out float y[8])
{
    uint at = 210u * (e / 256u), i256 = e % 256u, half_of = i256 / 128u;
    uint quarter = i256 % 128u / 32u, l = e % 32u, scale = at + 192u + i256 / 16u;
    uint q = at + 64u * half_of + quarter % 2u * 32u + l, shift = quarter / 2u * 4u;
    uint h = at + 128u + 32u * half_of + l, high_shift = 2u * quarter;
    uvec2 low = uvec2(word_at(w, q), word_at(w, q + 4u));
    uvec2 high = uvec2(word_at(w, h), word_at(w, h + 4u));
    int s = bitfieldExtract(int(w.v[scale / 4u]), int(8u * (scale % 4u)), 8);
    precise float d = decode_f16(half_at(w, at + 208u)) * float(s);
    for (uint i = 0u; i < 8u; i++) {
        uint byte = 8u * (i % 4u);
        uint c = (low[i / 4u] >> (byte + shift) & 15u) |
                 (high[i / 4u] >> (byte + high_shift) & 3u) << 4;
        y[i] = d * float(int(c) - 32);
    }
}

/* struct graft_nf4 of sdk/include/graft/quant.h, offsets as word indices. */
struct nf4_parts {
    uint shift, nested_block, codes, absmax, nested_absmax, nested_map;
    float offset;
};
nf4_parts nf4;
shared float nf4_map[16];

uint nf4_offset(weight w, uint field)
{
    return w.v[field] >> 2 | w.v[field + 1u] << 30;
}

void decode_begin(int dtype, weight w)
{
    if (dtype != NF4) return;
    nf4.shift = uint(findLSB(w.v[2]));
    nf4.nested_block = w.v[3];
    nf4.offset = uintBitsToFloat(w.v[4]);
    nf4.codes = nf4_offset(w, 6u);
    nf4.absmax = nf4_offset(w, 8u);
    nf4.nested_absmax = nf4_offset(w, 10u);
    nf4.nested_map = nf4_offset(w, 12u);
    uint map = nf4_offset(w, 14u);
    for (uint i = gl_LocalInvocationIndex; i < 16u; i += gl_WorkGroupSize.x)
        nf4_map[i] = uintBitsToFloat(w.v[map + i]);
}

float nf4_scale(weight w, uint block)
{
    if (nf4.nested_block == 0u) return uintBitsToFloat(w.v[nf4.absmax + block]);
    uint c = w.v[nf4.absmax + block / 4u] >> 8u * (block % 4u) & 255u;
    precise float scale = uintBitsToFloat(w.v[nf4.nested_map + c]) *
                          uintBitsToFloat(w.v[nf4.nested_absmax + block / nf4.nested_block]);
    precise float sum = scale + nf4.offset;
    return sum;
}

void decode_nf4(weight w, uint e, out float y[8])
{
    uint codes = w.v[nf4.codes + e / 8u];
    float scale = nf4_scale(w, e >> nf4.shift);
    for (uint i = 0u; i < 8u; i++) /* the first of a byte is its high nibble */
        y[i] = nf4_map[codes >> 4u * (i ^ 1u) & 15u] * scale;
}

void decode_plain(int dtype, weight w, uint e, out float y[8])
{
    uvec4 q = weight4(w).v[dtype == F32 ? e / 4u : e / 8u];
    uvec4 next = dtype == F32 ? weight4(w).v[e / 4u + 1u] : uvec4(0u);
    for (uint i = 0u; i < 8u; i++) {
        uint bits = q[i / 2u] >> 16u * (i % 2u) & 0xFFFFu;
        y[i] = dtype == F32   ? uintBitsToFloat(i < 4u ? q[i % 4u] : next[i % 4u])
               : dtype == F16 ? decode_f16(bits)
                              : decode_bf16(bits);
    }
}

/* Numbers e .. e + 8; e is a multiple of 8. */
void decode8(int dtype, weight w, uint e, out float y[8])
{
    switch (dtype) {
    case Q8_0: decode_q8_0(w, e, y); break;
    case Q4_0: decode_legacy(w, e, false, false, y); break;
    case Q4_1: decode_legacy(w, e, true, false, y); break;
    case Q5_0: decode_legacy(w, e, false, true, y); break;
    case Q5_1: decode_legacy(w, e, true, true, y); break;
    case Q4_K: decode_k(w, e, false, y); break;
    case Q5_K: decode_k(w, e, true, y); break;
    case Q6_K: decode_q6_k(w, e, y); break;
    case NF4: decode_nf4(w, e, y); break;
    default: decode_plain(dtype, w, e, y); break;
    }
}

/* One number of a type whose rows need not be whole blocks: a float or NF4. */
float decode1(int dtype, weight w, uint e)
{
    if (dtype == F32) return uintBitsToFloat(w.v[e]);
    if (dtype == NF4) {
        uint c = w.v[nf4.codes + e / 8u] >> 4u * (e % 8u ^ 1u) & 15u;
        return nf4_map[c] * nf4_scale(w, e >> nf4.shift);
    }
    uint bits = w.v[e / 2u] >> 16u * (e % 2u) & 0xFFFFu;
    return dtype == F16 ? decode_f16(bits) : decode_bf16(bits);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What lanes.h needs of a register of sixteen lanes.
 */
#ifndef KERNELS_CPU_LANES_AVX512_H
#define KERNELS_CPU_LANES_AVX512_H

typedef __m512i words;

INLINE words words_right(words w, int bits)
{
    return _mm512_srli_epi32(w, (unsigned)bits);
}

INLINE words words_left(words w, int bits)
{
    return _mm512_slli_epi32(w, (unsigned)bits);
}

INLINE words words_and(words w, uint32_t mask)
{
    return _mm512_and_si512(w, _mm512_set1_epi32((int)mask));
}

/* Signed numbers. */
INLINE vec words_floats(words w)
{
    return _mm512_cvtepi32_ps(w);
}

/* The same bits. */
INLINE vec words_as_floats(words w)
{
    return _mm512_castsi512_ps(w);
}

/* Byte 1 or 2 of each word at its top, above zeros. */
INLINE words words_byte_on_top(words w, int byte)
{
    const int z = -1;
    const __m128i one = _mm_setr_epi8(z, z, z, 1, z, z, z, 5, z, z, z, 9, z, z, z, 13);
    const __m128i two = _mm_setr_epi8(z, z, z, 2, z, z, z, 6, z, z, z, 10, z, z, z, 14);
    return _mm512_shuffle_epi8(w, _mm512_broadcast_i32x4(byte == 1 ? one : two));
}

/* The f16 in the low and in the high halves of the words. */
INLINE void words_halves(words w, vec *low, vec *high)
{
    *low = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(w));
    *high = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(w, 16)));
}

/* Entries of a table of sixteen, by the low four bits of the words. */
INLINE vec words_look_up(words w, const vec table[1])
{
    return _mm512_permutexvar_ps(w, table[0]);
}

/* The words at p and every `step` bytes after it. */
INLINE words words_gather(const uint8_t *p, int64_t step)
{
    int word[VEC];
    for (int i = 0; i < VEC; i++) memcpy(&word[i], p + i * step, sizeof word[i]);
    return _mm512_loadu_si512(word);
}

INLINE __m512i load_four(const uint8_t *from, int64_t step)
{
    __m512i r = _mm512_castsi128_si512(load16(from));
    r = _mm512_inserti32x4(r, load16(from + 4 * step), 1);
    r = _mm512_inserti32x4(r, load16(from + 8 * step), 2);
    return _mm512_inserti32x4(r, load16(from + 12 * step), 3);
}

/* 16 bytes of each of sixteen rows: lane i of to[w] is word w of row i. */
INLINE void words_turn(const uint8_t *from, int64_t step, words to[4])
{
    __m512i r[4];
    for (int i = 0; i < 4; i++) r[i] = load_four(from + i * step, step);
    __m512i a = _mm512_unpacklo_epi32(r[0], r[1]), b = _mm512_unpacklo_epi32(r[2], r[3]);
    __m512i c = _mm512_unpackhi_epi32(r[0], r[1]), d = _mm512_unpackhi_epi32(r[2], r[3]);
    to[0] = _mm512_unpacklo_epi64(a, b);
    to[1] = _mm512_unpackhi_epi64(a, b);
    to[2] = _mm512_unpacklo_epi64(c, d);
    to[3] = _mm512_unpackhi_epi64(c, d);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What lanes.h asks of an instruction set: sixteen lanes.
 */
#ifndef KERNELS_CPU_LANES_AVX512_H
#define KERNELS_CPU_LANES_AVX512_H

/* Byte 1 or 2 of each word at its top, above zeros. */
INLINE words words_byte_on_top(words w, int byte)
{
    __m512i from = _mm512_broadcast_i32x4(byte_on_top_of_four(byte));
    return (words)_mm512_shuffle_epi8((__m512i)w, from);
}

/* The f16 in the low and in the high halves of the words. */
INLINE void words_halves(words w, vec *low, vec *high)
{
    const __m512i apart =
        _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1, 30, 28, 26, 24,
                         22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    __m512i both = _mm512_permutexvar_epi16(apart, (__m512i)w);
    *low = _mm512_cvtph_ps(_mm512_castsi512_si256(both));
    *high = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(both, 1));
}

/* Entries of a table of sixteen, by the low four bits of the words. */
INLINE vec words_look_up(words w, const vec table[1])
{
    return _mm512_permutexvar_ps((__m512i)w, table[0]);
}

/* Four registers of four pieces, each a matrix of 4 x 4 words, turned piece by piece. */
INLINE void turn_pieces(const __m512i r[4], __m512i to[4])
{
    __m512i a = _mm512_unpacklo_epi32(r[0], r[1]), b = _mm512_unpacklo_epi32(r[2], r[3]);
    __m512i c = _mm512_unpackhi_epi32(r[0], r[1]), d = _mm512_unpackhi_epi32(r[2], r[3]);
    to[0] = _mm512_unpacklo_epi64(a, b);
    to[1] = _mm512_unpackhi_epi64(a, b);
    to[2] = _mm512_unpacklo_epi64(c, d);
    to[3] = _mm512_unpackhi_epi64(c, d);
}

/* 16 bytes of each of sixteen rows: lane i of to[w] is word w of row i. */
INLINE void words_turn(const uint8_t *from, int64_t step, words to[4])
{
    __m512i r[4], turned[4];
    for (int i = 0; i < 4; i++, from += step) {
        r[i] = _mm512_castsi128_si512(load16(from));
        r[i] = _mm512_inserti32x4(r[i], load16(from + 4 * step), 1);
        r[i] = _mm512_inserti32x4(r[i], load16(from + 8 * step), 2);
        r[i] = _mm512_inserti32x4(r[i], load16(from + 12 * step), 3);
    }
    turn_pieces(r, turned);
    for (int w = 0; w < 4; w++) to[w] = (words)turned[w];
}

/* 32 bytes. The pieces of a register are two of row i, two of row i + 8. */
INLINE void words_turn_two(const uint8_t *from, int64_t step, words to[8])
{
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
    const __m512i second = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    __m512i r[8], turned[8];
    for (int i = 0; i < 8; i++, from += step)
        r[i] = _mm512_inserti64x4(_mm512_castsi256_si512(load32(from)), load32(from + 8 * step), 1);
    turn_pieces(r, turned);
    turn_pieces(r + 4, turned + 4);
    for (int w = 0; w < 4; w++) {
        to[w] = (words)_mm512_permutex2var_epi64(turned[w], first, turned[w + 4]);
        to[w + 4] = (words)_mm512_permutex2var_epi64(turned[w], second, turned[w + 4]);
    }
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What lanes.h asks of an instruction set: eight lanes.
 */
#ifndef KERNELS_CPU_LANES_AVX2_H
#define KERNELS_CPU_LANES_AVX2_H

/* Byte 1 or 2 of each word at its top, above zeros. */
INLINE words words_byte_on_top(words w, int byte)
{
    __m256i from = _mm256_broadcastsi128_si256(byte_on_top_of_four(byte));
    return (words)_mm256_shuffle_epi8((__m256i)w, from);
}

/* The f16 in the low and in the high halves of the words. */
INLINE void words_halves(words w, vec *low, vec *high)
{
    const __m256i apart = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0,
                                           1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    __m256i both = _mm256_permute4x64_epi64(_mm256_shuffle_epi8((__m256i)w, apart), 0xD8);
    *low = _mm256_cvtph_ps(_mm256_castsi256_si128(both));
    *high = _mm256_cvtph_ps(_mm256_extracti128_si256(both, 1));
}

/* Entries of a table of sixteen, by the low four bits of the words: a lookup reads three of them,
 * the fourth picks between two. */
INLINE vec words_look_up(words w, const vec table[2])
{
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(table[0], (__m256i)w),
                            _mm256_permutevar8x32_ps(table[1], (__m256i)w), (vec)(w << 28));
}

/* 16 bytes of each of eight rows: lane i of to[w] is word w of row i. */
INLINE void words_turn(const uint8_t *from, int64_t step, words to[4])
{
    __m256i turned[4];
    turn_bytes(from, step, turned);
    for (int w = 0; w < 4; w++) to[w] = (words)turned[w];
}

/* 32 bytes. */
INLINE void words_turn_two(const uint8_t *from, int64_t step, words to[8])
{
    words_turn(from, step, to);
    words_turn(from + 16, step, to + 4);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What lanes.h needs of a register of eight lanes.
 */
#ifndef KERNELS_CPU_LANES_AVX2_H
#define KERNELS_CPU_LANES_AVX2_H

typedef __m256i words;

INLINE words words_right(words w, int bits)
{
    return _mm256_srli_epi32(w, bits);
}

INLINE words words_left(words w, int bits)
{
    return _mm256_slli_epi32(w, bits);
}

INLINE words words_and(words w, uint32_t mask)
{
    return _mm256_and_si256(w, _mm256_set1_epi32((int)mask));
}

/* Signed numbers. */
INLINE vec words_floats(words w)
{
    return _mm256_cvtepi32_ps(w);
}

/* The same bits. */
INLINE vec words_as_floats(words w)
{
    return _mm256_castsi256_ps(w);
}

/* Byte 1 or 2 of each word at its top, above zeros. */
INLINE words words_byte_on_top(words w, int byte)
{
    const int z = -1;
    const __m128i one = _mm_setr_epi8(z, z, z, 1, z, z, z, 5, z, z, z, 9, z, z, z, 13);
    const __m128i two = _mm_setr_epi8(z, z, z, 2, z, z, z, 6, z, z, z, 10, z, z, z, 14);
    return _mm256_shuffle_epi8(w, _mm256_broadcastsi128_si256(byte == 1 ? one : two));
}

/* The f16 in the low and in the high halves of the words. */
INLINE void words_halves(words w, vec *low, vec *high)
{
    const __m128i apart = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    __m256i both =
        _mm256_permute4x64_epi64(_mm256_shuffle_epi8(w, _mm256_broadcastsi128_si256(apart)), 0xD8);
    *low = _mm256_cvtph_ps(_mm256_castsi256_si128(both));
    *high = _mm256_cvtph_ps(_mm256_extracti128_si256(both, 1));
}

/* Entries of a table of sixteen, by the low four bits of the words: a lookup reads three bits, the
 * fourth picks between two. */
INLINE vec words_look_up(words w, const vec table[2])
{
    vec pick = words_as_floats(words_left(w, 28));
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(table[0], w),
                            _mm256_permutevar8x32_ps(table[1], w), pick);
}

/* The words at p and every `step` bytes after it. */
INLINE words words_gather(const uint8_t *p, int64_t step)
{
    int word[VEC];
    for (int i = 0; i < VEC; i++) memcpy(&word[i], p + i * step, sizeof word[i]);
    return _mm256_setr_epi32(word[0], word[1], word[2], word[3], word[4], word[5], word[6],
                             word[7]);
}

/* 16 bytes of each of eight rows: lane i of to[w] is word w of row i. */
INLINE void words_turn(const uint8_t *from, int64_t step, words to[4])
{
    turn_bytes(from, step, to);
}

#endif

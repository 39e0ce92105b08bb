/* SPDX-License-Identifier: Apache-2.0
 *
 * Eight weight rows as the eight lanes of a register: their codes are turned in words of four
 * bytes, which is cheaper than turning the numbers they stand for, and a scale is a vector of
 * eight. AVX2 (and above); for panels.c, few_stored.c and dequantize.c.
 */
#ifndef KERNELS_CPU_LANES_H
#define KERNELS_CPU_LANES_H

#if defined(__AVX2__)

#include "ref/quant.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 8, BLOCK = 32 };

/* Eight rows of one weight, at a column that begins a block. */
struct lanes {
    const struct graft_nf4 *nf4; /* of NF4 alone; the others: */
    const uint8_t *at;           /* the first row's block */
    int64_t row_bytes;
    int64_t first, cols; /* NF4: number of the first row's first weight; numbers from row to row */
};

INLINE __m128i load16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* 16 bytes of each of eight rows: lane i of to[w] is word w, four bytes, of row i. */
INLINE void turn_bytes(const uint8_t *from, int64_t step, __m256i to[4])
{
    __m256i r[4];
    for (int i = 0; i < 4; i++)
        r[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(load16(from + i * step)),
                                       load16(from + (i + 4) * step), 1);
    __m256i a = _mm256_unpacklo_epi32(r[0], r[1]), b = _mm256_unpacklo_epi32(r[2], r[3]);
    __m256i c = _mm256_unpackhi_epi32(r[0], r[1]), d = _mm256_unpackhi_epi32(r[2], r[3]);
    to[0] = _mm256_unpacklo_epi64(a, b);
    to[1] = _mm256_unpackhi_epi64(a, b);
    to[2] = _mm256_unpacklo_epi64(c, d);
    to[3] = _mm256_unpackhi_epi64(c, d);
}

INLINE uint32_t load_u32(const uint8_t *p)
{
    uint32_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

/* The words at the beginning of eight blocks. */
INLINE __m256i heads(const struct lanes *l, int64_t offset)
{
    const uint8_t *p = l->at + offset;
    int word[LANES];
    for (int i = 0; i < LANES; i++) word[i] = (int)load_u32(p + i * l->row_bytes);
    return _mm256_setr_epi32(word[0], word[1], word[2], word[3], word[4], word[5], word[6],
                             word[7]);
}

/* f16 in the low halves of eight words; the high halves are 0. */
INLINE __m256 from_halves(__m256i words)
{
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(words, words), 0x08);
    return _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
}

INLINE __m256 low_halves(__m256i words)
{
    return from_halves(_mm256_and_si256(words, _mm256_set1_epi32(0xFFFF)));
}

INLINE const float *floats(const struct graft_nf4 *w, uint64_t offset)
{
    return (const float *)(const void *)((const uint8_t *)w + offset);
}

INLINE float nf4_scale(const struct graft_nf4 *w, int64_t block)
{
    const uint8_t *codes = (const uint8_t *)w + w->absmax;
    if (w->nested_block == 0) return floats(w, w->absmax)[block];
    return floats(w, w->nested_map)[codes[block]] *
               floats(w, w->nested_absmax)[block / w->nested_block] +
           w->offset;
}

/* BLOCK columns of eight rows: their codes as they are stored, and what they are scaled by. */
struct turned {
    __m256i words[BLOCK / 2]; /* 16-bit types fill it */
    __m256 d, m;
};

INLINE bool lanes_know(int32_t dtype)
{
    return dtype == GRAFT_DTYPE_Q4_1 || dtype == GRAFT_DTYPE_Q4_0 || dtype == GRAFT_DTYPE_Q8_0 ||
           dtype == GRAFT_DTYPE_NF4 || dtype == GRAFT_DTYPE_BF16;
}

/* Column block `block` after the lanes' own; `dtype` is a constant wherever this is called. */
INLINE void turn(int32_t dtype, const struct lanes *l, int64_t block, struct turned *t)
{
    if (dtype == GRAFT_DTYPE_NF4) {
        const struct graft_nf4 *w = l->nf4;
        int64_t first = l->first + block * BLOCK;
        float scale[LANES];
        turn_bytes((const uint8_t *)w + w->codes + first / 2, l->cols / 2, t->words);
        for (int i = 0; i < LANES; i++) scale[i] = nf4_scale(w, (first + i * l->cols) / w->block);
        t->d = _mm256_loadu_ps(scale);
        return;
    }
    if (dtype == GRAFT_DTYPE_BF16) {
        for (int i = 0; i < 4; i++)
            turn_bytes(l->at + 2 * BLOCK * block + 16 * i, l->row_bytes, t->words + 4 * i);
        return;
    }
    int64_t head = dtype == GRAFT_DTYPE_Q4_1 ? 4 : 2, codes = dtype == GRAFT_DTYPE_Q8_0 ? 32 : 16;
    int64_t offset = block * (head + codes);
    __m256i first = heads(l, offset);
    t->d = low_halves(first);
    if (dtype == GRAFT_DTYPE_Q4_1) t->m = from_halves(_mm256_srli_epi32(first, 16));
    for (int i = 0; i < codes / 16; i++)
        turn_bytes(l->at + offset + head + 16 * i, l->row_bytes, t->words + 4 * i);
}

INLINE __m256 nibble(__m256i words, int shift)
{
    __m256i q = _mm256_and_si256(_mm256_srli_epi32(words, shift), _mm256_set1_epi32(15));
    return _mm256_cvtepi32_ps(q);
}

/* A lookup reads the three low bits of a lane; the fourth picks between two. */
INLINE __m256 look_up(__m256i words, int shift, __m256 map0, __m256 map1)
{
    __m256i q = _mm256_srli_epi32(words, shift);
    __m256 pick = _mm256_castsi256_ps(_mm256_slli_epi32(words, 28 - shift));
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(map0, q), _mm256_permutevar8x32_ps(map1, q),
                            pick);
}

/* The numbers of column i, a constant too; the arithmetic is the reference's. map: NF4's table. */
INLINE __m256 column(int32_t dtype, const struct turned *t, int i, const __m256 map[2])
{
    switch (dtype) {
    case GRAFT_DTYPE_Q4_1: /* byte j: column j in the low nibble, j + 16 in the high one */
        return _mm256_add_ps(
            _mm256_mul_ps(nibble(t->words[i % 16 / 4], i % 4 * 8 + i / 16 * 4), t->d), t->m);
    case GRAFT_DTYPE_Q4_0: /* q - 8 is exact in f32 too */
        return _mm256_mul_ps(_mm256_sub_ps(nibble(t->words[i % 16 / 4], i % 4 * 8 + i / 16 * 4),
                                           _mm256_set1_ps(8.0f)),
                             t->d);
    case GRAFT_DTYPE_Q8_0: {
        __m256i q = _mm256_srai_epi32(_mm256_slli_epi32(t->words[i / 4], 24 - i % 4 * 8), 24);
        return _mm256_mul_ps(_mm256_cvtepi32_ps(q), t->d);
    }
    case GRAFT_DTYPE_NF4: /* byte j: column 2 j in the high nibble, 2 j + 1 in the low one */
        return _mm256_mul_ps(
            look_up(t->words[i / 8], i % 8 / 2 * 8 + (i % 2 == 0 ? 4 : 0), map[0], map[1]), t->d);
    default: /* bf16 */
        return _mm256_castsi256_ps(
            i % 2 == 0 ? _mm256_slli_epi32(t->words[i / 2], 16)
                       : _mm256_and_si256(t->words[i / 2], _mm256_set1_epi32((int)0xFFFF0000)));
    }
}

/* The lanes that begin with row `row` at column `col`, and NF4's table. */
INLINE void lanes_at(int32_t dtype, const void *weight, int64_t cols, int64_t row, int64_t col,
                     struct lanes *l, __m256 map[2])
{
    *l = (struct lanes){.nf4 = weight, .first = row * cols + col, .cols = cols};
    if (dtype == GRAFT_DTYPE_NF4) {
        const float *numbers = floats(l->nf4, l->nf4->map);
        map[0] = _mm256_loadu_ps(numbers);
        map[1] = _mm256_loadu_ps(numbers + 8);
        return;
    }
    l->row_bytes = (int64_t)quant_row_bytes(dtype, cols);
    l->at = (const uint8_t *)weight + row * l->row_bytes + quant_row_bytes(dtype, col);
}

/* Columns in their order, each a constant. */
#define COLUMNS8(F, i)                                                                             \
    F((i)) F((i) + 1) F((i) + 2) F((i) + 3) F((i) + 4) F((i) + 5) F((i) + 6) F((i) + 7)
#define COLUMNS32(F) COLUMNS8(F, 0) COLUMNS8(F, 8) COLUMNS8(F, 16) COLUMNS8(F, 24)

#endif

#endif

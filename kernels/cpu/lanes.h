/* SPDX-License-Identifier: Apache-2.0
 *
 * Weight rows as the lanes of a register: their codes are turned in words of four bytes, which is
 * cheaper than turning the numbers they stand for, and a scale is a vector of lanes. AVX2, AVX-512;
 * for panels.c, few_stored.c and dequantize.c.
 */
#ifndef KERNELS_CPU_LANES_H
#define KERNELS_CPU_LANES_H

#if defined(__AVX2__)

#include "cpu/vec.h"
#include "ref/quant.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 8 /* of turn_bytes */, BLOCK = 32 };

/* VEC rows of one weight, at a column that begins a block. */
struct lanes {
    const struct graft_nf4 *nf4; /* of NF4 alone; the others: */
    const uint8_t *at;           /* the first row's block */
    int64_t row_bytes;
    int64_t first, cols; /* NF4: number of the first row's first weight; numbers from row to row */
    int block, nested;   /* NF4: logarithms of what one scale is for, and one scale of scales */
};

INLINE __m128i load16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

INLINE __m256i load32(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
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

/* A lane's four bytes. */
typedef uint32_t words __attribute__((vector_size(sizeof(vec))));
typedef int32_t signed_words __attribute__((vector_size(sizeof(vec))));

INLINE vec words_floats(words w)
{
    return __builtin_convertvector((signed_words)w, vec);
}

/* For a shuffle of bytes. */
INLINE __m128i byte_on_top_of_four(int byte)
{
    return _mm_add_epi32(_mm_setr_epi32(0, 4 << 24, 8 << 24, 12 << 24),
                         _mm_set1_epi32((byte << 24) + 0x808080));
}

#if defined(__AVX512F__)
#include "cpu/lanes_avx512.h"
#else
#include "cpu/lanes_avx2.h"
#endif

enum {
    TABLE = 16 / VEC,    /* registers of a table of sixteen numbers */
    LOOK_UP = TABLE == 1 /* which costs as much as to convert an integer */
};

INLINE const float *floats(const struct graft_nf4 *w, uint64_t offset)
{
    return (const float *)(const void *)((const uint8_t *)w + offset);
}

INLINE float nf4_scale(const struct graft_nf4 *w, int64_t block, int nested)
{
    const uint8_t *codes = (const uint8_t *)w + w->absmax;
    if (w->nested_block == 0) return floats(w, w->absmax)[block];
    return floats(w, w->nested_map)[codes[block]] * floats(w, w->nested_absmax)[block >> nested] +
           w->offset;
}

/* BLOCK columns of VEC rows: their codes as they are stored, and what they are scaled by. A code
 * of four bits that is not looked up is not moved to the bottom of its word either: in byte i it
 * counts q 256^i, and d[i] is d / 256^i. */
struct turned {
    words words[BLOCK / 2]; /* 16-bit types fill it */
    vec d[4], m;
};

/* The types with a short cut, for a switch over them: a type is a constant wherever it counts. */
#define LANES_TYPES(CASE)                                                                          \
    CASE(GRAFT_DTYPE_Q4_1)                                                                         \
    CASE(GRAFT_DTYPE_Q4_0)                                                                         \
    CASE(GRAFT_DTYPE_Q8_0)                                                                         \
    CASE(GRAFT_DTYPE_NF4)                                                                          \
    CASE(GRAFT_DTYPE_BF16)

INLINE bool lanes_know(int32_t dtype)
{
    switch (dtype) {
#define CASE(type)                                                                                 \
    case type: return true;
        LANES_TYPES(CASE)
#undef CASE
    default: return false;
    }
}

/* first: the words that blocks begin with. */
INLINE void scale(int32_t dtype, words first, struct turned *t)
{
    vec d;
    words_halves(first, &d, &t->m);
    if (dtype == GRAFT_DTYPE_Q8_0) {
        t->d[0] = d * vec_set(0x1p-24f);
        return;
    }
    if (dtype == GRAFT_DTYPE_Q4_0) t->m = d * vec_set(-8.0f);
    t->d[0] = d;
    for (int i = 1; i < 4 && !LOOK_UP; i++) /* exact: f16 is far from the ends of f32 */
        t->d[i] = d * vec_set(1.0f / (float)(1u << 8 * i));
}

INLINE void turn_nf4(const struct lanes *l, int64_t block, struct turned *t)
{
    const struct graft_nf4 *w = l->nf4;
    int64_t first = l->first + block * BLOCK;
    float scale[VEC];
    words_turn((const uint8_t *)w + w->codes + first / 2, l->cols / 2, t->words);
    for (int i = 0; i < VEC; i++)
        scale[i] = nf4_scale(w, (first + i * l->cols) >> l->block, l->nested);
    t->d[0] = vec_load(scale);
}

/* Two blocks of Q4_1 are ten words, which are turned together. */
INLINE void turn_two_q4_1(const struct lanes *l, int64_t block, struct turned t[2])
{
    const uint8_t *at = l->at + block * 20;
    words begin[8]; /* the first block, the second one's head and two words */
    words_turn_two(at, l->row_bytes, begin);
    words_turn(at + 24, l->row_bytes, t[1].words);
    scale(GRAFT_DTYPE_Q4_1, begin[0], &t[0]);
    scale(GRAFT_DTYPE_Q4_1, begin[5], &t[1]);
    for (int i = 0; i < 4; i++) t[0].words[i] = begin[1 + i];
}

INLINE void turn_one(int32_t dtype, const struct lanes *l, int64_t block, struct turned *t)
{
    if (dtype == GRAFT_DTYPE_NF4) {
        turn_nf4(l, block, t);
        return;
    }
    if (dtype == GRAFT_DTYPE_BF16) {
        words_turn_two(l->at + 2 * BLOCK * block, l->row_bytes, t->words);
        words_turn_two(l->at + 2 * BLOCK * block + 32, l->row_bytes, t->words + 8);
        return;
    }
    int64_t head = dtype == GRAFT_DTYPE_Q4_1 ? 4 : 2, codes = dtype == GRAFT_DTYPE_Q8_0 ? 32 : 16;
    const uint8_t *at = l->at + block * (head + codes);
    words begin[4];
    words_turn(at, l->row_bytes, begin);
    scale(dtype, begin[0], t);
    if (dtype == GRAFT_DTYPE_Q8_0)
        words_turn_two(at + head, l->row_bytes, t->words);
    else
        words_turn(at + head, l->row_bytes, t->words);
}

/* One or two column blocks from `block` after the lanes' own; `dtype` is a constant wherever this
 * is called. */
INLINE void turn(int32_t dtype, const struct lanes *l, int64_t block, int count, struct turned t[2])
{
    if (dtype == GRAFT_DTYPE_Q4_1 && count == 2) {
        turn_two_q4_1(l, block, t);
        return;
    }
    for (int i = 0; i < count; i++) turn_one(dtype, l, block + i, &t[i]);
}

/* How a block's columns follow each other: through its words, which hold so many each; again in the
 * high nibbles where there are two passes. */
INLINE int lanes_passes(int32_t dtype)
{
    return dtype == GRAFT_DTYPE_Q4_1 || dtype == GRAFT_DTYPE_Q4_0 ? 2 : 1;
}

INLINE int lanes_columns(int32_t dtype)
{
    return dtype == GRAFT_DTYPE_NF4 ? 8 : dtype == GRAFT_DTYPE_BF16 ? 2 : 4;
}

INLINE int lanes_words(int32_t dtype)
{
    return BLOCK / (lanes_passes(dtype) * lanes_columns(dtype));
}

/* Byte i of each word at its top, with its sign, above zeros. */
INLINE words byte_on_top(words w, int i)
{
    switch (i) {
    case 0: return w << 24;
    case 3: return w & 0xFF000000;
    default: return words_byte_on_top(w, i);
    }
}

/* q d + m. q d is exact, 4 bits times 11, so one rounding is what the reference's two are; so is
 * (q - 8) d, but where it is 0, it may have the other sign. */
INLINE vec nibble(words w, int pass, int i, const struct turned *t, const vec map[TABLE])
{
    if (LOOK_UP) return vec_fma(words_look_up(w >> (8 * i + 4 * pass), map), t->d[0], t->m);
    return vec_fma(words_floats((w >> 4 * pass) & 15u << 8 * i), t->d[i], t->m);
}

/* The numbers of column i of w, a word of t's, in a pass; type, pass and i are constants. The
 * arithmetic is the reference's. */
INLINE vec column(int32_t dtype, const struct turned *t, int pass, words w, int i,
                  const vec map[TABLE])
{
    switch (dtype) {
    case GRAFT_DTYPE_Q4_1: /* byte j: column j in the low nibble, j + 16 in the high one */
    case GRAFT_DTYPE_Q4_0: return nibble(w, pass, i, t, map);
    case GRAFT_DTYPE_Q8_0: return words_floats(byte_on_top(w, i)) * t->d[0];
    case GRAFT_DTYPE_NF4: /* byte j: column 2 j in the high nibble, 2 j + 1 in the low one */
        return words_look_up(w >> (i / 2 * 8 + (i % 2 == 0 ? 4 : 0)), map) * t->d[0];
    default: /* bf16 */ return (vec)(i == 0 ? w << 16 : w & 0xFFFF0000);
    }
}

/* The lanes that begin with row `row` at column `col`, and what a code of four bits counts. */
INLINE void lanes_at(int32_t dtype, const void *weight, int64_t cols, int64_t row, int64_t col,
                     struct lanes *l, vec map[TABLE])
{
    *l = (struct lanes){.nf4 = weight, .first = row * cols + col, .cols = cols};
    if (dtype == GRAFT_DTYPE_NF4) {
        const float *numbers = floats(l->nf4, l->nf4->map);
        l->block = __builtin_ctz(l->nf4->block);
        l->nested = l->nf4->nested_block > 0 ? __builtin_ctz(l->nf4->nested_block) : 0;
        for (int i = 0; i < TABLE; i++) map[i] = vec_load(numbers + i * VEC);
        return;
    }
    for (int i = 0; i < TABLE * VEC; i++) map[i / VEC][i % VEC] = (float)i;
    int64_t bytes = dtype == GRAFT_DTYPE_Q4_1   ? 20 /* of a block */
                    : dtype == GRAFT_DTYPE_Q4_0 ? 18
                    : dtype == GRAFT_DTYPE_Q8_0 ? 34
                                                : 2 * BLOCK;
    l->row_bytes = cols / BLOCK * bytes;
    l->at = (const uint8_t *)weight + row * l->row_bytes + col / BLOCK * bytes;
}

#endif

#endif

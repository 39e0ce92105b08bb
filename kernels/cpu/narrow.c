/* SPDX-License-Identifier: Apache-2.0
 *
 * Rounding and packing: two numbers of k that follow each other make one word, as the instructions
 * take them.
 */
#include "cpu/narrow.h"

#include "cpu/dequantize.h"
#include "cpu/lanes.h"
#include "cpu/vec.h"
#include "ref/half.h"

#include <string.h>

#if defined(__AVX512F__)

/* bf16_from_f32 in the upper halves; what is below them is dropped. */
static __m512i rounded(__m512i bits)
{
    const __m512i half = _mm512_set1_epi32(0x7FFF), quiet = _mm512_set1_epi32(0x400000);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i near = _mm512_add_epi32(_mm512_add_epi32(bits, half), odd);
    enum { SIGNALING_OR_QUIET = 0x81 };
    __mmask16 nan = _mm512_fpclass_ps_mask(_mm512_castsi512_ps(bits), SIGNALING_OR_QUIET);
    return _mm512_mask_or_epi32(near, nan, bits, quiet);
}

static void put_words(__m512i low, __m512i high, uint16_t *to)
{
    __m512i right = _mm512_srli_epi32(rounded(low), 16);
    _mm512_storeu_si512(to, _mm512_mask_blend_epi16(0xAAAAAAAA, right, rounded(high)));
}

/* A word of each pair. */
static void put_pairs(const float *low, const float *high, uint16_t *to)
{
    put_words(_mm512_loadu_si512(low), _mm512_loadu_si512(high), to);
}

/* As many of k numbers as fill whole registers; returns how many. */
static int64_t round_many(const float *from, int64_t k, uint16_t *to)
{
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7); /* packs work by 128 bits */
    int64_t p = 0;
    for (; p + 2 * VEC <= k; p += 2 * VEC) {
        __m512i low = _mm512_srli_epi32(rounded(_mm512_loadu_si512(from + p)), 16);
        __m512i high = _mm512_srli_epi32(rounded(_mm512_loadu_si512(from + p + VEC)), 16);
        __m512i both = _mm512_permutexvar_epi64(order, _mm512_packus_epi32(low, high));
        _mm512_storeu_si512(to + p, both);
    }
    return p;
}

#else

/* A word of each pair. */
static void put_pairs(const float *low, const float *high, uint16_t *to)
{
    uint32_t word[NARROW_TILE];
    for (int i = 0; i < NARROW_TILE; i++)
        word[i] = (uint32_t)bf16_from_f32(low[i]) | (uint32_t)bf16_from_f32(high[i]) << 16;
    memcpy(to, word, sizeof word);
}

static int64_t round_many(const float *from, int64_t k, uint16_t *to)
{
    PARALLEL_LOOP
    for (int64_t p = 0; p < k; p++) to[p] = bf16_from_f32(from[p]);
    return k;
}

#endif

void narrow_pack_a(const float *from, int64_t row, int64_t rows, int64_t k, uint16_t *to)
{
    int64_t wide = narrow_k(k);
    for (int64_t i = 0; i < rows; i++, from += row, to += wide) {
        int64_t p = round_many(from, k, to);
        for (; p < k; p++) to[p] = bf16_from_f32(from[p]);
        memset(to + k, 0, (size_t)(wide - k) * sizeof *to);
    }
}

void narrow_pack_rows(const float *from, int64_t row, int64_t k, int64_t n, uint16_t *panels)
{
    for (int64_t j = 0; j < n; j += NARROW_TILE) {
        int64_t columns = n - j < NARROW_TILE ? n - j : NARROW_TILE;
        for (int64_t p = 0; p < narrow_k(k); p += 2, panels += 2 * NARROW_TILE) {
            const float *low = from + p * row + j;
            float edge[2][NARROW_TILE] = {{0.0f}};
            if (columns == NARROW_TILE && p + 1 < k) {
                put_pairs(low, low + row, panels);
                continue;
            }
            for (int64_t i = 0; i < 2 && p + i < k; i++)
                memcpy(edge[i], low + i * row, (size_t)columns * sizeof *low);
            put_pairs(edge[0], edge[1], panels);
        }
    }
}

/* NARROW_TILE columns b[., j], which lie in rows of `from`, as far as they come in fours; returns
 * how far. */
static int64_t turn_fours(const float *from, int64_t row, int64_t k, uint16_t *panel)
{
    int64_t p = 0;
#if defined(__AVX512F__)
    for (; p + 4 <= k; p += 4) {
        words column[4];
        words_turn((const uint8_t *)(from + p), row * (int64_t)sizeof *from, column);
        put_words((__m512i)column[0], (__m512i)column[1], panel + p * NARROW_TILE);
        put_words((__m512i)column[2], (__m512i)column[3], panel + (p + 2) * NARROW_TILE);
    }
#else
    (void)from, (void)row, (void)k, (void)panel;
#endif
    return p;
}

void narrow_pack_columns(const float *from, int64_t row, int64_t k, int64_t n, uint16_t *panels)
{
    int64_t wide = narrow_k(k);
    for (int64_t j = 0; j < n; j += NARROW_TILE, panels += wide * NARROW_TILE) {
        int64_t columns = n - j < NARROW_TILE ? n - j : NARROW_TILE;
        int64_t p = columns == NARROW_TILE ? turn_fours(from + j * row, row, k, panels) : 0;
        for (; p < wide; p += 2) {
            float edge[2][NARROW_TILE] = {{0.0f}};
            for (int64_t i = 0; i < 2 && p + i < k; i++)
                for (int64_t c = 0; c < columns; c++) edge[i][c] = from[(j + c) * row + p + i];
            put_pairs(edge[0], edge[1], panels + p * NARROW_TILE);
        }
    }
}

#if defined(__AVX512F__)

/* The columns of one pass over a block. */
INLINE void put(int32_t dtype, int pass, const struct turned *t, const vec map[TABLE], uint16_t *to)
{
    for (int word = 0; word < lanes_words(dtype); word++)
        for (int i = 0; i < lanes_columns(dtype); i += 2, to += 2 * NARROW_TILE)
            put_words((__m512i)column(dtype, t, pass, t->words[word], i, map),
                      (__m512i)column(dtype, t, pass, t->words[word], i + 1, map), to);
}

/* One panel: NARROW_TILE weight rows by k columns. */
INLINE void turn_panel(int32_t dtype, const void *weight, int64_t cols, int64_t row, int64_t col,
                       int64_t k, uint16_t *panel)
{
    struct lanes l;
    struct turned t[2];
    vec map[TABLE];
    lanes_at(dtype, weight, cols, row, col, &l, map);
    int64_t blocks = k / BLOCK;
    for (int64_t block = 0; block < blocks; block += 2) {
        int count = block + 1 < blocks ? 2 : 1;
        turn(dtype, &l, block, count, t);
        for (int b = 0; b < count; b++, panel += BLOCK * NARROW_TILE) {
            put(dtype, 0, &t[b], map, panel);
            if (lanes_passes(dtype) == 2)
                put(dtype, 1, &t[b], map, panel + BLOCK / 2 * NARROW_TILE);
        }
    }
}

/* Whole panels straight from the codes; returns how many weight rows that were. */
static int64_t turn_panels(int32_t dtype, const void *weight, int64_t cols, int64_t row0, int64_t n,
                           int64_t col0, int64_t k, uint16_t *panels)
{
    _Static_assert((int)VEC == (int)NARROW_TILE, "a panel is as wide as a register");
    if (!lanes_know(dtype) || k % BLOCK != 0 || col0 % BLOCK != 0 || cols % BLOCK != 0) return 0;
    int64_t j = 0;
    for (; j + NARROW_TILE <= n; j += NARROW_TILE) {
#define CASE(type)                                                                                 \
    case type: turn_panel(type, weight, cols, row0 + j, col0, k, panels + j * k); break;
        switch (dtype) {
            LANES_TYPES(CASE)
        default: break;
        }
#undef CASE
    }
    return j;
}

#else

static int64_t turn_panels(int32_t dtype, const void *weight, int64_t cols, int64_t row0, int64_t n,
                           int64_t col0, int64_t k, uint16_t *panels)
{
    (void)dtype, (void)weight, (void)cols, (void)row0, (void)n, (void)col0, (void)k, (void)panels;
    return 0;
}

#endif

void narrow_panels(int32_t dtype, const void *weight, int64_t cols, int64_t row0, int64_t n,
                   int64_t col0, int64_t k, float *tile, uint16_t *panels)
{
    int64_t done = turn_panels(dtype, weight, cols, row0, n, col0, k, panels);
    if (done == n) return;
    cpu_dequantize(dtype, weight, cols, row0 + done, n - done, col0, k, tile);
    narrow_pack_columns(tile, k, k, n - done, panels + done * narrow_k(k));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The 4-bit types by hand: eight codes become eight numbers in one register. The arithmetic is the
 * reference's, operation for operation, so the numbers are equal. Everything else is ref/quant's.
 */
#include "cpu/dequantize.h"

#if defined(__AVX2__)

#include "cpu/lanes.h"
#include "ref/half.h"

/* A stored f16, everywhere. */
static vec spread_f16(const uint8_t *at)
{
    __m128i half = _mm_cvtsi32_si128(load_u16(at));
    return vec_set(_mm_cvtss_f32(_mm_cvtph_ps(half)));
}

/* The numbers of VEC codes, one a byte. */
static vec numbers(__m128i codes)
{
#if defined(__AVX512F__)
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(codes));
#else
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(codes));
#endif
}

/* Sixteen codes times d plus m; q d is exact, so it is the reference's number. */
static void scale_codes(__m128i codes, vec d, vec m, float *y)
{
    vec_store(y, vec_fma(numbers(codes), d, m));
    if (VEC < 16) vec_store(y + VEC, vec_fma(numbers(_mm_srli_si128(codes, 8)), d, m));
}

/* {f16 d; f16 m; u8 q[16]}: y = q * d + m */
static void blocks_q4_1(const uint8_t *b, float *y, int64_t blocks)
{
    const __m128i low = _mm_set1_epi8(15);
    for (int64_t i = 0; i < blocks; i++, b += 20, y += BLOCK) {
        vec d = spread_f16(b), m = spread_f16(b + 2);
        __m128i q = load16(b + 4);
        scale_codes(_mm_and_si128(q, low), d, m, y);
        scale_codes(_mm_and_si128(_mm_srli_epi16(q, 4), low), d, m, y + 16);
    }
}

/* The difference is exact. */
static void center_codes(__m128i codes, vec d, float *y)
{
    const vec middle = vec_set(8.0f);
    vec_store(y, (numbers(codes) - middle) * d);
    if (VEC < 16) vec_store(y + VEC, (numbers(_mm_srli_si128(codes, 8)) - middle) * d);
}

/* {f16 d; u8 q[16]}: y = (q - 8) * d */
static void blocks_q4_0(const uint8_t *b, float *y, int64_t blocks)
{
    const __m128i low = _mm_set1_epi8(15);
    for (int64_t i = 0; i < blocks; i++, b += 18, y += BLOCK) {
        vec d = spread_f16(b);
        __m128i q = load16(b + 2);
        center_codes(_mm_and_si128(q, low), d, y);
        center_codes(_mm_and_si128(_mm_srli_epi16(q, 4), low), d, y + 16);
    }
}

/* Sixteen codes by a table of as many numbers. */
static void look_up_codes(__m128i codes, const vec table[TABLE], float *y)
{
#if defined(__AVX512F__)
    vec_store(y, words_look_up((words)_mm512_cvtepu8_epi32(codes), table));
#else
    vec_store(y, words_look_up((words)_mm256_cvtepu8_epi32(codes), table));
    codes = _mm_srli_si128(codes, 8);
    vec_store(y + VEC, words_look_up((words)_mm256_cvtepu8_epi32(codes), table));
#endif
}

/* first and count are multiples of 32; so is every block. */
static void run_nf4(const struct graft_nf4 *w, int64_t first, int64_t count, float *y)
{
    const __m128i low = _mm_set1_epi8(15);
    const uint8_t *codes = (const uint8_t *)w + w->codes;
    const float *map = floats(w, w->map);
    int nested = w->nested_block > 0 ? __builtin_ctz(w->nested_block) : 0;
    while (count > 0) {
        int64_t block = first / w->block, end = (block + 1) * w->block;
        int64_t run = count < end - first ? count : end - first;
        vec scale = vec_set(nf4_scale(w, block, nested)), table[TABLE];
        for (int i = 0; i < TABLE; i++) table[i] = vec_load(map + i * VEC) * scale;
        for (int64_t i = 0; i < run; i += BLOCK, y += BLOCK) {
            __m128i q = load16(codes + (first + i) / 2);
            __m128i odd = _mm_and_si128(q, low), even = _mm_and_si128(_mm_srli_epi16(q, 4), low);
            look_up_codes(_mm_unpacklo_epi8(even, odd), table, y);
            look_up_codes(_mm_unpackhi_epi8(even, odd), table, y + 16);
        }
        first += run;
        count -= run;
    }
}

void cpu_dequantize(int32_t dtype, const void *weight, int64_t cols, int64_t row0, int64_t rows,
                    int64_t col0, int64_t ncols, float *out)
{
    bool fours = dtype == GRAFT_DTYPE_Q4_0 || dtype == GRAFT_DTYPE_Q4_1;
    bool nf4 =
        dtype == GRAFT_DTYPE_NF4 && cols % BLOCK == 0 && col0 % BLOCK == 0 && ncols % BLOCK == 0;
    if (!fours && !nf4) {
        dequantize_tile(dtype, weight, cols, row0, rows, col0, ncols, out);
        return;
    }
    int64_t bytes = dtype == GRAFT_DTYPE_Q4_0 ? 18 : 20;
    for (int64_t r = 0; r < rows; r++, out += ncols) {
        int64_t first = (row0 + r) * cols + col0;
        const uint8_t *b = (const uint8_t *)weight + first / BLOCK * bytes;
        if (nf4)
            run_nf4(weight, first, ncols, out);
        else if (dtype == GRAFT_DTYPE_Q4_0)
            blocks_q4_0(b, out, ncols / BLOCK);
        else
            blocks_q4_1(b, out, ncols / BLOCK);
    }
}

#else

void cpu_dequantize(int32_t dtype, const void *weight, int64_t cols, int64_t row0, int64_t rows,
                    int64_t col0, int64_t ncols, float *out)
{
    dequantize_tile(dtype, weight, cols, row0, rows, col0, ncols, out);
}

#endif

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
static __m256 spread_f16(const uint8_t *at)
{
    __m128i half = _mm_cvtsi32_si128(load_u16(at));
    return _mm256_broadcastss_ps(_mm_cvtph_ps(half));
}

/* Eight codes, one a byte, times d plus m; q d is exact, so it is the reference's number. */
static void scale_codes(__m128i codes, __m256 d, __m256 m, float *y)
{
    __m256 q = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(codes));
    _mm256_storeu_ps(y, _mm256_fmadd_ps(q, d, m));
}

/* {f16 d; f16 m; u8 q[16]}: y = q * d + m */
static void blocks_q4_1(const uint8_t *b, float *y, int64_t blocks)
{
    const __m128i low = _mm_set1_epi8(15);
    for (int64_t i = 0; i < blocks; i++, b += 20, y += BLOCK) {
        __m256 d = spread_f16(b);
        __m256 m = spread_f16(b + 2);
        __m128i q = _mm_loadu_si128((const __m128i *)(const void *)(b + 4));
        __m128i q0 = _mm_and_si128(q, low), q1 = _mm_and_si128(_mm_srli_epi16(q, 4), low);
        scale_codes(q0, d, m, y);
        scale_codes(_mm_srli_si128(q0, 8), d, m, y + 8);
        scale_codes(q1, d, m, y + 16);
        scale_codes(_mm_srli_si128(q1, 8), d, m, y + 24);
    }
}

static void center_codes(__m128i codes, __m256 d, float *y)
{
    __m256i q = _mm256_sub_epi32(_mm256_cvtepu8_epi32(codes), _mm256_set1_epi32(8));
    _mm256_storeu_ps(y, _mm256_mul_ps(_mm256_cvtepi32_ps(q), d));
}

/* {f16 d; u8 q[16]}: y = (q - 8) * d */
static void blocks_q4_0(const uint8_t *b, float *y, int64_t blocks)
{
    const __m128i low = _mm_set1_epi8(15);
    for (int64_t i = 0; i < blocks; i++, b += 18, y += BLOCK) {
        __m256 d = spread_f16(b);
        __m128i q = _mm_loadu_si128((const __m128i *)(const void *)(b + 2));
        __m128i q0 = _mm_and_si128(q, low), q1 = _mm_and_si128(_mm_srli_epi16(q, 4), low);
        center_codes(q0, d, y);
        center_codes(_mm_srli_si128(q0, 8), d, y + 8);
        center_codes(q1, d, y + 16);
        center_codes(_mm_srli_si128(q1, 8), d, y + 24);
    }
}

/* Eight codes by a table of sixteen numbers: two lookups, and the code's top bit picks. */
static void look_up8(__m128i codes, __m256 table0, __m256 table1, float *y)
{
    __m256i q = _mm256_cvtepu8_epi32(codes);
    __m256 pick = _mm256_castsi256_ps(_mm256_slli_epi32(q, 28));
    _mm256_storeu_ps(y, _mm256_blendv_ps(_mm256_permutevar8x32_ps(table0, q),
                                         _mm256_permutevar8x32_ps(table1, q), pick));
}

/* first and count are multiples of 32; so is every block. */
static void run_nf4(const struct graft_nf4 *w, int64_t first, int64_t count, float *y)
{
    const __m128i low = _mm_set1_epi8(15);
    const uint8_t *codes = (const uint8_t *)w + w->codes;
    const float *map = floats(w, w->map);
    int nested = w->nested_block > 0 ? __builtin_ctz(w->nested_block) : 0;
    __m256 map0 = _mm256_loadu_ps(map), map1 = _mm256_loadu_ps(map + 8);
    while (count > 0) {
        int64_t block = first / w->block, end = (block + 1) * w->block;
        int64_t run = count < end - first ? count : end - first;
        __m256 scale = _mm256_set1_ps(nf4_scale(w, block, nested));
        __m256 table0 = _mm256_mul_ps(map0, scale), table1 = _mm256_mul_ps(map1, scale);
        for (int64_t i = 0; i < run; i += BLOCK, y += BLOCK) {
            const uint8_t *from = codes + (first + i) / 2;
            __m128i q = _mm_loadu_si128((const __m128i *)(const void *)from);
            __m128i odd = _mm_and_si128(q, low), even = _mm_and_si128(_mm_srli_epi16(q, 4), low);
            __m128i a = _mm_unpacklo_epi8(even, odd), b = _mm_unpackhi_epi8(even, odd);
            look_up8(a, table0, table1, y);
            look_up8(_mm_srli_si128(a, 8), table0, table1, y + 8);
            look_up8(b, table0, table1, y + 16);
            look_up8(_mm_srli_si128(b, 8), table0, table1, y + 24);
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

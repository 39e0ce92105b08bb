/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF's super-blocks of 256 numbers: Q4_K, Q5_K, Q6_K (ggml-quants.c).
 */
#include "ref/half.h"
#include "ref/quant_rows.h"

enum { BLOCK = 256 };

/* Eight scales and eight minima of 6 bits in 12 bytes. */
static void unpack_scales(const uint8_t *s, int scale[8], int min[8])
{
    for (int j = 0; j < 4; j++) {
        scale[j] = s[j] & 63;
        min[j] = s[j + 4] & 63;
        scale[j + 4] = (s[j + 8] & 15) | (s[j] >> 6) << 4;
        min[j + 4] = s[j + 8] >> 4 | (s[j + 4] >> 6) << 4;
    }
}

/* {f16 d; f16 dmin; u8 scales[12]; u8 q[128]}: 8 groups of 32, y = d * scale * q - dmin * min.
 * 32 bytes hold a pair of groups: low nibbles, then high nibbles. */
void dequantize_q4_k(const uint8_t *b, float *y, int64_t blocks)
{
    for (int64_t i = 0; i < blocks; i++, b += 144, y += BLOCK) {
        float d = f32_from_f16(load_u16(b)), dmin = f32_from_f16(load_u16(b + 2));
        int scale[8], min[8];
        unpack_scales(b + 4, scale, min);
        for (int p = 0; p < 4; p++) {
            const uint8_t *q = b + 16 + 32 * p;
            float *low = y + 64 * p, *high = low + 32;
            float d0 = d * (float)scale[2 * p], m0 = dmin * (float)min[2 * p];
            float d1 = d * (float)scale[2 * p + 1], m1 = dmin * (float)min[2 * p + 1];
            for (int l = 0; l < 32; l++) low[l] = d0 * (float)(q[l] & 15) - m0;
            for (int l = 0; l < 32; l++) high[l] = d1 * (float)(q[l] >> 4) - m1;
        }
    }
}

/* {f16 d; f16 dmin; u8 scales[12]; u8 high[32]; u8 q[128]}: as Q4_K; bit g of high[l] is the fifth
 * bit of number l of group g. */
void dequantize_q5_k(const uint8_t *b, float *y, int64_t blocks)
{
    for (int64_t i = 0; i < blocks; i++, b += 176, y += BLOCK) {
        float d = f32_from_f16(load_u16(b)), dmin = f32_from_f16(load_u16(b + 2));
        const uint8_t *fifth = b + 16;
        int scale[8], min[8];
        unpack_scales(b + 4, scale, min);
        for (int p = 0; p < 4; p++) {
            const uint8_t *q = b + 48 + 32 * p;
            float *low = y + 64 * p, *high = low + 32;
            float d0 = d * (float)scale[2 * p], m0 = dmin * (float)min[2 * p];
            float d1 = d * (float)scale[2 * p + 1], m1 = dmin * (float)min[2 * p + 1];
            for (int l = 0; l < 32; l++)
                low[l] = d0 * (float)((q[l] & 15) | (fifth[l] >> 2 * p & 1) << 4) - m0;
            for (int l = 0; l < 32; l++)
                high[l] = d1 * (float)(q[l] >> 4 | (fifth[l] >> (2 * p + 1) & 1) << 4) - m1;
        }
    }
}

/* 16 numbers of one scale: nibbles of q from bit `shift`, two more bits of `high` from bit
 * `high_shift`. */
static void group_q6(const uint8_t *q, int shift, const uint8_t *high, int high_shift, float d,
                     float *y)
{
    for (int l = 0; l < 16; l++)
        y[l] = d * (float)(((q[l] >> shift & 15) | (high[l] >> high_shift & 3) << 4) - 32);
}

/* {u8 low[128]; u8 high[64]; i8 scale[16]; f16 d}: 16 groups of 16, y = d * scale * (q - 32). Each
 * half of 128 numbers takes 64 low bytes (two nibbles each) and 32 high bytes (four pairs of bits).
 */
void dequantize_q6_k(const uint8_t *b, float *y, int64_t blocks)
{
    for (int64_t i = 0; i < blocks; i++, b += 210, y += BLOCK) {
        float d = f32_from_f16(load_u16(b + 208));
        for (int g = 0; g < 16; g++) {
            int half = g / 8, quarter = g % 8 / 2, l = g % 2 * 16;
            float scaled = d * (float)(int8_t)b[192 + g];
            group_q6(b + 64 * half + quarter % 2 * 32 + l, quarter / 2 * 4, b + 128 + 32 * half + l,
                     2 * quarter, scaled, y + 16 * g);
        }
    }
}

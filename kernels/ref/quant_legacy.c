/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF's blocks of 32 numbers: Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 (ggml-quants.c, *_ref functions).
 * d and m are f16. Number j shares its byte with number j + 16: low nibble and high nibble. The
 * quantizers divide by the scale before it is rounded to f16, as the reference does.
 */
#include "ref/half.h"
#include "ref/quant_rows.h"

enum { BLOCK = 32, HALF = 16 };

/* {f16 d; i8 q[32]}: y = q * d */
void dequantize_q8_0(const uint8_t *b, float *y, int64_t blocks)
{
    for (int64_t i = 0; i < blocks; i++, b += 34, y += BLOCK) {
        float d = f32_from_f16(load_u16(b));
        for (int j = 0; j < BLOCK; j++) y[j] = (float)(int8_t)b[2 + j] * d;
    }
}

/* {f16 d; u8 q[16]}: y = (q - 8) * d */
void dequantize_q4_0(const uint8_t *b, float *y, int64_t blocks)
{
    for (int64_t i = 0; i < blocks; i++, b += 18, y += BLOCK) {
        float d = f32_from_f16(load_u16(b));
        for (int j = 0; j < HALF; j++) {
            y[j] = (float)((b[2 + j] & 15) - 8) * d;
            y[j + HALF] = (float)((b[2 + j] >> 4) - 8) * d;
        }
    }
}

/* {f16 d; f16 m; u8 q[16]}: y = q * d + m */
void dequantize_q4_1(const uint8_t *b, float *y, int64_t blocks)
{
    for (int64_t i = 0; i < blocks; i++, b += 20, y += BLOCK) {
        float d = f32_from_f16(load_u16(b)), m = f32_from_f16(load_u16(b + 2));
        for (int j = 0; j < HALF; j++) {
            y[j] = (float)(b[4 + j] & 15) * d + m;
            y[j + HALF] = (float)(b[4 + j] >> 4) * d + m;
        }
    }
}

static uint32_t load_u32(const uint8_t *p)
{
    uint32_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

/* {f16 d; u32 high; u8 q[16]}: bit j of high is the fifth bit of number j; y = (q - 16) * d */
void dequantize_q5_0(const uint8_t *b, float *y, int64_t blocks)
{
    for (int64_t i = 0; i < blocks; i++, b += 22, y += BLOCK) {
        float d = f32_from_f16(load_u16(b));
        uint32_t high = load_u32(b + 2);
        for (int j = 0; j < HALF; j++) {
            int fifth0 = (int)(high >> j & 1) << 4, fifth1 = (int)(high >> (j + HALF) & 1) << 4;
            y[j] = (float)(((b[6 + j] & 15) | fifth0) - 16) * d;
            y[j + HALF] = (float)(((b[6 + j] >> 4) | fifth1) - 16) * d;
        }
    }
}

/* {f16 d; f16 m; u32 high; u8 q[16]}: y = q * d + m */
void dequantize_q5_1(const uint8_t *b, float *y, int64_t blocks)
{
    for (int64_t i = 0; i < blocks; i++, b += 24, y += BLOCK) {
        float d = f32_from_f16(load_u16(b)), m = f32_from_f16(load_u16(b + 2));
        uint32_t high = load_u32(b + 4);
        for (int j = 0; j < HALF; j++) {
            int fifth0 = (int)(high >> j & 1) << 4, fifth1 = (int)(high >> (j + HALF) & 1) << 4;
            y[j] = (float)((b[8 + j] & 15) | fifth0) * d + m;
            y[j + HALF] = (float)((b[8 + j] >> 4) | fifth1) * d + m;
        }
    }
}

/* Truncates into 0..top; what is not a number goes to `top`. */
static int code(float value, int top)
{
    if (!(value < (float)top)) return top;
    return value > 0 ? (int)value : 0;
}

/* The number of largest magnitude, the first of equals, with its sign. */
static float extreme(const float *x)
{
    float best = 0, magnitude = 0;
    for (int j = 0; j < BLOCK; j++) {
        if (fabsf(x[j]) > magnitude) {
            magnitude = fabsf(x[j]);
            best = x[j];
        }
    }
    return best;
}

static float inverse(float d)
{
    return d != 0 ? 1.0f / d : 0.0f;
}

void quantize_q8_0(const float *x, uint8_t *b, int64_t blocks)
{
    for (int64_t i = 0; i < blocks; i++, x += BLOCK, b += 34) {
        float d = fabsf(extreme(x)) / 127.0f, id = inverse(d);
        store_u16(b, f16_from_f32(d));
        for (int j = 0; j < BLOCK; j++) {
            float q = roundf(x[j] * id);
            q = q < 127.0f ? q : 127.0f;
            q = q > -127.0f ? q : -127.0f;
            b[2 + j] = (uint8_t)(int8_t)q;
        }
    }
}

/* Codes 0..top of (x - m) * id + shift, nibbles to `low`, fifth bits returned. */
static uint32_t put_codes(const float *x, float m, float id, float shift, int top, uint8_t *low)
{
    uint32_t high = 0;
    for (int j = 0; j < HALF; j++) {
        int q0 = code((x[j] - m) * id + shift, top);
        int q1 = code((x[j + HALF] - m) * id + shift, top);
        low[j] = (uint8_t)((q0 & 15) | (q1 & 15) << 4);
        high |= (uint32_t)(q0 >> 4) << j | (uint32_t)(q1 >> 4) << (j + HALF);
    }
    return high;
}

static void bounds(const float *x, float *low, float *high)
{
    *low = *high = x[0];
    for (int j = 1; j < BLOCK; j++) {
        *low = x[j] < *low ? x[j] : *low;
        *high = x[j] > *high ? x[j] : *high;
    }
}

void quantize_q4_0(const float *x, uint8_t *b, int64_t blocks)
{
    for (int64_t i = 0; i < blocks; i++, x += BLOCK, b += 18) {
        float d = extreme(x) / -8.0f;
        store_u16(b, f16_from_f32(d));
        put_codes(x, 0, inverse(d), 8.5f, 15, b + 2);
    }
}

void quantize_q4_1(const float *x, uint8_t *b, int64_t blocks)
{
    for (int64_t i = 0; i < blocks; i++, x += BLOCK, b += 20) {
        float low, high;
        bounds(x, &low, &high);
        float d = (high - low) / 15.0f;
        store_u16(b, f16_from_f32(d));
        store_u16(b + 2, f16_from_f32(low));
        put_codes(x, low, inverse(d), 0.5f, 15, b + 4);
    }
}

void quantize_q5_0(const float *x, uint8_t *b, int64_t blocks)
{
    for (int64_t i = 0; i < blocks; i++, x += BLOCK, b += 22) {
        float d = extreme(x) / -16.0f;
        store_u16(b, f16_from_f32(d));
        uint32_t high = put_codes(x, 0, inverse(d), 16.5f, 31, b + 6);
        memcpy(b + 2, &high, sizeof high);
    }
}

void quantize_q5_1(const float *x, uint8_t *b, int64_t blocks)
{
    for (int64_t i = 0; i < blocks; i++, x += BLOCK, b += 24) {
        float low, high;
        bounds(x, &low, &high);
        float d = (high - low) / 31.0f;
        store_u16(b, f16_from_f32(d));
        store_u16(b + 2, f16_from_f32(low));
        uint32_t fifths = put_codes(x, low, inverse(d), 0.5f, 31, b + 8);
        memcpy(b + 4, &fifths, sizeof fifths);
    }
}

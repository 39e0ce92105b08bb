/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of storage types, plain types, and tiles.
 */
#include "ref/quant.h"

#include "ref/half.h"
#include "ref/quant_rows.h"

#include <limits.h>

static dequantize_blocks from_f32, from_f16, from_bf16;
static quantize_blocks to_f32, to_f16, to_bf16;

static const struct type {
    int32_t dtype;
    int32_t block, bytes; /* numbers and bytes of one block */
    const char *name;
    dequantize_blocks *dequantize; /* NULL: not a weight's type */
    quantize_blocks *quantize;
} types[] = {
    {GRAFT_DTYPE_F32, 1, 4, "F32", from_f32, to_f32},
    {GRAFT_DTYPE_F16, 1, 2, "F16", from_f16, to_f16},
    {GRAFT_DTYPE_BF16, 1, 2, "BF16", from_bf16, to_bf16},
    {GRAFT_DTYPE_I32, 1, 4, "I32", NULL, NULL},
    {GRAFT_DTYPE_U8, 1, 1, "U8", NULL, NULL},
    {GRAFT_DTYPE_F64, 1, 8, "F64", NULL, NULL},
    {GRAFT_DTYPE_Q8_0, 32, 34, "Q8_0", dequantize_q8_0, quantize_q8_0},
    {GRAFT_DTYPE_Q4_0, 32, 18, "Q4_0", dequantize_q4_0, quantize_q4_0},
    {GRAFT_DTYPE_Q4_1, 32, 20, "Q4_1", dequantize_q4_1, quantize_q4_1},
    {GRAFT_DTYPE_Q5_0, 32, 22, "Q5_0", dequantize_q5_0, quantize_q5_0},
    {GRAFT_DTYPE_Q5_1, 32, 24, "Q5_1", dequantize_q5_1, quantize_q5_1},
    {GRAFT_DTYPE_Q4_K, 256, 144, "Q4_K", dequantize_q4_k, NULL},
    {GRAFT_DTYPE_Q5_K, 256, 176, "Q5_K", dequantize_q5_k, NULL},
    {GRAFT_DTYPE_Q6_K, 256, 210, "Q6_K", dequantize_q6_k, NULL},
    {GRAFT_DTYPE_NF4, 0, 0, "NF4", NULL, NULL},
};

static const struct type *find(int32_t dtype)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].dtype == dtype) return &types[i];
    return NULL;
}

const char *quant_name(int32_t dtype)
{
    const struct type *type = find(dtype);
    return type != NULL ? type->name : NULL;
}

int64_t quant_block(int32_t dtype)
{
    const struct type *type = find(dtype);
    return type != NULL ? type->block : 0;
}

bool quant_is_weight(int32_t dtype)
{
    const struct type *type = find(dtype);
    return type != NULL && (type->dequantize != NULL || dtype == GRAFT_DTYPE_NF4);
}

size_t quant_row_bytes(int32_t dtype, int64_t n)
{
    const struct type *type = find(dtype);
    if (type == NULL || type->block == 0 || n < 0 || n % type->block != 0) return 0;
    if (n / type->block > INT64_MAX / type->bytes) return 0;
    return (size_t)(n / type->block * type->bytes);
}

static void from_f32(const uint8_t *b, float *y, int64_t n)
{
    if (n > 0) memcpy(y, b, (size_t)n * sizeof *y);
}

static void from_f16(const uint8_t *b, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = f32_from_f16(load_u16(b + 2 * i));
}

static void from_bf16(const uint8_t *b, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = f32_from_bf16(load_u16(b + 2 * i));
}

static void to_f32(const float *x, uint8_t *b, int64_t n)
{
    if (n > 0) memcpy(b, x, (size_t)n * sizeof *x);
}

static void to_f16(const float *x, uint8_t *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) store_u16(b + 2 * i, f16_from_f32(x[i]));
}

static void to_bf16(const float *x, uint8_t *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) store_u16(b + 2 * i, bf16_from_f32(x[i]));
}

void dequantize_row(int32_t dtype, const void *row, float *out, int64_t n)
{
    const struct type *type = find(dtype);
    if (type != NULL && type->dequantize != NULL) type->dequantize(row, out, n / type->block);
}

bool quantize_row(int32_t dtype, const float *x, void *row, int64_t n)
{
    const struct type *type = find(dtype);
    if (type == NULL || type->quantize == NULL) return false;
    type->quantize(x, row, n / type->block);
    return true;
}

void dequantize_tile(int32_t dtype, const void *weight, int64_t cols, int64_t row0, int64_t rows,
                     int64_t col0, int64_t ncols, float *out)
{
    const struct type *type = find(dtype);
    if (ncols == cols) { /* one run of numbers */
        ncols *= rows;
        rows = 1;
    }
    if (dtype == GRAFT_DTYPE_NF4) {
        for (int64_t r = 0; r < rows; r++)
            dequantize_nf4(weight, (row0 + r) * cols + col0, ncols, out + r * ncols);
    } else if (type != NULL && type->dequantize != NULL) {
        int64_t stride = cols / type->block * type->bytes;
        const uint8_t *first = weight;
        first += row0 * stride + col0 / type->block * type->bytes;
        for (int64_t r = 0; r < rows; r++)
            type->dequantize(first + r * stride, out + r * ncols, ncols / type->block);
    }
}

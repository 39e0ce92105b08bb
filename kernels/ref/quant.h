/* SPDX-License-Identifier: Apache-2.0
 *
 * Stored weights to f32 and back: the one rule per storage type that every backend is held to.
 * GGUF's blocks as in ggml-quants.c (ggml-org/ggml), NF4 as in bitsandbytes. f32 arithmetic, no
 * fused multiply-add. Weights may lie at any address (NF4 buffers: aligned to 8).
 */
#ifndef KERNELS_REF_QUANT_H
#define KERNELS_REF_QUANT_H

#include <graft/quant.h>
#include <graft/types.h>

#include <stdbool.h>

enum { QUANT_MAX_BLOCK = 256 };

/* "Q4_K"; NULL for a number that is no type. */
const char *quant_name(int32_t dtype);
/* Numbers per block: 1 for plain types, 32 or 256 for GGUF's; 0 for NF4, whose blocks run over
 * the whole weight, and for a number that is no type. */
int64_t quant_block(int32_t dtype);
/* Bytes of n numbers in a row; 0 where n is not a multiple of the block, would overflow, or the
 * type has no rows of its own (NF4). */
size_t quant_row_bytes(int32_t dtype, int64_t n);
/* Can dequantize_* read it: floats, GGUF's blocks, NF4 (the last by buffer only). */
bool quant_is_weight(int32_t dtype);

/* n numbers, a multiple of the block; dtype is F32, F16, BF16 or one of GGUF's. */
void dequantize_row(int32_t dtype, const void *row, float *out /* [n] */, int64_t n);
/* Numbers first .. first + count of the flat weight. */
void dequantize_nf4(const struct graft_nf4 *weight, int64_t first, int64_t count,
                    float *out /* [count] */);
/* The part [row0, row0 + rows) x [col0, col0 + ncols) of a matrix with `cols` columns. `weight` is
 * the whole matrix (NF4: its struct graft_nf4); col0 and ncols are multiples of the block. */
void dequantize_tile(int32_t dtype, const void *weight, int64_t cols, int64_t row0, int64_t rows,
                     int64_t col0, int64_t ncols, float *out /* [rows, ncols] */);

/* F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1: ggml's reference recipes. False: another type. */
bool quantize_row(int32_t dtype, const float *x /* [n] */, void *row, int64_t n);

/* NF4 in three steps, so that a large weight need not exist in f32 as a whole: lay the buffer out,
 * quantize it piece by piece, then the scales. block: a power of two, 32..4096; nested: double
 * quantization of the scales.
 * Bit-equal to bitsandbytes' reference code except for the last digit of the offset (the mean of
 * the block maxima): it sums in f32 in an order that depends on the device; ours is summed in
 * double. */
size_t nf4_bytes(int64_t count, uint32_t block, bool nested); /* 0: not a legal layout */
void nf4_init(struct graft_nf4 *weight, int64_t count, uint32_t block, bool nested);
/* `first` is a multiple of the block, `count` too unless it reaches the end. */
void quantize_nf4(const float *x /* [count] */, int64_t first, int64_t count,
                  struct graft_nf4 *weight, float *absmax /* [blocks]: of the whole weight */);
void quantize_nf4_scales(const float *absmax /* [blocks] */, struct graft_nf4 *weight);

/* bitsandbytes' tables. */
extern const float nf4_map[16];
void nf4_nested_map(float map[256]);

#endif

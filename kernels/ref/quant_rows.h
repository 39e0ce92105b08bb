/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the quant_*.c files: one function per block type, over whole blocks.
 */
#ifndef KERNELS_REF_QUANT_ROWS_H
#define KERNELS_REF_QUANT_ROWS_H

#include <stdint.h>

typedef void dequantize_blocks(const uint8_t *b, float *y, int64_t blocks);
typedef void quantize_blocks(const float *x, uint8_t *b, int64_t blocks);

dequantize_blocks dequantize_q8_0, dequantize_q4_0, dequantize_q4_1, dequantize_q5_0,
    dequantize_q5_1, dequantize_q4_k, dequantize_q5_k, dequantize_q6_k;
quantize_blocks quantize_q8_0, quantize_q4_0, quantize_q4_1, quantize_q5_0, quantize_q5_1;

#endif

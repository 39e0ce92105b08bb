/* SPDX-License-Identifier: Apache-2.0
 *
 * Stored weights straight into the panels of gemm.h: the numbers are cpu_dequantize's, bit for bit.
 */
#ifndef KERNELS_CPU_PANELS_H
#define KERNELS_CPU_PANELS_H

#include <stdint.h>

/* b[p, j] = weight[row0 + j][col0 + p] for k x n numbers; the weight [.., cols] is of any storage
 * type, col0 and k are multiples of its block. tile [n, k]: for types without a short cut. */
void cpu_panels(int32_t dtype, const void *weight, int64_t cols, int64_t row0, int64_t n,
                int64_t col0, int64_t k, float *tile, float *panels /* gemm_packed(k, n) */);

/* Where rows [row0, row0 + n) lie, whose bytes follow each other (NF4: their codes). */
const uint8_t *cpu_weight_rows(int32_t dtype, const void *weight, int64_t cols, int64_t row0,
                               int64_t n, int64_t *bytes);

#endif

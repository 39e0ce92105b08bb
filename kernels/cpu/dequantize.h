/* SPDX-License-Identifier: Apache-2.0
 *
 * dequantize_tile of ref/quant.h, bit for bit, faster where the compiler does not see it.
 */
#ifndef KERNELS_CPU_DEQUANTIZE_H
#define KERNELS_CPU_DEQUANTIZE_H

#include "ref/quant.h"

/* The part [row0, row0 + rows) x [col0, col0 + ncols) of a matrix with `cols` columns. */
void cpu_dequantize(int32_t dtype, const void *weight, int64_t cols, int64_t row0, int64_t rows,
                    int64_t col0, int64_t ncols, float *out /* [rows, ncols] */);

#endif

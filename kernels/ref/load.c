/* SPDX-License-Identifier: Apache-2.0
 *
 * Pieces of stored weights as numbers.
 */
#include "ref/quant.h"
#include "ref/real.h"

#include <string.h>

void REF_NAME(load)(const struct kernel_tensor *weight, int64_t row, int64_t col, int64_t count,
                    real *out)
{
    int64_t cols = weight->shape.dim[1];
    if (weight->dtype == REF_DTYPE) {
        const real *from = weight->data;
        memcpy(out, from + row * cols + col, (size_t)count * sizeof *out);
        return;
    }
    float piece[REF_PIECE];
    dequantize_tile(weight->dtype, weight->data, cols, row, 1, col, count, piece);
    for (int64_t i = 0; i < count; i++) out[i] = piece[i];
}

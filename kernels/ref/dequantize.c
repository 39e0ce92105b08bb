/* SPDX-License-Identifier: Apache-2.0
 *
 * A stored weight as numbers: out = w. Of any rank; the last dimension is a row.
 */
#include "ref/real.h"

void REF_NAME(dequantize)(const struct kernel_call *call)
{
    struct kernel_tensor w = call->in[0];
    real *out = call->out[0].data;
    int64_t cols = w.shape.dim[w.shape.rank - 1], count = graft_shape_count(w.shape);
    w.shape = graft_shape2(count / cols, cols);
    for (int64_t r = 0; r < w.shape.dim[0]; r++)
        for (int64_t c = 0; c < cols; c += REF_PIECE) {
            int64_t n = cols - c < REF_PIECE ? cols - c : REF_PIECE;
            REF_NAME(load)(&w, r, c, n, out + r * cols + c);
        }
}

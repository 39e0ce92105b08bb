/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows picked by an index, and rows put back in their places. Indices of one call are distinct
 * where rows are written.
 */
#include "ref/real.h"

#include <string.h>

/* out[r, :] = x[index[r], :] */
void REF_NAME(gather_rows)(const struct kernel_call *call)
{
    const real *x = call->in[0].data;
    const int32_t *index = call->in[1].data;
    real *out = call->out[0].data;
    int64_t rows = call->in[1].shape.dim[0], channels = call->in[0].shape.dim[1];
    for (int64_t r = 0; r < rows; r++)
        memcpy(out + r * channels, x + index[r] * channels, (size_t)channels * sizeof *x);
}

/* out = 0; out[index[r], :] = x[r, :] */
void REF_NAME(scatter_rows)(const struct kernel_call *call)
{
    const real *x = call->in[0].data;
    const int32_t *index = call->in[1].data;
    real *out = call->out[0].data;
    int64_t rows = call->in[1].shape.dim[0], channels = call->in[0].shape.dim[1];
    int64_t count = graft_shape_count(call->out[0].shape);
    for (int64_t i = 0; i < count; i++) out[i] = 0;
    for (int64_t r = 0; r < rows; r++)
        memcpy(out + index[r] * channels, x + r * channels, (size_t)channels * sizeof *x);
}

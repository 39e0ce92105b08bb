/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes into a stored value `to`; the output is that memory.
 *   assign: to := from, of any one type, unless a guard is given and is 0
 *   accumulate: to += from
 *   write_rows: row index[t] of to := from[t]; other rows stay
 */
#include "ref/real.h"

#include <string.h>

void REF_NAME(assign)(const struct kernel_call *call)
{
    const real *guard = call->in[2].data;
    int32_t dtype = call->in[0].dtype;
    size_t size = dtype == GRAFT_DTYPE_U8 ? 1 : dtype == GRAFT_DTYPE_I32 ? 4 : sizeof(real);
    if (guard && guard[0] == 0) return;
    memmove(call->in[0].data, call->in[1].data,
            (size_t)graft_shape_count(call->in[0].shape) * size);
}

void REF_NAME(accumulate)(const struct kernel_call *call)
{
    real *to = call->in[0].data;
    const real *from = call->in[1].data;
    int64_t count = graft_shape_count(call->in[0].shape);
    for (int64_t i = 0; i < count; i++) to[i] += from[i];
}

void REF_NAME(write_rows)(const struct kernel_call *call)
{
    real *to = call->in[0].data;
    const real *from = call->in[1].data;
    const int32_t *index = call->in[2].data;
    int64_t rows = call->in[2].shape.dim[0], channels = call->in[0].shape.dim[1];
    for (int64_t t = 0; t < rows; t++)
        memcpy(to + index[t] * channels, from + t * channels, (size_t)channels * sizeof *to);
}

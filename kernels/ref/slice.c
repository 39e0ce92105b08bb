/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts of an axis, and axes in another order. x is seen as [outer, axis, inner].
 */
#include "ref/real.h"

/* out[o, i, :] = x[o, begin + i, :] */
void REF_NAME(slice)(const struct kernel_call *call)
{
    const real *x = call->in[0].data;
    real *out = call->out[0].data;
    const struct graft_shape *s = &call->in[0].shape;
    int64_t outer = 1, inner = 1, begin = call->params.slice.begin;
    int32_t axis = call->params.slice.axis;
    for (int32_t i = 0; i < axis; i++) outer *= s->dim[i];
    for (int32_t i = axis + 1; i < GRAFT_MAX_RANK; i++) inner *= s->dim[i];
    int64_t part = call->out[0].shape.dim[axis] * inner;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < part; i++)
            out[o * part + i] = x[(o * s->dim[axis] + begin) * inner + i];
}

/* out = 0; out[o, begin + i, :] = x[o, i, :] */
void REF_NAME(place)(const struct kernel_call *call)
{
    const real *x = call->in[0].data;
    real *out = call->out[0].data;
    const struct graft_shape *s = &call->out[0].shape;
    int64_t outer = 1, inner = 1, begin = call->params.slice.begin;
    int32_t axis = call->params.slice.axis;
    for (int32_t i = 0; i < axis; i++) outer *= s->dim[i];
    for (int32_t i = axis + 1; i < GRAFT_MAX_RANK; i++) inner *= s->dim[i];
    int64_t part = call->in[0].shape.dim[axis] * inner, count = graft_shape_count(*s);
    for (int64_t i = 0; i < count; i++) out[i] = 0;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < part; i++)
            out[(o * s->dim[axis] + begin) * inner + i] = x[o * part + i];
}

/* Axis i of the output is axis params.permute.axis[i] of x. */
void REF_NAME(permute)(const struct kernel_call *call)
{
    const struct graft_shape *in = &call->in[0].shape, *s = &call->out[0].shape;
    const real *x = call->in[0].data;
    real *out = call->out[0].data;
    int64_t step[GRAFT_MAX_RANK] = {0}, n = 0;
    for (int32_t i = 0; i < s->rank; i++) {
        step[i] = 1;
        for (int32_t k = call->params.permute.axis[i] + 1; k < in->rank; k++) step[i] *= in->dim[k];
    }
    for (int64_t i = 0; i < s->dim[0]; i++)
        for (int64_t j = 0; j < s->dim[1]; j++)
            for (int64_t k = 0; k < s->dim[2]; k++)
                for (int64_t l = 0; l < s->dim[3]; l++)
                    out[n++] = x[i * step[0] + j * step[1] + k * step[2] + l * step[3]];
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Shazeer 2020, "GLU variants improve transformer".   s = 1 / (1 + exp(-gate))
 *   y = gate * s * up
 *   dgate = dy * up * s * (1 + gate * (1 - s)),   dup = dy * gate * s
 * 1 - s is 1 / (1 + exp(gate)), which does not cancel. Outputs are overwritten; each element is
 * read before it is written, so an output may be any one of the inputs.
 */
#include "ref/real.h"

#include <math.h>

void REF_NAME(swiglu)(const struct kernel_call *call)
{
    const real *gate = call->in[0].data, *up = call->in[1].data;
    real *y = call->out[0].data;
    int64_t count = graft_shape_count(call->out[0].shape);
    for (int64_t i = 0; i < count; i++) {
        double g = gate[i];
        y[i] = (real)(g / (1.0 + exp(-g)) * up[i]);
    }
}

void REF_NAME(swiglu_backward)(const struct kernel_call *call)
{
    const real *dy = call->in[0].data, *gate = call->in[1].data, *up = call->in[2].data;
    real *dgate = call->out[0].data, *dup = call->out[1].data;
    int64_t count = graft_shape_count(call->in[0].shape);
    for (int64_t i = 0; i < count; i++) {
        double d = dy[i], g = gate[i], u = up[i];
        double s = 1.0 / (1.0 + exp(-g)), rest = 1.0 / (1.0 + exp(g));
        if (dgate) dgate[i] = (real)(d * u * s * (1.0 + g * rest));
        if (dup) dup[i] = (real)(d * g * s);
    }
}

#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * y = x * r * w,   r = 1 / sqrt(mean(x^2) + eps)                      (Zhang and Sennrich 2019)
 * BACKWARD: dx = r * (w * dy - x * r^2 * mean(dy * w * x)). A workgroup has a row of C channels;
 * y may lie in x, dx in dy. Sums in f32.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"
#include "common/reduce.glsl"

layout(constant_id = 1) const bool BACKWARD = false;

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer norm_args
{
    floats dy, x, w, y; /* [.., C] but for w [C] */
    uint rows, row_kind, inner, channels; /* rows * inner vectors of C */
    float eps;
};

layout(push_constant, scalar) uniform push
{
    norm_args a;
    live_t live;
};

void main()
{
    uint row = global_group(), n = a.channels;
    if (row >= live_rows(a.row_kind, a.rows) * a.inner) return;
    uint first = row * n + gl_LocalInvocationIndex, end = (row + 1) * n;
    uint step = gl_WorkGroupSize.x;
    float squares = 0.0, products = 0.0;
    for (uint i = first; i < end; i += step) {
        float x = a.x.v[i];
        squares = fma(x, x, squares);
        if (BACKWARD) products = fma(a.dy.v[i] * a.w.v[i - row * n], x, products);
    }
    float r = inversesqrt(workgroup_sum(squares) / float(n) + a.eps);
    if (BACKWARD) products = workgroup_sum(products) * r * r / float(n);
    for (uint i = first; i < end; i += step) {
        float x = a.x.v[i], w = a.w.v[i - row * n];
        a.y.v[i] = BACKWARD ? r * (w * a.dy.v[i] - x * products) : x * r * w;
    }
}

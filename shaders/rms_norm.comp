#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * y = x * r * w,   r = 1 / sqrt(mean(x^2) + eps)                      (Zhang and Sennrich 2019)
 * BACKWARD: dx = r * (w * dy - x * r^2 * mean(dy * w * x)). A workgroup has a row of C channels,
 * or ROWS of them, a full subgroup each; y may lie in x, dx in dy. Sums in f32.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"
#include "common/reduce.glsl"

layout(constant_id = 1) const bool BACKWARD = false;
layout(constant_id = 2) const uint ROWS = 1; /* 1: the whole workgroup has it */

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

float sum_of(float x)
{
    return ROWS > 1 ? subgroupAdd(x) : workgroup_sum(x);
}

/* By `step` threads, of which this is `thread`. */
void norm(uint row, uint thread, uint step)
{
    uint n = a.channels, first = row * n + thread, end = (row + 1) * n;
    float squares = 0.0, products = 0.0;
    for (uint i = first; i < end; i += step) {
        float x = a.x.v[i];
        squares = fma(x, x, squares);
        if (BACKWARD) products = fma(a.dy.v[i] * a.w.v[i - row * n], x, products);
    }
    float r = inversesqrt(sum_of(squares) / float(n) + a.eps);
    if (BACKWARD) products = sum_of(products) * r * r / float(n);
    for (uint i = first; i < end; i += step) {
        float x = a.x.v[i], w = a.w.v[i - row * n];
        a.y.v[i] = BACKWARD ? r * (w * a.dy.v[i] - x * products) : x * r * w;
    }
}

void main()
{
    uint rows = live_rows(a.row_kind, a.rows) * a.inner, begin = global_group() * ROWS;
    if (ROWS == 1) {
        if (begin < rows) norm(begin, gl_LocalInvocationIndex, gl_WorkGroupSize.x);
        return;
    }
    uint end = min(begin + ROWS, rows);
    for (uint row = begin + gl_SubgroupID; row < end; row += gl_NumSubgroups)
        norm(row, gl_SubgroupInvocationID, gl_SubgroupSize);
}

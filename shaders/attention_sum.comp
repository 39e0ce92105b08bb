#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * y [count] = the splits of a prefix's gradient, x [splits, count], added in order.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer sum_args
{
    floats x, y;
    uint count, splits;
};

layout(push_constant, scalar) uniform push
{
    sum_args a;
    live_t live;
};

void main()
{
    uint at = global_index();
    if (at >= a.count) return;
    float sum = a.x.v[at];
    for (uint i = 1; i < a.splits; i++) sum += a.x.v[i * a.count + at];
    a.y.v[at] = sum;
}

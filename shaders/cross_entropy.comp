#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * nll[r] = log(sum over v of exp(z[r, v])) - z[r, target[r]], and the lowest index of the largest
 * logit. BACKWARD: dz[r, v] = dnll[r] * (p[r, v] - (v == target[r])), p = softmax(z); dz may lie in
 * z. A negative target has nll and dz of 0. A workgroup has a row.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"
#include "common/exp.glsl"
#include "common/reduce.glsl"

layout(constant_id = 1) const bool BACKWARD = false;

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer loss_args
{
    floats z; /* [R, V] */
    ints target; /* [R] */
    floats dnll, nll; /* [R] */
    ints argmax; /* [R] */
    floats dz; /* [R, V] */
    uint rows, row_kind, vocabulary, outputs; /* bit i: output i is wanted */
};

layout(push_constant, scalar) uniform push
{
    loss_args a;
    live_t live;
};

void main()
{
    uint row = global_group(), step = gl_WorkGroupSize.x;
    if (row >= live_rows(a.row_kind, a.rows)) return;
    uint begin = row * a.vocabulary, first = begin + gl_LocalInvocationIndex;
    uint end = begin + a.vocabulary, at = 0;
    float largest = uintBitsToFloat(0xFF800000u), sum = 0.0;
    for (uint i = first; i < end; i += step) {
        float z = a.z.v[i];
        if (z > largest) {
            largest = z;
            at = i - begin;
        }
    }
    workgroup_max(largest, at);
    for (uint i = first; i < end; i += step) sum += exp_f32(a.z.v[i] - largest);
    sum = workgroup_sum(sum);
    int target = a.target.v[row];
    if (BACKWARD) {
        float scale = a.dnll.v[row];
        for (uint i = first; i < end; i += step) {
            float p = exp_f32(a.z.v[i] - largest) / sum;
            a.dz.v[i] = target < 0 ? 0.0 : scale * (int(i - begin) == target ? p - 1.0 : p);
        }
    } else if (gl_LocalInvocationIndex == 0) {
        float z = target < 0 ? 0.0 : a.z.v[begin + uint(target)];
        if ((a.outputs & 1) != 0) a.nll.v[row] = target < 0 ? 0.0 : largest - z + log_f32(sum);
        if ((a.outputs & 2) != 0) a.argmax.v[row] = int(at);
    }
}

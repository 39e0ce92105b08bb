#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * y = gate * s * up,   s = 1 / (1 + exp(-gate))                                  (Shazeer 2020)
 * BACKWARD: dgate = dy * up * s * (1 + gate * (1 - s)),   dup = dy * gate * s. 1 - s is
 * 1 / (1 + exp(gate)), which does not cancel. An output may lie in an input.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"
#include "common/exp.glsl"

layout(constant_id = 1) const bool BACKWARD = false;

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer swiglu_args
{
    floats dy, gate, up, y, dup; /* y: dgate in the backward pass */
    uint rows, row_kind, inner, outputs; /* bit i: output i is wanted */
};

layout(push_constant, scalar) uniform push
{
    swiglu_args a;
    live_t live;
};

void main()
{
    uint i = global_index();
    if (i >= live_rows(a.row_kind, a.rows) * a.inner) return;
    float g = a.gate.v[i], up = a.up.v[i];
    float small = exp_f32(-abs(g)), most = 1.0 / (1.0 + small), least = small * most;
    float s = g < 0.0 ? least : most, rest = g < 0.0 ? most : least;
    if (!BACKWARD) {
        a.y.v[i] = g * s * up;
        return;
    }
    float dy = a.dy.v[i];
    if ((a.outputs & 1) != 0) a.y.v[i] = dy * up * s * (1.0 + g * rest);
    if ((a.outputs & 2) != 0) a.dup.v[i] = dy * g * s;
}

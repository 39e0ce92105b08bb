#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * y = gate * s * up,   s = 1 / (1 + exp(-gate))                                  (Shazeer 2020)
 * BACKWARD: dgate = dy * up * s * (1 + gate * (1 - s)),   dup = dy * gate * s. 1 - s is
 * 1 / (1 + exp(gate)), which does not cancel. An output may lie in an input. A thread
 * has one number, with FOURS four.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"
#include "common/exp.glsl"

layout(constant_id = 1) const bool BACKWARD = false;
layout(constant_id = 2) const bool FOURS = false;

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

/* y, or dgate and dup. */
vec2 swiglu(float dy, float g, float up)
{
    float small = exp_f32(-abs(g)), most = 1.0 / (1.0 + small), least = small * most;
    float s = g < 0.0 ? least : most, rest = g < 0.0 ? most : least;
    if (!BACKWARD) return vec2(g * s * up, 0.0);
    return vec2(dy * up * s * (1.0 + g * rest), dy * g * s);
}

void main()
{
    uint i = global_index(), count = live_rows(a.row_kind, a.rows) * a.inner;
    if (FOURS) {
        if (4 * i >= count) return;
        vec4 dy = vec4(0.0), y, dup, g = vectors(a.gate).v[i], up = vectors(a.up).v[i];
        if (BACKWARD) dy = vectors(a.dy).v[i];
        for (uint k = 0; k < 4; k++) {
            vec2 z = swiglu(dy[k], g[k], up[k]);
            y[k] = z.x;
            dup[k] = z.y;
        }
        if ((a.outputs & 1) != 0) vectors(a.y).v[i] = y;
        if ((a.outputs & 2) != 0) vectors(a.dup).v[i] = dup;
    } else if (i < count) {
        vec2 z = swiglu(BACKWARD ? a.dy.v[i] : 0.0, a.gate.v[i], a.up.v[i]);
        if ((a.outputs & 1) != 0) a.y.v[i] = z.x;
        if ((a.outputs & 2) != 0) a.dup.v[i] = z.y;
    }
}

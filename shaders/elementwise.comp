#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * y = f(a) or f(a, b), one number a thread; a and b repeat along axes whose step is 0. y may lie
 * in a or b where that has its shape.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"

layout(constant_id = 1) const int OP = 1; /* enum graft_op */

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer elementwise_args
{
    floats a, b, y;
    uint rows, row_kind, inner;
    uint dim[4], a_step[4], b_step[4];
    float scale, shift;
};

layout(push_constant, scalar) uniform push
{
    elementwise_args args;
    live_t live;
};

const int ADD = 1;

float apply(float a, float b)
{
    return a + b;
}

void main()
{
    uint i = global_index(), rest = i, a = 0, b = 0;
    if (i >= live_rows(args.row_kind, args.rows) * args.inner) return;
    for (int k = 3; k >= 0 && rest > 0; k--) {
        uint at = k == 0 ? rest : rest % args.dim[k];
        rest = k == 0 ? 0 : rest / args.dim[k];
        a += at * args.a_step[k];
        b += at * args.b_step[k];
    }
    args.y.v[i] = apply(args.a.v[a], args.b.v[b]);
}

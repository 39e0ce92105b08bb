#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * c = the parts of a product that was cut along k, added in their order; ADD: c = c * scale[m] + that.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"

layout(constant_id = 1) const bool ADD = false;

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer sum_args
{
    floats part, c, scale; /* [batch, splits, M, N], [batch, M, N], [M] */
    uint m, n, k, batch;
    uint m_kind, k_kind, batch_kind;
    uint m_first, splits, split_k;
};

layout(push_constant, scalar) uniform push
{
    sum_args args;
    live_t live;
};

void main()
{
    uint size = args.m * args.n, i = global_index(), at = i / size, place = i % size;
    if (at >= live_rows(args.batch_kind, args.batch)) return;
    uint m = place / args.n;
    if (m >= args.m || args.m_first + m >= live_rows(args.m_kind, args.m_first + args.m)) return;
    uint k = live_rows(args.k_kind, args.k), parts = (k + args.split_k - 1) / args.split_k;
    float sum = 0.0;
    for (uint s = 0; s < parts; s++) sum += args.part.v[(at * args.splits + s) * size + place];
    args.c.v[i] = ADD ? fma(args.c.v[i], args.scale.v[m], sum) : sum;
}

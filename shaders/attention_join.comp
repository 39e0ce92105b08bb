#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * Puts the splits of attention.comp together: lse = log(sum over splits of exp(lse of it)),
 * o = sum of exp(lse of it - lse) * o of it. A thread makes one number of o.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"
#include "common/exp.glsl"

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer join_args
{
    floats part_o, part_lse, o, lse; /* [splits, T, H*D], [splits, T, H], [T, H*D], [T, H] */
    uint queries, query_kind, heads, size, splits, outputs;
};

layout(push_constant, scalar) uniform push
{
    join_args a;
    live_t live;
};

void main()
{
    uint at = global_index(), pairs = a.queries * a.heads, pair = at / a.size;
    if (pair >= live_rows(a.query_kind, a.queries) * a.heads) return;
    float largest = a.part_lse.v[pair], sum = 0.0, o = 0.0;
    for (uint i = 1; i < a.splits; i++) largest = max(largest, a.part_lse.v[i * pairs + pair]);
    bool none = floatBitsToUint(largest) == 0xFF800000u;
    for (uint i = 0; i < a.splits; i++) {
        float w = none ? 0.0 : exp_f32(a.part_lse.v[i * pairs + pair] - largest);
        sum += w;
        o += w == 0.0 ? 0.0 : w * a.part_o.v[i * pairs * a.size + at];
    }
    if ((a.outputs & 1) != 0) a.o.v[at] = none ? 0.0 : o / sum;
    if ((a.outputs & 2) != 0 && at % a.size == 0)
        a.lse.v[pair] = none ? largest : largest + log_f32(sum);
}

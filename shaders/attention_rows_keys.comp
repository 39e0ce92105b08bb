#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * attention_backward_keys.comp (dk, dv) for small heads: a thread has a key, and the pairs that see
 * one of the subgroup's keys pass by, in order. Grid: keys, G.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"
#include "common/exp.glsl"
#include "common/attention_rows.glsl"

row_t k, v, dk, dv;
int key;

/* The pairs of query t from head `begin` to `end` of the group. */
void visit(uint t, uint begin, uint end)
{
    ivec2 range = range_of(min(t, queries - 1));
    bool seen = key >= range.x && key <= range.y;
    for (uint h = begin; h < end; h++) {
        uint pair = min(t, queries - 1) * a.heads + g * group + min(h, group - 1);
        float s = score_of(dot_row(k, a.q, pair * D)), p = exp_f32(s - a.lse.v[pair]);
        float dz = slope_of(s, p * (dot_row(v, a.d, pair * D) - a.delta.v[pair]));
        add_row(dk, seen ? dz : 0.0, a.q, pair * D);
        add_row(dv, seen ? p : 0.0, a.d, pair * D);
    }
}

void main()
{
    attention_begin();
    key = int(gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationIndex);
    bool live = uint(key) < keys && queries > 0;
    uint at = live ? key_at(uint(key)) : 0, pairs = queries * group;
    int first = subgroupMin(live ? key : 0x7FFFFFFF), last = subgroupMax(live ? key : -1);
    k = load_row(a.k, at);
    v = load_row(a.v, at);
    dk = zero_row();
    dv = zero_row();
    for (uint begin = 0; begin < pairs; begin += WIDTH) {
        ivec2 seen = a.seen.v[min(begin, pairs - 1) / WIDTH];
        if (seen.x > last || seen.y <= first) continue;
        uint end = min(begin + WIDTH, pairs);
        for (uint t = begin / group; t * group < end; t++)
            visit(t, max(begin, t * group) - t * group, min(end - t * group, group));
    }
    if (!live) return;
    if ((a.outputs & 1) != 0) store_row(a.dk, at, dk, 1.0);
    if ((a.outputs & 2) != 0) store_row(a.dv, at, dv, 1.0);
}

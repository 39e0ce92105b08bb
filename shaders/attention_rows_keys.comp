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

/* From the pairs' entries of a.seen: where the first begins that sees one of the subgroup's keys, and
 * where the last ends. */
uvec2 pairs_of(bool live)
{
    int first = subgroupMin(live ? key : 0x7FFFFFFF), last = subgroupMax(live ? key : -1);
    uint pairs = queries * group, begin = NONE, end = 0;
    for (uint at = 0; at < pairs; at += WIDTH) {
        ivec2 seen = a.seen.v[min(at, max(pairs, 1) - 1) / WIDTH];
        if (seen.x > last || seen.y <= first) continue;
        begin = min(begin, at);
        end = min(at + WIDTH, pairs);
    }
    return uvec2(begin, end);
}

/* The pair of query t and head h of the group. */
void visit(uint t, uint h)
{
    uint pair = t * a.heads + g * group + h;
    ivec2 range = range_of(t);
    bool seen = key >= range.x && key <= range.y;
    float s = score_of(dot_row(k, a.q, pair * D)), p = exp_f32(s - a.lse.v[pair]);
    float dz = slope_of(s, p * (dot_row(v, a.d, pair * D) - a.delta.v[pair]));
    add_row(dk, seen ? dz : 0.0, a.q, pair * D);
    add_row(dv, seen ? p : 0.0, a.d, pair * D);
}

void main()
{
    attention_begin();
    key = int(gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationIndex);
    bool live = uint(key) < keys && queries > 0;
    uint at = live ? key_at(uint(key)) : 0;
    k = load_row(a.k, at);
    v = load_row(a.v, at);
    dk = zero_row();
    dv = zero_row();
    uvec2 pairs = pairs_of(live);
    uint t = pairs.x / group, h = 0, most = max(queries, 1) - 1;
    for (uint pair = t * group; pair < pairs.y; pair++) {
        visit(min(t, most), h);
        h = h + 1 < group ? h + 1 : 0;
        if (h == 0) t++;
    }
    if (!live) return;
    if ((a.outputs & 1) != 0) store_row(a.dk, at, dk, 1.0);
    if ((a.outputs & 2) != 0) store_row(a.dv, at, dv, 1.0);
}

#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * attention_backward.comp (dq) for small heads: a thread has a pair, and keys pass by. Grid: pairs,
 * G.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"
#include "common/exp.glsl"
#include "common/attention_rows.glsl"

row_t q, d, dq;
float lse, delta;

void visit(floats k, floats v, uint begin, uint end, ivec2 sees)
{
    for (uint key = begin; key < end; key++) {
        uint at = key_at(min(key, end - 1));
        float s = score_of(dot_row(q, k, at)), p = exp_f32(s - lse);
        float dz = slope_of(s, p * (dot_row(d, v, at) - delta));
        add_row(dq, int(key) >= sees.x && int(key) <= sees.y ? dz : 0.0, k, at);
    }
}

void main()
{
    attention_begin();
    bool live = pair_begin();
    q = load_row(a.q, pair_place * D);
    d = load_row(a.d, pair_place * D);
    dq = zero_row();
    lse = a.lse.v[pair_place];
    delta = a.delta.v[pair_place];
    visit_all(live);
    if (live) store_row(a.dq, pair_place * D, dq, 1.0);
}

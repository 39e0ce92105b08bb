#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * dq of a tile of pairs: key tile by key tile, p = exp(s - lse), ds = p * (do.v - delta), dz = ds *
 * (1 - (s / cap)^2) * scale, dq = sum dz * k. Grid: tiles, G.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in; /* TX * TY */
#include "common/graft.glsl"
#include "common/exp.glsl"
#define SUMS 1 /* dq */
#include "common/attention.glsl"
#include "common/attention_pairs.glsl"

float lse[RM], delta[RM];

void visit(floats k, floats v, bool prefix)
{
    vec4 dp[RM];
    [[dont_unroll]] for (uint pass = 0; pass < 2; pass++) {
        floats rows = a.d, columns = v;
        if (pass == 1) {
            [[unroll]] for (uint i = 0; i < RM; i++) dp[i] = product[i];
            rows = a.q;
            columns = k;
        }
        multiply(rows, columns);
    }
    score(prefix);
    barrier();
    [[unroll]] for (uint i = 0; i < RM; i++) {
        vec4 dz;
        [[unroll]] for (uint j = 0; j < 4; j++) {
            float s = product[i][j], p = exp_f32(s - lse[i]);
            dz[j] = s == UNSEEN ? 0.0 : slope_of(s, p * (dp[i][j] - delta[i]));
        }
        left[(ty + i * TY) * STRIDE + tx] = dz;
    }
    gather(k, 0);
}

void main()
{
    tile_begin();
    if (!rows_begin()) return;
    for (uint i = 0; i < RM; i++) {
        uint at = row_at[ty + i * TY];
        lse[i] = at == NONE ? 0.0 : a.lse.v[at / D];
        delta[i] = at == NONE ? 0.0 : a.delta.v[at / D];
    }
    for (uint i = 0; i < CHUNKS * RM; i++) sums[i] = vec4(0.0);
    visit_all(true, uint(seen_first), uint(seen_end));
    [[unroll]] for (uint i = 0; i < RM; i++) {
        uint at = row_at[ty + i * TY];
        if (at != NONE) store_sums(a.dq, 0, i, at, 1.0);
    }
}

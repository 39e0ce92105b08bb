#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * o [T, H*D] and lse [T, H] of a tile of pairs: key tile by key tile with a running maximum and sum
 * (Dao et al. 2022). Grid: tiles, G, splits. A split has a.split of the keys (the first the prefix
 * too) and writes o and lse of these alone, at [split, T, ..]; attention_join.comp puts them
 * together. No key: o = 0, lse = -inf.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in; /* TX * TY */
#include "common/graft.glsl"
#include "common/exp.glsl"
#define SUMS 1 /* o */
#include "common/attention.glsl"
#include "common/attention_pairs.glsl"

shared float most[ROWS * TX];

float largest[RM], total[RM]; /* total: of this thread's columns */

/* Scores become exp(score - largest so far), and what was summed before shrinks accordingly. */
void soften()
{
    [[unroll]] for (uint i = 0; i < RM; i++) {
        vec4 s = product[i];
        most[(ty + i * TY) * TX + tx] = max(max(s.x, s.y), max(s.z, s.w));
    }
    barrier();
    [[unroll]] for (uint i = 0; i < RM; i++) {
        float before = largest[i];
        for (uint j = 0; j < TX; j++) largest[i] = max(largest[i], most[(ty + i * TY) * TX + j]);
        float base = largest[i] > UNSEEN ? largest[i] : 0.0, shrink = exp_f32(before - base);
        vec4 p;
        [[unroll]] for (uint j = 0; j < 4; j++) p[j] = exp_f32(product[i][j] - base);
        total[i] = total[i] * shrink + (p.x + p.y) + (p.z + p.w);
        [[unroll]] for (uint n = 0; n < CHUNKS; n++) sums[n * RM + i] *= shrink;
        left[(ty + i * TY) * STRIDE + tx] = p;
    }
}

void visit(floats k, floats v, bool prefix)
{
    multiply(a.q, k);
    score(prefix);
    soften();
    gather(v, 0);
}

void finish()
{
    uint pairs = a.queries * a.heads, split_pair = gl_WorkGroupID.z * pairs;
    barrier();
    for (uint i = 0; i < RM; i++) most[(ty + i * TY) * TX + tx] = total[i];
    barrier();
    [[unroll]] for (uint i = 0; i < RM; i++) {
        uint at = row_at[ty + i * TY];
        float sum = 0.0;
        for (uint j = 0; j < TX; j++) sum += most[(ty + i * TY) * TX + j];
        if (at == NONE) continue;
        float lse = sum == 0.0 ? uintBitsToFloat(0xFF800000u) : largest[i] + log_f32(sum);
        float scale = sum == 0.0 ? 0.0 : 1.0 / sum;
        if (tx == 0 && (a.outputs & 2) != 0) a.lse.v[split_pair + at / D] = lse;
        if ((a.outputs & 1) != 0) store_sums(a.o, 0, i, split_pair * D + at, scale);
    }
}

void main()
{
    tile_begin();
    if (!rows_begin()) return;
    for (uint i = 0; i < RM; i++) {
        largest[i] = UNSEEN;
        total[i] = 0.0;
    }
    for (uint i = 0; i < CHUNKS * RM; i++) sums[i] = vec4(0.0);
    uint split = gl_WorkGroupID.z, begin = split * a.split;
    visit_all(split == 0, max(begin, uint(seen_first)), min(begin + a.split, uint(seen_end)));
    finish();
}

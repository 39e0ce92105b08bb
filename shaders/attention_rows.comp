#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * attention.comp for small heads: a thread has a pair, and keys pass by, a few at once. No key:
 * o = 0, lse = -inf. Grid: pairs, G.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"
#include "common/exp.glsl"
#include "common/attention_rows.glsl"

const uint KEYS = 4; /* at once: the largest so far is raised, and the sums shrink, once for them */
const float UNSEEN = -3e38; /* below every score */

row_t q, o;
float largest, total;

void visit(floats k, floats v, uint begin, uint end, ivec2 sees)
{
    for (uint key = begin; key < end; key += KEYS) {
        vec4 s;
        [[unroll]] for (uint j = 0; j < KEYS; j++) {
            float score = score_of(dot_row(q, k, key_at(min(key + j, end - 1))));
            int at = int(key + j);
            s[j] = at >= sees.x && at <= sees.y ? score : UNSEEN;
        }
        float before = largest;
        largest = max(before, max(max(s.x, s.y), max(s.z, s.w)));
        float base = largest > UNSEEN ? largest : 0.0, shrink = exp_f32(before - base);
        vec4 p;
        [[unroll]] for (uint j = 0; j < KEYS; j++) p[j] = exp_f32(s[j] - base);
        total = total * shrink + (p.x + p.y) + (p.z + p.w);
        [[unroll]] for (uint n = 0; n < FOURS; n++) o.v[n] *= shrink;
        [[unroll]] for (uint j = 0; j < KEYS; j++)
            add_row(o, p[j], v, key_at(min(key + j, end - 1)));
    }
}

void main()
{
    attention_begin();
    bool live = pair_begin();
    q = load_row(a.q, pair_place * D);
    o = zero_row();
    largest = UNSEEN;
    total = 0.0;
    visit_all(live);
    if (!live) return;
    bool none = total == 0.0;
    float lse = none ? uintBitsToFloat(0xFF800000u) : largest + log_f32(total);
    if ((a.outputs & 2) != 0) a.lse.v[pair_place] = lse;
    if ((a.outputs & 1) != 0) store_row(a.o, pair_place * D, o, none ? 0.0 : 1.0 / total);
}

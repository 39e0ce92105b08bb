#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * dk and dv of a tile of keys: over all pairs that see one of them, in order; so every number has
 * one writer and the heads of a group are added in order. Rows are keys, columns pairs.
 * Grid: tiles, G, splits. PREFIX: keys of the prefix, which every pair sees; a split has a.split
 * pairs, writes at [split, P, ..], and attention_sum.comp adds the splits.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in; /* TX * TY */
#include "common/graft.glsl"
#include "common/exp.glsl"
#define SUMS 2 /* dk, dv */
#include "common/attention.glsl"

layout(constant_id = 7) const bool PREFIX = false;

shared uint pair_row[WIDTH];
shared int pair_from[WIDTH], pair_to[WIDTH];
shared float pair_lse[WIDTH], pair_delta[WIDTH];

uint key_begin, key_end;
vec4 p[RM], dz[RM]; /* probabilities, gradients of the products */

uint column_at(uint i)
{
    return pair_row[i];
}

/* A barrier after: every thread reads what some wrote. */
void pairs_begin(uint begin, uint end)
{
    for (uint i = gl_LocalInvocationIndex; i < WIDTH; i += gl_WorkGroupSize.x) {
        uint pair = begin + i, at = pair < end ? pair_at(pair) : NONE;
        ivec2 range = pair >= end ? ivec2(0, -1)
                      : PREFIX    ? ivec2(0, 0x7FFFFFFF)
                                  : range_of(pair / group);
        pair_row[i] = at == NONE ? NONE : at * D;
        pair_from[i] = range.x;
        pair_to[i] = range.y;
        pair_lse[i] = at == NONE ? 0.0 : a.lse.v[at];
        pair_delta[i] = at == NONE ? 0.0 : a.delta.v[at];
    }
}

/* From the product of queries and keys in dz and that of do and values. */
void slopes()
{
    [[unroll]] for (uint j = 0; j < 4; j++) {
        uint column = tx + j * TX;
        int first = pair_from[column], last = pair_to[column];
        float lse = pair_lse[column], delta = pair_delta[column];
        [[unroll]] for (uint i = 0; i < RM; i++) {
            int key = int(key_begin + ty + i * TY);
            bool seen = key >= first && key <= last;
            float s = score_of(dz[i][j]);
            p[i][j] = seen ? exp_f32(s - lse) : 0.0;
            dz[i][j] = seen ? slope_of(s, p[i][j] * (product[i][j] - delta)) : 0.0;
        }
    }
}

void visit(floats k, floats v, uint begin, uint end)
{
    pairs_begin(begin, end);
    barrier();
    [[dont_unroll]] for (uint pass = 0; pass < 2; pass++) {
        floats rows = k, columns = a.q;
        if (pass == 1) {
            [[unroll]] for (uint i = 0; i < RM; i++) dz[i] = product[i];
            rows = v;
            columns = a.d;
        }
        multiply(rows, columns);
    }
    slopes();
    barrier();
    [[unroll]] for (uint i = 0; i < RM; i++) left[(ty + i * TY) * STRIDE + tx] = p[i];
    gather(a.d, 1);
    barrier();
    [[unroll]] for (uint i = 0; i < RM; i++) left[(ty + i * TY) * STRIDE + tx] = dz[i];
    gather(a.q, 0);
}

void visit_all(floats k, floats v)
{
    uint pairs = queries * group, begin = gl_WorkGroupID.z * a.split;
    uint end = PREFIX ? min(begin + a.split, pairs) : pairs;
    for (; begin < end; begin += WIDTH) {
        ivec2 seen = PREFIX ? ivec2(0, int(a.prefix)) : a.seen.v[begin / WIDTH];
        if (seen.x < int(key_end) && seen.y > int(key_begin)) visit(k, v, begin, end);
    }
}

void main()
{
    tile_begin();
    uint count = PREFIX ? a.prefix : keys;
    key_begin = gl_WorkGroupID.x * ROWS;
    key_end = min(key_begin + ROWS, count);
    if (key_begin >= key_end) return;
    for (uint r = gl_LocalInvocationIndex; r < ROWS; r += gl_WorkGroupSize.x)
        row_at[r] = key_begin + r < key_end ? ((key_begin + r) * a.kv_heads + g) * D : NONE;
    for (uint i = 0; i < 2 * CHUNKS * RM; i++) sums[i] = vec4(0.0);
    floats k = a.k, v = a.v;
    if (PREFIX) {
        k = a.pk;
        v = a.pv;
    }
    visit_all(k, v);
    barrier();
    uint split = gl_WorkGroupID.z * count * a.kv_heads * D;
    [[unroll]] for (uint i = 0; i < RM; i++) {
        uint at = row_at[ty + i * TY];
        if (at == NONE) continue;
        if ((a.outputs & 1) != 0) store_sums(a.dk, 0, i, split + at, 1.0);
        if ((a.outputs & 2) != 0) store_sums(a.dv, 1, i, split + at, 1.0);
    }
}

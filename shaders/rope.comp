#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotary position embedding (Su et al. 2021): pair (x, y) of a head becomes (x cos - y sin,
 * x sin + y cos), INVERSE: the sine negated. Pairs are (i, i + n), INTERLEAVED: (2i, 2i + 1);
 * numbers past 2n pass through. A thread has a pair, or one number that passes through, so y may
 * lie in x.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"

layout(constant_id = 1) const bool INTERLEAVED = false;
layout(constant_id = 2) const bool INVERSE = false;

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer rope_args
{
    floats x, table, y; /* [T, H*D], [T, 2n], [T, H*D] */
    uint tokens, token_kind, heads, size, n;
};

layout(push_constant, scalar) uniform push
{
    rope_args a;
    live_t live;
};

void main()
{
    uint each = a.size - a.n; /* threads of a head */
    uint at = global_index(), i = at % each, head = at / each, t = head / a.heads;
    if (t >= live_rows(a.token_kind, a.tokens)) return;
    uint begin = head * a.size;
    if (i >= a.n) {
        a.y.v[begin + a.n + i] = a.x.v[begin + a.n + i];
        return;
    }
    uint first = begin + (INTERLEAVED ? 2 * i : i), second = INTERLEAVED ? first + 1 : first + a.n;
    float cosine = a.table.v[t * 2 * a.n + i], sine = a.table.v[t * 2 * a.n + a.n + i];
    float x = a.x.v[first], y = a.x.v[second];
    if (INVERSE) sine = -sine;
    a.y.v[first] = x * cosine - y * sine;
    a.y.v[second] = x * sine + y * cosine;
}

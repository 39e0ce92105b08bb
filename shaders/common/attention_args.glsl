/* SPDX-License-Identifier: Apache-2.0
 *
 * What all shaders of attention share: the arguments, what a query sees, scores, and rows of D
 * numbers. T queries, S keys, P prefix keys, H heads in G groups, D head size. The pairs (query, head
 * of the group) of a key/value head g are numbered together, query by query.
 */
layout(constant_id = 1) const uint D = 64;
layout(constant_id = 3) const uint TX = 8;
layout(constant_id = 5) const bool CAPPED = false; /* a.cap counts */

const uint WIDTH = 4 * TX; /* pairs of one entry of a.seen, columns of a tile */
const uint FOURS = (D + 3) / 4;
const bool RAGGED = D % 4 != 0; /* a row does not begin at a multiple of 16 bytes */
const uint NONE = 0xFFFFFFFFu;  /* where a row begins that is zeros */

layout(buffer_reference, scalar, buffer_reference_align = 8) buffer attention_args
{
    floats q, k, v, pk, pv;                /* [T, H*D], [S, G*D] twice, [P, G*D] twice */
    ints first, last;                      /* [T] */
    floats o, lse, d, delta;               /* [T, H*D], [T, H], gradient of o, [T, H] */
    floats dq, dk, dv;                     /* dk, dv: of k and v, or of pk and pv */
    ranges seen;                           /* per WIDTH pairs: keys that any of them sees */
    uint queries, query_kind, keys, key_kind, prefix;
    uint heads, kv_heads;
    int window;
    float scale, cap;
    uint tile;                             /* pairs of a workgroup, at most ROWS */
    uint split;                            /* keys (forward) or pairs (prefix) of one split */
    uint outputs;                          /* bit i: output i is wanted */
};

layout(push_constant, scalar) uniform push
{
    attention_args a;
    live_t live;
};

uint group, g, queries, keys;

void attention_begin()
{
    g = gl_WorkGroupID.y;
    group = a.heads / a.kv_heads;
    queries = live_rows(a.query_kind, a.queries);
    keys = live_rows(a.key_kind, a.keys);
}

/* The pair's number in [T, H]. */
uint pair_at(uint pair)
{
    return pair / group * a.heads + g * group + pair % group;
}

/* The keys of its own that query t sees: x to y. */
ivec2 range_of(uint t)
{
    if (keys == 0) return ivec2(0, -1);
    int last = a.last.v[t], first = max(a.first.v[t], 0);
    if (a.window > 0) first = max(first, last - a.window + 1);
    return ivec2(first, min(last, int(keys) - 1));
}

/* Numbers d .. d + 3 of the row at `at`; zeros past its end. */
vec4 load(floats x, uint at, uint d)
{
    vec4 y = vec4(0.0);
    if (at == NONE) return y;
    if (!RAGGED) return d < D ? vectors(x).v[(at + d) / 4] : y;
    for (uint i = 0; i < 4; i++)
        if (d + i < D) y[i] = x.v[at + d + i];
    return y;
}

void store(floats x, uint at, uint d, vec4 y)
{
    if (!RAGGED) {
        if (d < D) vectors(x).v[(at + d) / 4] = y;
        return;
    }
    for (uint i = 0; i < 4; i++)
        if (d + i < D) x.v[at + d + i] = y[i];
}

float score_of(float product)
{
    float z = product * a.scale;
    return CAPPED ? a.cap * tanh_f32(z / a.cap) : z;
}

/* The gradient of the product from that of the score. */
float slope_of(float score, float ds)
{
    float bend = CAPPED ? 1.0 - score / a.cap * (score / a.cap) : 1.0;
    return ds * bend * a.scale;
}

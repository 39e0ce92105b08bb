/* SPDX-License-Identifier: Apache-2.0
 *
 * Tiles of attention in shared memory, for the forward pass and both backward ones. T queries, S
 * keys, P prefix keys, H heads in G groups, D head size.
 *
 * A workgroup has one key/value head g. The pairs (query, head of the group) of g are numbered
 * together, query by query, so heads that share keys share a tile and a decoding step still fills
 * one. ROWS of one kind (pairs, or keys in the backward pass of keys) stay; WIDTH columns of the
 * other pass by. Thread (tx, ty) has rows ty + i * TY and columns tx + j * TX, and of every chunk of
 * WIDTH numbers along D the four from 4 * tx on:
 *   multiply  product[row, column] = row . column, chunk by chunk
 *   gather    sums[row, chunk] += sum over columns of left[row, column] * column[chunk], where the
 *             shader has put numbers of its own into left
 * Arrays whose size is a specialization constant cannot be arguments, so product and sums are
 * global; loops over them are unrolled, so that they stay in registers, and the others are not: a
 * software driver takes seconds to compile what they would become.
 * Shared memory: at most 16 KiB at RM 4, TX 8, TY 16.
 */
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require

layout(constant_id = 1) const uint D = 64;
layout(constant_id = 2) const uint RM = 4; /* rows of a thread */
layout(constant_id = 3) const uint TX = 8;
layout(constant_id = 4) const uint TY = 16;
layout(constant_id = 5) const bool CAPPED = false; /* a.cap counts */
layout(constant_id = 6) const uint LANES = 0;      /* of a subgroup where that is fixed, else 0 */

const uint ROWS = RM * TY, WIDTH = 4 * TX, STRIDE = TX + 1;
const uint CHUNKS = (D + WIDTH - 1) / WIDTH;
const uint FOURS = (D + 3) / 4, STEPS = FOURS < TX ? FOURS : TX; /* fours of a chunk */
const bool RAGGED = D % 4 != 0;          /* a row does not begin at a multiple of 16 bytes */
const uint NONE = 0xFFFFFFFFu;

shared vec4 left[ROWS * STRIDE], right[WIDTH * STRIDE];
shared uint row_at[ROWS]; /* where a row's D numbers begin; NONE: zeros */

vec4 product[RM];               /* of a row: columns tx, tx + TX, tx + 2 TX, tx + 3 TX */
vec4 sums[SUMS * CHUNKS * RM]; /* SUMS kinds of numbers 4 tx .. 4 tx + 3 of chunk n, row i */

const uint LIVE_NONE = 0; /* kind of a fixed first dimension */

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

uint tx, ty, group, g, queries, keys;

void attention_begin()
{
    uint thread = gl_LocalInvocationIndex, lane = 0;
    if (LANES > 0) { /* one ty for a whole subgroup: what it reads of left is uniform */
        thread = gl_SubgroupID * LANES;
        lane = gl_SubgroupInvocationID;
    }
    tx = thread % TX + lane;
    ty = thread / TX;
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

/* Of column i, as row_at; by the shader. */
uint column_at(uint i);

void load_left(floats x, uint chunk)
{
    for (uint r = ty; r < ROWS; r += TY)
        left[r * STRIDE + tx] = load(x, row_at[r], chunk * WIDTH + 4 * tx);
}

void load_right(floats x, uint chunk)
{
    for (uint r = ty; r < WIDTH; r += TY)
        right[r * STRIDE + tx] = load(x, column_at(r), chunk * WIDTH + 4 * tx);
}

/* product = rows of x times columns of y. */
void multiply(floats x, floats y)
{
    for (uint i = 0; i < RM; i++) product[i] = vec4(0.0);
    [[dont_unroll]] for (uint n = 0; n < CHUNKS; n++) {
        barrier();
        load_left(x, n);
        load_right(y, n);
        barrier();
        [[dont_unroll]] for (uint d = 0; d < STEPS; d++) {
            vec4 c0 = right[tx * STRIDE + d], c1 = right[(tx + TX) * STRIDE + d];
            vec4 c2 = right[(tx + 2 * TX) * STRIDE + d], c3 = right[(tx + 3 * TX) * STRIDE + d];
            [[unroll]] for (uint i = 0; i < RM; i++) {
                vec4 r = left[(ty + i * TY) * STRIDE + d];
                product[i] += vec4(dot(r, c0), dot(r, c1), dot(r, c2), dot(r, c3));
            }
        }
    }
}

/* sums of `kind` += numbers in left times columns of y. The numbers of a thread's columns lie
 * together in left, at [row * STRIDE + tx]. Needs a barrier between the last read of left or right
 * and the writing of left. */
void gather(floats y, uint kind)
{
    [[unroll]] for (uint n = 0; n < CHUNKS; n++) {
        if (n > 0) barrier();
        load_right(y, n);
        barrier();
        [[dont_unroll]] for (uint c = 0; c < TX; c++) {
            vec4 y0 = right[c * STRIDE + tx], y1 = right[(c + TX) * STRIDE + tx];
            vec4 y2 = right[(c + 2 * TX) * STRIDE + tx], y3 = right[(c + 3 * TX) * STRIDE + tx];
            [[unroll]] for (uint i = 0; i < RM; i++) {
                vec4 s = left[(ty + i * TY) * STRIDE + c];
                sums[(kind * CHUNKS + n) * RM + i] += s.x * y0 + s.y * y1 + s.z * y2 + s.w * y3;
            }
        }
    }
}

void store_sums(floats x, uint kind, uint i, uint at, float scale)
{
    [[unroll]] for (uint n = 0; n < CHUNKS; n++)
        store(x, at, n * WIDTH + 4 * tx, sums[(kind * CHUNKS + n) * RM + i] * scale);
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

/* SPDX-License-Identifier: Apache-2.0
 *
 * Tiles of attention in shared memory, for the forward pass and both backward ones.
 *
 * A workgroup has one key/value head g. Heads that share keys share a tile, so a decoding step still
 * fills one. ROWS of one kind (pairs, or keys in the backward pass of keys) stay; WIDTH columns of the
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

#include "attention_args.glsl"

layout(constant_id = 2) const uint RM = 4; /* rows of a thread */
layout(constant_id = 4) const uint TY = 16;
layout(constant_id = 6) const uint LANES = 0; /* of a subgroup where that is fixed, else 0 */

const uint ROWS = RM * TY, STRIDE = TX + 1;
const uint CHUNKS = (D + WIDTH - 1) / WIDTH;
const uint STEPS = FOURS < TX ? FOURS : TX; /* fours of a chunk */

shared vec4 left[ROWS * STRIDE], right[WIDTH * STRIDE];
shared uint row_at[ROWS]; /* where a row's D numbers begin; NONE: zeros */

vec4 product[RM];               /* of a row: columns tx, tx + TX, tx + 2 TX, tx + 3 TX */
vec4 sums[SUMS * CHUNKS * RM]; /* SUMS kinds of numbers 4 tx .. 4 tx + 3 of chunk n, row i */

uint tx, ty;

void tile_begin()
{
    uint thread = gl_LocalInvocationIndex, lane = 0;
    if (LANES > 0) { /* one ty for a whole subgroup: what it reads of left is uniform */
        thread = gl_SubgroupID * LANES;
        lane = gl_SubgroupInvocationID;
    }
    tx = thread % TX + lane;
    ty = thread / TX;
    attention_begin();
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

#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * out[t, :] = table[ids[t] - first, :], zeros where the table has no such row; eight numbers to a
 * thread.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"
#include "common/decode.glsl"

layout(constant_id = 1) const int DTYPE = F32;
layout(constant_id = 2) const bool RAGGED = false; /* rows are no multiples of 8 */

layout(buffer_reference, scalar, buffer_reference_align = 8) buffer embedding_args
{
    ints ids;     /* [T] */
    weight table; /* [V, C] */
    floats y;     /* [T, C] */
    uint tokens, kind, vocabulary, channels;
    int first;
};

layout(push_constant, scalar) uniform push
{
    embedding_args args;
    live_t live;
};

void main()
{
    weight table = args.table;
    decode_begin(DTYPE, table);
    barrier();
    uint units = (args.channels + 7) / 8, i = global_index();
    uint t = i / units, column = i % units * 8;
    if (t >= live_rows(args.kind, args.tokens)) return;
    int row = args.ids.v[t] - args.first;
    bool inside = row >= 0 && row < int(args.vocabulary);
    uint from = uint(row) * args.channels + column;
    float x[8];
    for (uint k = 0; k < 8; k++) x[k] = 0.0;
    if (inside && !RAGGED) decode8(DTYPE, table, from, x);
    for (uint k = 0; k < min(8, args.channels - column); k++) {
        if (inside && RAGGED) x[k] = decode1(DTYPE, table, from + k);
        args.y.v[t * args.channels + column + k] = x[k];
    }
}

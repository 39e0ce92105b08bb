#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * A stored weight as numbers, eight to a thread: f32, or f16 for cooperative products.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"
#include "common/decode.glsl"
#include "common/round.glsl"

layout(constant_id = 1) const int DTYPE = F32;
layout(constant_id = 2) const int OUT = F32;

layout(buffer_reference, scalar, buffer_reference_align = 8) buffer dequantize_args
{
    weight w;
    floats y;
    uint first, count;
};

layout(push_constant, scalar) uniform push
{
    dequantize_args args;
    live_t live;
};

void main()
{
    weight w = args.w;
    decode_begin(DTYPE, w);
    barrier();
    uint at = global_index() * 8, e = args.first + at;
    float x[8];
    if (at + 8 <= args.count) {
        decode8(DTYPE, w, e, x);
    } else {
        for (uint i = 0; i < 8; i++) x[i] = at + i < args.count ? decode1(DTYPE, w, e + i) : 0.0;
    }
    if (OUT == F32) {
        for (uint i = 0; i < 8; i++)
            if (at + i < args.count) args.y.v[at + i] = x[i];
    } else {
        for (uint i = 0; i < 8; i += 2)
            if (at + i < args.count) uints(args.y).v[(at + i) / 2] = round_two(OUT, x[i], x[i + 1]);
    }
}

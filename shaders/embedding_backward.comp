#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * dtable[v, :] = the rows of dy whose id is v, added in the tokens' order. First all is cleared.
 * Then a workgroup has a token, and does the work of all its likes if it is the first of them.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"

layout(constant_id = 1) const bool CLEAR = false;

layout(buffer_reference, scalar, buffer_reference_align = 8) buffer embedding_args
{
    floats dy;     /* [T, C] */
    ints ids;      /* [T] */
    floats dtable; /* [V, C] */
    uint tokens, kind, vocabulary, channels;
    int first;
};

layout(push_constant, scalar) uniform push
{
    embedding_args args;
    live_t live;
};

shared bool seen;

void main()
{
    if (CLEAR) {
        uint i = global_index();
        if (i < args.vocabulary * args.channels) args.dtable.v[i] = 0.0;
        return;
    }
    uint t = global_group(), step = gl_WorkGroupSize.x;
    uint tokens = live_rows(args.kind, args.tokens);
    if (t >= tokens) return;
    int id = args.ids.v[t], row = id - args.first;
    if (gl_LocalInvocationIndex == 0) seen = row < 0 || row >= int(args.vocabulary);
    barrier();
    for (uint i = gl_LocalInvocationIndex; i < t; i += step)
        if (args.ids.v[i] == id) seen = true;
    barrier();
    if (seen) return;
    for (uint c = gl_LocalInvocationIndex; c < args.channels; c += step) {
        float sum = 0.0;
        for (uint i = t; i < tokens; i++)
            if (args.ids.v[i] == id) sum += args.dy.v[i * args.channels + c];
        args.dtable.v[uint(row) * args.channels + c] = sum;
    }
}

#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * y = x * keep / (1 - rate), by the Philox4x32-10 of sdk/include/graft/philox.h: four channels a
 * thread, which are the four words of one draw with counter (step, row, token, channel / 4).
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer dropout_args
{
    floats x, y;
    ints row, token, step;
    uint rows, row_kind, channels;
    uint key0, key1;
    uint least; /* words below it, shifted right by 8, are dropped */
    float scale;
};

layout(push_constant, scalar) uniform push
{
    dropout_args a;
    live_t live;
};

uvec4 philox(uvec2 key, uvec4 c)
{
    for (uint round = 0; round < 10; round++) {
        uint high0, low0, high2, low2;
        umulExtended(0xD2511F53u, c.x, high0, low0);
        umulExtended(0xCD9E8D57u, c.z, high2, low2);
        c = uvec4(high2 ^ c.y ^ key.x, low2, high0 ^ c.w ^ key.y, low0);
        key += uvec2(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}

void main()
{
    uint fours = (a.channels + 3) / 4, i = global_index(), t = i / fours, c = i % fours;
    if (i >= live_rows(a.row_kind, a.rows) * fours) return;
    uvec4 counter = uvec4(a.step.v[0], a.row.v[t], a.token.v[t], c);
    uvec4 word = philox(uvec2(a.key0, a.key1), counter) >> 8;
    for (uint k = 0; k < min(4, a.channels - 4 * c); k++) {
        uint at = t * a.channels + 4 * c + k;
        a.y.v[at] = word[k] >= a.least ? a.x.v[at] * a.scale : 0.0;
    }
}

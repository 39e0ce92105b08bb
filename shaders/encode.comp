#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * Block-wise 8-bit codes (Dettmers et al. 2022). STEP 0: a workgroup finds the largest |x| of its
 * block. STEP 1: a thread makes four codes, one word: the map's entry nearest to x / scale, of two
 * equally near the lower. STEP 2: back, a number a thread.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"
#include "common/reduce.glsl"

layout(constant_id = 1) const int STEP = 0;

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer encode_args
{
    floats x;
    uints code;
    floats scale, map;
    uint count, block;
};

layout(push_constant, scalar) uniform push
{
    encode_args a;
    live_t live;
};

void largest()
{
    uint block = global_group(), begin = block * a.block, at = 0;
    float most = 0.0;
    if (begin >= a.count) return;
    uint end = min(a.count, begin + a.block);
    for (uint i = begin + gl_LocalInvocationIndex; i < end; i += gl_WorkGroupSize.x) {
        float x = abs(a.x.v[i]);
        if (x > most) most = x; /* not a NaN */
    }
    workgroup_max(most, at);
    if (gl_LocalInvocationIndex == 0) a.scale.v[block] = most;
}

uint nearest(float x)
{
    uint low = 0, high = 255;
    while (high - low > 1) {
        uint middle = (low + high) / 2;
        if (a.map.v[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    return a.map.v[high] - x < x - a.map.v[low] ? high : low;
}

void encode(uint first)
{
    uint word = 0, n = min(4, a.count - first);
    for (uint i = 0; i < n; i++) {
        float scale = a.scale.v[(first + i) / a.block];
        if (scale > 0.0) word |= nearest(a.x.v[first + i] / scale) << 8 * i;
    }
    uint mask = n == 4 ? 0xFFFFFFFFu : (1u << 8 * n) - 1; /* bytes behind the end stay */
    if (n < 4) word |= a.code.v[first / 4] & ~mask;
    a.code.v[first / 4] = word;
}

void main()
{
    uint i = global_index();
    if (STEP == 0) {
        largest();
    } else if (STEP == 1) {
        if (i < (a.count + 3) / 4) encode(4 * i);
    } else if (i < a.count) {
        uint code = a.code.v[i / 4] >> 8 * (i % 4) & 255;
        a.x.v[i] = a.map.v[code] * a.scale.v[i / a.block];
    }
}

#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * What both backward passes of attention need: delta[t, h] = o . do, and per WIDTH pairs of a
 * key/value head the keys that any of them sees, [first, end). A thread makes one of each.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"
#include "common/exp.glsl"
#include "common/attention_args.glsl"

void main()
{
    attention_begin();
    uint at = global_index();
    if (at < queries * a.heads) {
        vec4 sum = vec4(0.0);
        for (uint d = 0; d < D; d += 4) sum += load(a.o, at * D, d) * load(a.d, at * D, d);
        a.delta.v[at] = (sum.x + sum.y) + (sum.z + sum.w);
    }
    uint begin = at * WIDTH, end = min(begin + WIDTH, queries * group);
    if (begin >= end) return;
    ivec2 seen = ivec2(0x7FFFFFFF, 0);
    for (uint t = begin / group; t <= (end - 1) / group; t++) {
        ivec2 range = range_of(t);
        if (range.x <= range.y) seen = ivec2(min(seen.x, range.x), max(seen.y, range.y + 1));
    }
    a.seen.v[at] = seen;
}

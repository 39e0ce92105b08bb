#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums over axes. y[c, o] is the sum of chunk c of the numbers that belong to output o; a second
 * dispatch sums the chunks. A thread has one y, or with GROUP a workgroup has: that where numbers
 * of one output lie side by side, this where outputs do.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"
#include "common/reduce.glsl"

layout(constant_id = 1) const bool GROUP = false;
layout(constant_id = 2) const int KEPT = 1;   /* axes of the outputs, the last of kept */
layout(constant_id = 3) const int FOLDED = 1; /* axes of the sums, the last of folded */

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer sum_args
{
    floats x, y;
    uint count, chunk, chunks;
    uint kept_rows, kept_kind, kept_inner;       /* live outputs: rows * inner */
    uint folded_rows, folded_kind, folded_inner; /* live numbers of a sum */
    uint kept[4], kept_step[4], folded[4], folded_step[4];
};

layout(push_constant, scalar) uniform push
{
    sum_args a;
    live_t live;
};

uint output_at(uint rest)
{
    uint at = 0;
    for (int k = 3; k > 4 - KEPT; k--) {
        at += rest % a.kept[k] * a.kept_step[k];
        rest /= a.kept[k];
    }
    return KEPT > 0 ? at + rest * a.kept_step[4 - KEPT] : at;
}

uint number_at(uint rest)
{
    uint at = 0;
    for (int k = 3; k > 4 - FOLDED; k--) {
        at += rest % a.folded[k] * a.folded_step[k];
        rest /= a.folded[k];
    }
    return FOLDED > 0 ? at + rest * a.folded_step[4 - FOLDED] : at;
}

void main()
{
    uint i = GROUP ? global_group() : global_index();
    uint o = i % a.count, c = i / a.count;
    if (c >= a.chunks || o >= live_rows(a.kept_kind, a.kept_rows) * a.kept_inner) return;
    uint end = min((c + 1) * a.chunk, live_rows(a.folded_kind, a.folded_rows) * a.folded_inner);
    uint first = output_at(o), step = GROUP ? gl_WorkGroupSize.x : 1;
    float sum = 0.0;
    for (uint k = c * a.chunk + (GROUP ? gl_LocalInvocationIndex : 0); k < end; k += step)
        sum += a.x.v[first + number_at(k)];
    if (GROUP) sum = workgroup_sum(sum);
    if (!GROUP || gl_LocalInvocationIndex == 0) a.y.v[i] = sum;
}

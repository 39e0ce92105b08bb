#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * A chunk of the vocabulary joins what is known of every row (Milakov and Gimelshein 2018): the
 * logits z become exp(z - largest), and `scale` says what the sums so far are worth when the
 * largest grows. A workgroup has a row.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"
#include "common/exp.glsl"
#include "common/reduce.glsl"
#include "common/head_loss.glsl"

void main()
{
    uint row = global_group(), step = gl_WorkGroupSize.x;
    if (row >= head_rows()) return;
    uint begin = row * args.words, first = begin + gl_LocalInvocationIndex;
    uint end = begin + args.words, at = 0xFFFFFFFFu;
    float before = args.word == 0 ? uintBitsToFloat(0xFF800000u) : args.largest.v[row];
    float most = before;
    for (uint i = first; i < end; i += step) {
        float z = args.z.v[i];
        if (z > most) {
            most = z;
            at = i - begin;
        }
    }
    workgroup_max(most, at);
    int target = args.target.v[args.row + row] - int(args.word);
    bool here = target >= 0 && target < int(args.words);
    float wanted = here ? args.z.v[begin + uint(target)] : 0.0;
    barrier(); /* before z is overwritten */
    float sum = 0.0;
    for (uint i = first; i < end; i += step) {
        float x = exp_f32(args.z.v[i] - most);
        args.z.v[i] = x;
        sum += x;
    }
    sum = workgroup_sum(sum);
    if (gl_LocalInvocationIndex != 0) return;
    args.largest.v[row] = most;
    if (args.word == 0) {
        args.scale.v[row] = 0.0;
        args.sum.v[row] = sum;
        args.wanted.v[row] = wanted;
        args.best.v[row] = most > before ? int(at) : 0;
    } else {
        float scale = exp_f32(before - most);
        args.scale.v[row] = scale;
        args.sum.v[row] = fma(args.sum.v[row], scale, sum);
        if (here) args.wanted.v[row] = wanted;
        if (most > before) args.best.v[row] = int(args.word + at);
    }
}

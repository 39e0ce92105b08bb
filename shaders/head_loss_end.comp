#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * After the last chunk: nll, argmax, g = g / sum - w[target]; a negative target has nll and g of 0.
 * Eight numbers of g to a thread; the first of a row writes its loss.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"
#include "common/decode.glsl"
#include "common/exp.glsl"
#include "common/head_loss.glsl"

layout(constant_id = 1) const int DTYPE = F32;
layout(constant_id = 2) const bool RAGGED = false; /* rows are no multiples of 8 */
layout(constant_id = 3) const uint OUTPUTS = 7;    /* bit i: output i is wanted */

void main()
{
    weight w = weight(args.w);
    decode_begin(DTYPE, w);
    barrier();
    uint units = (args.channels + 7) / 8, i = global_index(), row = i / units;
    if (row >= head_rows()) return;
    uint column = i % units * 8, to = args.row + row;
    int target = args.target.v[to];
    bool trained = target >= 0 && target < int(args.vocabulary);
    float sum = args.sum.v[row];
    if (column == 0) {
        float nll = args.largest.v[row] - args.wanted.v[row] + log_f32(sum);
        if ((OUTPUTS & 1) != 0) args.nll.v[to] = trained ? nll : 0.0;
        if ((OUTPUTS & 2) != 0) args.argmax.v[to] = args.best.v[row];
    }
    if ((OUTPUTS & 4) == 0) return;
    float x[8];
    uint from = (trained ? uint(target) : 0) * args.channels + column;
    if (!RAGGED) decode8(DTYPE, w, from, x);
    for (uint k = 0; k < min(8, args.channels - column); k++) {
        uint at = to * args.channels + column + k;
        float y = RAGGED ? decode1(DTYPE, w, from + k) : x[k];
        args.g.v[at] = trained ? args.g.v[at] / sum - y : 0.0;
    }
}

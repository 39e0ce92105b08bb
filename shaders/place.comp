#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * y = 0 but y[o, begin + i] = x[o, i], seen as [outer, numbers]; one number a thread.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer place_args
{
    uints x, y;
    uint rows, row_kind, inner; /* numbers of y: live rows * inner */
    uint whole, begin, part;    /* numbers per outer: of y, before x, of x */
};

layout(push_constant, scalar) uniform push
{
    place_args a;
    live_t live;
};

void main()
{
    uint i = global_index();
    if (i >= live_rows(a.row_kind, a.rows) * a.inner) return;
    uint o = i / a.whole, at = i % a.whole - a.begin;
    a.y.v[i] = at < a.part ? a.x.v[o * a.part + at] : 0;
}

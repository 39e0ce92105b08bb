#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * y[r] = x[index[r]], or with PUT y[index[r]] = x[r], indices distinct; one number a thread.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"

layout(constant_id = 1) const bool PUT = false;

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer rows_args
{
    uints x, y;
    ints index;
    uint rows, row_kind, channels; /* of index */
};

layout(push_constant, scalar) uniform push
{
    rows_args a;
    live_t live;
};

void main()
{
    uint i = global_index();
    if (i >= live_rows(a.row_kind, a.rows) * a.channels) return;
    uint other = uint(a.index.v[i / a.channels]) * a.channels + i % a.channels;
    if (PUT)
        a.y.v[other] = a.x.v[i];
    else
        a.y.v[i] = a.x.v[other];
}

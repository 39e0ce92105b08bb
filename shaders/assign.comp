#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * to = from, unless there is a guard and it is 0; a word a thread. Bytes behind the end of the last
 * word stay.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"

layout(constant_id = 1) const bool GUARDED = false;

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer assign_args
{
    uints to, from;
    floats guard;
    uint rows, row_kind, inner; /* bytes: live rows * inner */
};

layout(push_constant, scalar) uniform push
{
    assign_args a;
    live_t live;
};

void main()
{
    uint i = global_index(), bytes = live_rows(a.row_kind, a.rows) * a.inner;
    if (i >= (bytes + 3) / 4 || (GUARDED && a.guard.v[0] == 0.0)) return;
    uint word = a.from.v[i], mask = i == bytes / 4 ? (1u << 8 * (bytes % 4)) - 1 : 0xFFFFFFFFu;
    a.to.v[i] = mask == 0xFFFFFFFFu ? word : (word & mask) | (a.to.v[i] & ~mask);
}

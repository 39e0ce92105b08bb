#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * m[r, i, j] = v[r, (i, j)] = -m[r, j, i] for i < j, 0 on the diagonal; v row-major over the
 * strictly upper triangle. BACKWARD: v[r, (i, j)] = m[r, i, j] - m[r, j, i]. One of m a thread.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"

layout(constant_id = 1) const bool BACKWARD = false;

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer skew_args
{
    floats v, m;
    uint rows, row_kind, size;
};

layout(push_constant, scalar) uniform push
{
    skew_args a;
    live_t live;
};

void main()
{
    uint at = global_index(), n = a.size;
    if (at >= live_rows(a.row_kind, a.rows) * n * n) return;
    uint r = at / (n * n), i = at / n % n, j = at % n, low = min(i, j), high = max(i, j);
    if (low == high) {
        if (!BACKWARD) a.m.v[at] = 0.0;
        return;
    }
    uint pair = r * (n * (n - 1) / 2) + low * n - low * (low + 1) / 2 + high - low - 1;
    if (!BACKWARD)
        a.m.v[at] = i < j ? a.v.v[pair] : -a.v.v[pair];
    else if (i < j)
        a.v.v[pair] = a.m.v[at] - a.m.v[(r * n + j) * n + i];
}

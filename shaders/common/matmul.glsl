/* SPDX-License-Identifier: Apache-2.0
 *
 * What both products share: the arguments, which part of them a workgroup has, and the pieces of a
 * and b that go into its tiles. a is f32, b of any storage type; either may be stored transposed.
 */
layout(constant_id = 1) const int DTYPE = F32;
layout(constant_id = 2) const bool TRANSPOSE_A = false;
layout(constant_id = 3) const bool TRANSPOSE_B = true;
layout(constant_id = 4) const uint BM = 64; /* the tile */
layout(constant_id = 5) const uint BN = 64;
layout(constant_id = 6) const uint BK = 16;
layout(constant_id = 7) const bool RAGGED_A = false; /* rows of a are no multiples of 8 */
layout(constant_id = 8) const bool RAGGED_B = false;
layout(constant_id = 9) const bool ADD = false; /* c = c * scale[m] + sum */

layout(buffer_reference, scalar, buffer_reference_align = 8) buffer matmul_args
{
    floats a, c, scale; /* [M, K] or [K, M], [M, N], [M] */
    weight b;           /* [K, N] or [N, K] */
    uint m, n, k, batch;
    uint m_kind, k_kind, batch_kind; /* of live rows */
    uint m_first, b_first;           /* rows of c before these; numbers of b */
    uint splits, split_k;            /* of each member of the batch; k of a part */
};

layout(push_constant, scalar) uniform push
{
    matmul_args args;
    live_t live;
};

/* What this workgroup has a tile of. */
struct product {
    floats a;
    weight b;
    uint m, n, k, k_begin;
    uint a_first, b_first, c_first, a_stride, b_stride;
    bool done;
};

product product_begin()
{
    product p;
    uint at = gl_WorkGroupID.z / args.splits, split = gl_WorkGroupID.z % args.splits;
    uint rows = live_rows(args.m_kind, args.m_first + args.m);
    p.m = min(args.m, rows - min(rows, args.m_first));
    p.n = args.n;
    p.k_begin = split * args.split_k;
    p.k = min(live_rows(args.k_kind, args.k), p.k_begin + args.split_k);
    p.a = args.a;
    p.b = args.b;
    p.a_first = at * args.m * args.k;
    p.b_first = args.b_first + at * args.n * args.k;
    p.c_first = gl_WorkGroupID.z * args.m * args.n;
    p.a_stride = TRANSPOSE_A ? args.m : args.k;
    p.b_stride = TRANSPOSE_B ? args.k : args.n;
    p.done = at >= live_rows(args.batch_kind, args.batch);
    return p;
}

/* Eight numbers of a along its stored rows [rows, columns]; zeros outside. Whole pieces are read
 * without a branch: those outside from the beginning of a, which is always there. */
void load_a(product p, uint row, uint column, uint rows, uint columns, out float x[8])
{
    bool inside = row < rows && column < columns;
    uint at = inside ? p.a_first + row * p.a_stride + column : 0;
    if (!RAGGED_A) {
        vec4 low = vectors(p.a).v[at / 4], high = vectors(p.a).v[at / 4 + 1];
        for (uint i = 0; i < 8; i++) x[i] = inside ? (i < 4 ? low[i % 4] : high[i % 4]) : 0.0;
    }
    for (uint i = 0; RAGGED_A && i < 8; i++)
        x[i] = inside && column + i < columns ? p.a.v[at + i] : 0.0;
}

void load_b(product p, uint row, uint column, uint rows, uint columns, out float x[8])
{
    bool inside = row < rows && column < columns;
    uint at = inside ? p.b_first + row * p.b_stride + column : 0;
    if (!RAGGED_B) {
        decode8(DTYPE, p.b, at, x);
        for (uint i = 0; i < 8; i++) x[i] = inside ? x[i] : 0.0;
    }
    for (uint i = 0; RAGGED_B && i < 8; i++)
        x[i] = inside && column + i < columns ? decode1(DTYPE, p.b, at + i) : 0.0;
}

void store(product p, uint m, uint n, float x)
{
    if (m >= p.m || n >= p.n) return;
    uint at = p.c_first + m * p.n + n;
    if (ADD) x = fma(floats(args.c).v[at], floats(args.scale).v[m], x);
    floats(args.c).v[at] = x;
}

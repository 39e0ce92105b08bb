#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * c[m, n] = sum over k of a[m, k] * b[k, n] in f32. A workgroup makes BM x BN outputs, a thread
 * RM x RN of them (groups of four lie together), from tiles of BK in shared memory. k rises within
 * a sum, so every tile size gives the same bits.
 */
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
layout(local_size_x_id = 0) in; /* BM / RM * BN / RN */
#include "common/graft.glsl"
#include "common/decode.glsl"
#include "common/matmul.glsl"

layout(constant_id = 10) const uint RM = 8;
layout(constant_id = 11) const uint RN = 8;
layout(constant_id = 12) const uint LANES = 0; /* the subgroup size where it is fixed, else 0 */

const uint KU = 2; /* k at once, so that a sum stays in its register for two products */
const uint SA = BM + 4, SB = BN + 4, GX = BN / RN, GY = BM / RM;
shared float tile_a[BK * SA]; /* [k][m] */
shared float tile_b[BK * SB]; /* [k][n] */

void load_tiles(product p, uint m0, uint n0, uint k0)
{
    const uint threads = gl_WorkGroupSize.x;
    const uint UA = (TRANSPOSE_A ? BM : BK) / 8, LA = TRANSPOSE_A ? BK : BM;
    const uint UB = (TRANSPOSE_B ? BK : BN) / 8, LB = TRANSPOSE_B ? BN : BK;
    float x[8];
    for (uint t = gl_LocalInvocationIndex; t < LA * UA; t += threads) {
        uint line = t / UA, at = t % UA * 8;
        if (TRANSPOSE_A)
            load_a(p, k0 + line, m0 + at, p.k, p.m, x);
        else
            load_a(p, m0 + line, k0 + at, p.m, p.k, x);
        for (uint i = 0; i < 8; i++)
            tile_a[TRANSPOSE_A ? line * SA + at + i : (at + i) * SA + line] = x[i];
    }
    for (uint t = gl_LocalInvocationIndex; t < LB * UB; t += threads) {
        uint line = t / UB, at = t % UB * 8;
        if (TRANSPOSE_B)
            load_b(p, n0 + line, k0 + at, p.n, p.k, x);
        else
            load_b(p, k0 + line, n0 + at, p.k, p.n, x);
        for (uint i = 0; i < 8; i++)
            tile_b[TRANSPOSE_B ? (at + i) * SB + line : line * SB + at + i] = x[i];
    }
}

/* Where thread (tx, ty) has its output i of RM, j of RN. */
uint place(uint i, uint threads, uint t)
{
    return (i / 4 * threads + t) * 4 + i % 4;
}

void main()
{
    product p = product_begin();
    uint m0 = gl_WorkGroupID.y * BM, n0 = gl_WorkGroupID.x * BN;
    if (p.done || m0 >= p.m) return;
    decode_begin(DTYPE, p.b);
    uint tx = gl_LocalInvocationIndex % GX, ty = gl_LocalInvocationIndex / GX;
    if (LANES > 0) { /* a subgroup lies in one row of threads: its loads of a are uniform */
        tx = gl_SubgroupID * LANES % GX + gl_SubgroupInvocationID;
        ty = gl_SubgroupID * LANES / GX;
    }
    float sum[RM * RN];
    [[unroll]] for (uint i = 0; i < RM * RN; i++) sum[i] = 0.0;
    for (uint k0 = p.k_begin; k0 < p.k; k0 += BK) {
        barrier();
        load_tiles(p, m0, n0, k0);
        barrier();
        for (uint k = 0; k < BK; k += KU) {
            float a[RM * KU], b[RN * KU];
            [[unroll]] for (uint i = 0; i < RM * KU; i++)
                a[i] = tile_a[(k + i % KU) * SA + place(i / KU, GY, ty)];
            [[unroll]] for (uint j = 0; j < RN * KU; j++)
                b[j] = tile_b[(k + j % KU) * SB + place(j / KU, GX, tx)];
            [[unroll]] for (uint i = 0; i < RM * RN * KU; i++)
                sum[i / KU] = fma(a[i / (RN * KU) * KU + i % KU], b[i % (RN * KU)], sum[i / KU]);
        }
    }
    for (uint i = 0; i < RM; i++)
        for (uint j = 0; j < RN; j++)
            store(p, m0 + place(i, GY, ty), n0 + place(j, GX, tx), sum[i * RN + j]);
}

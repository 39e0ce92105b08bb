#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * matmul.comp by cooperative matrices (VK_KHR_cooperative_matrix): operands are rounded to f16 (or to
 * bf16 with -DCOOP_BF16), products add up in f32. The device says the size of its matrices, TM x TN x
 * TK; a subgroup holds CM x CN of them. Subgroups have their full, fixed size.
 */
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#ifdef COOP_BF16
#extension GL_EXT_bfloat16 : require
#define NARROW bfloat16_t
#else
#define NARROW float16_t
#endif
layout(local_size_x_id = 0) in; /* subgroup size * subgroups */
#include "common/graft.glsl"
#include "common/decode.glsl"
#include "common/matmul.glsl"

layout(constant_id = 10) const uint TM = 16;
layout(constant_id = 11) const uint TN = 16;
layout(constant_id = 12) const uint TK = 16;
layout(constant_id = 13) const uint SUBGROUPS = 4;
layout(constant_id = 14) const uint SGN = 2; /* of them along n */
layout(constant_id = 15) const uint CM = 2;
layout(constant_id = 16) const uint CN = 2;

/* As stored, so that pieces are contiguous; padded by 16 bytes. */
const uint SA = (TRANSPOSE_A ? BM : BK) + 8, SB = (TRANSPOSE_B ? BK : BN) + 8;
const uint LA = TRANSPOSE_A ? BK : BM, LB = TRANSPOSE_B ? BN : BK;
shared NARROW tile_a[LA * SA];
shared NARROW tile_b[LB * SB];
shared float tile_c[SUBGROUPS * TM * TN];

layout(buffer_reference, std430, buffer_reference_align = 16) buffer aligned { float v[]; };

#define MATRIX(type, rows, columns, use) coopmat<type, gl_ScopeSubgroup, rows, columns, use>
const int ROWS = gl_CooperativeMatrixLayoutRowMajor, COLUMNS = gl_CooperativeMatrixLayoutColumnMajor;

/* Eight numbers of b in their tile; a weight of the matrices' own type as it is. */
void put_b(product p, uint row, uint column, uint rows, uint columns, uint to)
{
#ifndef COOP_BF16
    if (DTYPE == F16 && !RAGGED_B) {
        bool inside = row < rows && column < columns;
        uvec4 q = weight4(p.b).v[inside ? (p.b_first + row * p.b_stride + column) / 8 : 0];
        for (uint i = 0; i < 8; i += 2) {
            f16vec2 two = unpackFloat2x16(inside ? q[i / 2] : 0u);
            tile_b[to + i] = two.x;
            tile_b[to + i + 1] = two.y;
        }
        return;
    }
#endif
    float x[8];
    load_b(p, row, column, rows, columns, x);
    for (uint i = 0; i < 8; i++) tile_b[to + i] = NARROW(x[i]);
}

void load_tiles(product p, uint m0, uint n0, uint k0)
{
    const uint threads = gl_WorkGroupSize.x;
    const uint UA = (SA - 8) / 8, UB = (SB - 8) / 8;
    float x[8];
    for (uint t = gl_LocalInvocationIndex; t < LA * UA; t += threads) {
        uint line = t / UA, at = t % UA * 8;
        if (TRANSPOSE_A)
            load_a(p, k0 + line, m0 + at, p.k, p.m, x);
        else
            load_a(p, m0 + line, k0 + at, p.m, p.k, x);
        for (uint i = 0; i < 8; i++) tile_a[line * SA + at + i] = NARROW(x[i]);
    }
    for (uint t = gl_LocalInvocationIndex; t < LB * UB; t += threads) {
        uint line = t / UB, at = t % UB * 8;
        if (TRANSPOSE_B)
            put_b(p, n0 + line, k0 + at, p.n, p.k, line * SB + at);
        else
            put_b(p, k0 + line, n0 + at, p.k, p.n, line * SB + at);
    }
}

void main()
{
    product p = product_begin();
    uint m0 = gl_WorkGroupID.y * BM, n0 = gl_WorkGroupID.x * BN;
    if (p.done || m0 >= p.m) return;
    decode_begin(DTYPE, p.b);
    uint sm = gl_SubgroupID / SGN * CM * TM, sn = gl_SubgroupID % SGN * CN * TN;
    MATRIX(float, TM, TN, gl_MatrixUseAccumulator) sum[CM * CN];
    for (uint i = 0; i < CM * CN; i++)
        sum[i] = MATRIX(float, TM, TN, gl_MatrixUseAccumulator)(0.0);
    for (uint k0 = p.k_begin; k0 < p.k; k0 += BK) {
        barrier();
        load_tiles(p, m0, n0, k0);
        barrier();
        for (uint k = 0; k < BK; k += TK) {
            MATRIX(NARROW, TM, TK, gl_MatrixUseA) a[CM];
            for (uint i = 0; i < CM; i++) {
                uint m = sm + i * TM;
                if (TRANSPOSE_A)
                    coopMatLoad(a[i], tile_a, k * SA + m, SA, COLUMNS);
                else
                    coopMatLoad(a[i], tile_a, m * SA + k, SA, ROWS);
            }
            for (uint j = 0; j < CN; j++) {
                MATRIX(NARROW, TK, TN, gl_MatrixUseB) b;
                uint n = sn + j * TN;
                if (TRANSPOSE_B)
                    coopMatLoad(b, tile_b, n * SB + k, SB, COLUMNS);
                else
                    coopMatLoad(b, tile_b, k * SB + n, SB, ROWS);
                for (uint i = 0; i < CM; i++)
                    sum[i * CN + j] = coopMatMulAdd(a[i], b, sum[i * CN + j]);
            }
        }
    }
    if (!ADD && m0 + BM <= p.m && n0 + BN <= p.n && p.n % 4 == 0) { /* whole, and aligned */
        for (uint i = 0; i < CM * CN; i++)
            coopMatStore(
                sum[i], aligned(args.c).v,
                p.c_first + (m0 + sm + i / CN * TM) * p.n + n0 + sn + i % CN * TN, p.n, ROWS);
        return;
    }
    /* Through shared memory, where a matrix may hang over the edge; barriers for all, since those
     * of some subgroups alone go wrong on some drivers. */
    uint base = gl_SubgroupID * TM * TN;
    for (uint i = 0; i < CM * CN; i++) {
        barrier();
        coopMatStore(sum[i], tile_c, base, TN, ROWS);
        barrier();
        [[dont_unroll]] for (uint t = gl_SubgroupInvocationID; t < TM * TN; t += gl_SubgroupSize)
            store(p, m0 + sm + i / CN * TM + t / TN, n0 + sn + i % CN * TN + t % TN,
                  tile_c[base + t]);
    }
}

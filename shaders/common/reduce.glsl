/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums and maxima over a workgroup, right for every subgroup size: there may be more subgroups than
 * lanes in one (256 threads in subgroups of 4), so the second stage loops. Every thread gets the
 * result; every thread must call.
 */
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require

const uint LEAST_SUBGROUP = 4; /* lanes */
shared float reduce_part[gl_WorkGroupSize.x / LEAST_SUBGROUP];
shared uint reduce_at[gl_WorkGroupSize.x / LEAST_SUBGROUP];

float workgroup_sum(float x)
{
    x = subgroupAdd(x);
    barrier(); /* the part may still be read by the call before */
    if (subgroupElect()) reduce_part[gl_SubgroupID] = x;
    barrier();
    x = 0.0;
    for (uint i = gl_SubgroupInvocationID; i < gl_NumSubgroups; i += gl_SubgroupSize)
        x += reduce_part[i];
    return subgroupAdd(x);
}

/* The largest x and the lowest `at` that has it. */
void workgroup_max(inout float x, inout uint at)
{
    float most = subgroupMax(x);
    at = subgroupMin(x == most ? at : 0xFFFFFFFFu);
    barrier();
    if (subgroupElect()) {
        reduce_part[gl_SubgroupID] = most;
        reduce_at[gl_SubgroupID] = at;
    }
    barrier();
    x = reduce_part[0];
    for (uint i = gl_SubgroupInvocationID; i < gl_NumSubgroups; i += gl_SubgroupSize)
        x = max(x, reduce_part[i]);
    x = subgroupMax(x);
    at = 0xFFFFFFFFu;
    for (uint i = gl_SubgroupInvocationID; i < gl_NumSubgroups; i += gl_SubgroupSize)
        if (reduce_part[i] == x) at = min(at, reduce_at[i]);
    at = subgroupMin(at);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums and maxima over a workgroup, right for every subgroup size, and where subgroups have fewer
 * lanes than gl_SubgroupSize says, as on Intel's: the second stage asks for neither. Every thread
 * gets the result; every thread must call.
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
    x = reduce_part[0];
    for (uint i = 1; i < gl_NumSubgroups; i++) x += reduce_part[i];
    return x;
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
    at = reduce_at[0];
    for (uint i = 1; i < gl_NumSubgroups; i++) {
        float other = reduce_part[i];
        uint place = reduce_at[i];
        if (other > x || (other == x && place < at)) at = place;
        x = max(x, other);
    }
}

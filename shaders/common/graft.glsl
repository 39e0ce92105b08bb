/* SPDX-License-Identifier: Apache-2.0
 *
 * What every shader has: pointers, live rows, and its place in a flat range of work. A shader
 * declares its arguments as a buffer and gets them so (two addresses, nothing else):
 *
 *     layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer add_args { .. };
 *     layout(push_constant, scalar) uniform push { add_args a; live_t live; };
 *
 * Arguments are laid out as the same C struct: 32-bit numbers and addresses (8 bytes, aligned), no
 * vectors and no structs inside. constant_id 0 is the number of threads of a workgroup. A long
 * dispatch is cut into several: gl_NumWorkGroups means nothing, gl_WorkGroupID is right.
 * No 64-bit integers; subgroups have 4 to 64 lanes.
 */
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference2 : require
#extension GL_EXT_scalar_block_layout : require

layout(buffer_reference, std430, buffer_reference_align = 4) buffer floats { float v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer ints { int v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer uints { uint v[]; };
layout(buffer_reference, std430, buffer_reference_align = 8) buffer ranges { ivec2 v[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) buffer vectors { vec4 v[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) buffer uint_vectors { uvec4 v[]; };

/* Live counts of this run by enum graft_rows. */
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer live_t { uint v[]; };

/* Live rows of a first dimension of that kind. */
#define live_rows(kind, capacity) ((kind) == 0u ? (capacity) : live.v[kind])

const uint FLAT_GROUPS = 65535; /* VK_FLAT_GROUPS */

uint global_group()
{
    return gl_WorkGroupID.y * FLAT_GROUPS + gl_WorkGroupID.x;
}

uint global_index()
{
    return global_group() * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
}

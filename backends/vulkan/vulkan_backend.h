/* SPDX-License-Identifier: Apache-2.0
 *
 * What an op file (ops_<family>.c) sees: one node with its tensors, and one way to compute,
 * vk_dispatch. An op file knows no Vulkan.
 *
 * record() runs when a program is made, twice: once to size the scratch memory, once for good. It
 * depends on the node and the device alone. Nothing of it runs again in a step: workgroups are for
 * the capacity, and shaders leave early beyond the live rows.
 */
#ifndef BACKENDS_VULKAN_VULKAN_BACKEND_H
#define BACKENDS_VULKAN_VULKAN_BACKEND_H

#include "shaders.h" /* generated: enum vk_shader, VK_SHADER_<FILE NAME> */

#include <graft/backend.h>
#include <stdbool.h>

enum { VK_CONSTANTS = 24, VK_ACCESSES = 20, VK_FLAT_GROUPS = 65535 };

/* Device memory that a tensor or scratch takes. Addresses are unique over all buffers, multiples of
 * 64, and followed by at least 64 bytes that may be read. */
struct vk_tensor {
    uint64_t address; /* 0: absent */
    uint64_t bytes;
    int32_t dtype;
    int32_t rows;             /* enum graft_rows of the first dimension */
    struct graft_shape shape; /* at capacity; rank 0: scratch */
};

struct vk_node {
    int32_t op;
    union graft_params params;
    struct vk_tensor in[GRAFT_MAX_INPUTS], out[GRAFT_MAX_OUTPUTS];
};

/* Kinds of cooperative matrices that the device multiplies at subgroup scope, with f32 sums. */
struct vk_matrix {
    uint32_t m, n, k; /* 0: none */
};

/* What shaders may count on; the same for all programs of a device. */
struct vk_caps {
    /* Lanes: what gl_SubgroupSize says, and the range of what there may be. Only a dispatch that
     * asks for full subgroups has as many as it says. */
    uint32_t subgroup, subgroup_least, subgroup_most;
    bool fixed_subgroup;            /* vk_dispatch.subgroup may ask for one of the range, full */
    uint32_t shared_bytes, threads; /* limits of a workgroup; at least 16384 and 256 */
    bool f16_arithmetic;
    struct vk_matrix f16, bf16;
};

enum { VK_READ = 1, VK_WRITE = 2, VK_READ_WRITE = 3 };

struct vk_access {
    uint64_t address, bytes; /* address 0: skipped */
    int32_t mode;
};

struct vk_dispatch {
    enum vk_shader shader;
    uint32_t constant_count;
    /* Specialization constants 0 .. constant_count - 1; 0 is the number of threads of a workgroup.
     * bool: 0 or 1, float: its bits. */
    uint32_t constants[VK_CONSTANTS];
    const void *args; /* copied; what the first push constant points to */
    uint32_t args_bytes;
    /* All memory that the shader reads or writes but args and live counts. Barriers come from it,
     * and the audit of the tests holds shaders to it. */
    struct vk_access access[VK_ACCESSES];
    uint32_t groups[3]; /* workgroups; a long dispatch is cut along them: see graft.glsl */
    uint32_t subgroup;  /* lanes asked for, full subgroups; 0: any */
    double work;        /* arithmetic operations, roughly; 0: one per 4 bytes of access */
};

/* Recording of one program. */
struct vk_recorder;

typedef void vk_record(struct vk_recorder *r, const struct vk_node *node);

struct vk_op {
    int32_t op;
    vk_record *record;
};

const struct vk_caps *vk_caps(const struct vk_recorder *r);
/* False: this build's shader compiler could not compile it, or the device cannot run it. */
bool vk_has_shader(const struct vk_recorder *r, enum vk_shader shader);

/* Adds a dispatch. The first failure is kept and ends the program; later calls do nothing. */
void vk_dispatch(struct vk_recorder *r, const struct vk_dispatch *d);

/* Memory for this node alone, from its first dispatch to its last; contents are undefined. */
struct vk_tensor vk_scratch(struct vk_recorder *r, uint64_t bytes);

/* A node that cannot be computed here: the program fails with this text. */
GRAFT_PRINTF(2, 3)
void vk_unsupported(struct vk_recorder *r, const char *format, ...);

static inline struct vk_access vk_reads(const struct vk_tensor *t)
{
    struct vk_access a = {t->address, t->bytes, VK_READ};
    return a;
}

static inline struct vk_access vk_writes(const struct vk_tensor *t)
{
    struct vk_access a = {t->address, t->bytes, VK_WRITE};
    return a;
}

static inline struct vk_access vk_updates(const struct vk_tensor *t)
{
    struct vk_access a = {t->address, t->bytes, VK_READ_WRITE};
    return a;
}

/* `count` threads in workgroups of `threads`, for shaders that ask global_index(); `count`
 * workgroups for those that ask global_group(): vk_flat(d, count, 1). */
static inline void vk_flat(struct vk_dispatch *d, uint64_t count, uint32_t threads)
{
    uint64_t groups = (count + threads - 1) / threads;
    if (groups == 0) groups = 1;
    d->groups[0] = (uint32_t)(groups < VK_FLAT_GROUPS ? groups : VK_FLAT_GROUPS);
    d->groups[1] = (uint32_t)((groups + VK_FLAT_GROUPS - 1) / VK_FLAT_GROUPS);
    d->groups[2] = 1;
}

/* Numbers of a tensor behind its first dimension. */
static inline uint64_t vk_inner(const struct vk_tensor *t)
{
    return (uint64_t)(graft_shape_count(t->shape) / t->shape.dim[0]);
}

/* The families, one per file, ended by op 0; used by ops.c only. */
extern const struct vk_op vk_elementwise_ops[], vk_sum_ops[], vk_rows_ops[], vk_assign_ops[],
    vk_codes_ops[], vk_matmul_ops[], vk_weight_ops[], vk_head_ops[], vk_attention_ops[],
    vk_norm_ops[], vk_rope_ops[], vk_swiglu_ops[], vk_cross_entropy_ops[];

#endif

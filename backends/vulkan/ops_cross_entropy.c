/* SPDX-License-Identifier: Apache-2.0
 *
 * The loss on logits: a workgroup per row.
 */
#include "vulkan_backend.h"

enum { THREADS = 256 };

/* As in cross_entropy.comp. */
struct loss_args {
    uint64_t z, target, dnll, nll, argmax, dz;
    uint32_t rows, row_kind, vocabulary, outputs;
};

static void cross_entropy(struct vk_recorder *r, const struct vk_node *node)
{
    bool backward = node->op == GRAFT_OP_CROSS_ENTROPY_BACKWARD;
    const struct vk_tensor *z = &node->in[0], *target = &node->in[1];
    const struct vk_tensor *first = &node->out[0], *second = &node->out[1];
    struct loss_args args = {.z = z->address,
                             .target = target->address,
                             .rows = (uint32_t)z->shape.dim[0],
                             .row_kind = (uint32_t)z->rows,
                             .vocabulary = (uint32_t)z->shape.dim[1],
                             .outputs = (first->address != 0 ? 1u : 0u) |
                                        (second->address != 0 ? 2u : 0u)};
    struct vk_dispatch d = {.shader = VK_SHADER_CROSS_ENTROPY,
                            .constant_count = 2,
                            .constants = {THREADS, backward},
                            .args = &args,
                            .args_bytes = sizeof args,
                            .access = {vk_reads(z), vk_reads(target), vk_writes(first)},
                            .work = 32.0 * args.rows * args.vocabulary};
    if (backward) {
        args.dnll = node->in[2].address;
        args.dz = first->address;
        d.access[3] = vk_reads(&node->in[2]);
    } else {
        args.nll = first->address;
        args.argmax = second->address;
        d.access[3] = vk_writes(second);
    }
    vk_flat(&d, args.rows, 1);
    vk_dispatch(r, &d);
}

const struct vk_op vk_cross_entropy_ops[] = {{GRAFT_OP_CROSS_ENTROPY, cross_entropy},
                                             {GRAFT_OP_CROSS_ENTROPY_BACKWARD, cross_entropy},
                                             {0, NULL}};

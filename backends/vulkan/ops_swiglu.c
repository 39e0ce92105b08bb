/* SPDX-License-Identifier: Apache-2.0
 *
 * SwiGLU, forward and backward: one thread per number, or four where rows are multiples of it.
 */
#include "vulkan_backend.h"

enum { THREADS = 128 };

/* As in swiglu.comp. */
struct swiglu_args {
    uint64_t dy, gate, up, y, dup;
    uint32_t rows, row_kind, inner, outputs;
};

static void swiglu(struct vk_recorder *r, const struct vk_node *node)
{
    bool backward = node->op == GRAFT_OP_SWIGLU_BACKWARD;
    const struct vk_tensor *gate = &node->in[backward], *up = gate + 1;
    const struct vk_tensor *y = &node->out[0], *dup = &node->out[1];
    struct swiglu_args args = {.dy = backward ? node->in[0].address : 0,
                               .gate = gate->address,
                               .up = up->address,
                               .y = y->address,
                               .dup = dup->address,
                               .rows = (uint32_t)gate->shape.dim[0],
                               .row_kind = (uint32_t)gate->rows,
                               .inner = (uint32_t)vk_inner(gate),
                               .outputs =
                                   (y->address != 0 ? 1u : 0u) | (dup->address != 0 ? 2u : 0u)};
    bool fours = args.inner % 4 == 0;
    struct vk_dispatch d = {.shader = VK_SHADER_SWIGLU,
                            .constant_count = 3,
                            .constants = {THREADS, backward, fours},
                            .args = &args,
                            .args_bytes = sizeof args,
                            .access = {vk_reads(gate), vk_reads(up), vk_writes(y), vk_writes(dup)},
                            .work = 32.0 * args.rows * args.inner};
    if (backward) d.access[4] = vk_reads(&node->in[0]);
    vk_flat(&d, (uint64_t)args.rows * args.inner / (fours ? 4 : 1), THREADS);
    vk_dispatch(r, &d);
}

const struct vk_op vk_swiglu_ops[] = {
    {GRAFT_OP_SWIGLU, swiglu}, {GRAFT_OP_SWIGLU_BACKWARD, swiglu}, {0, NULL}};

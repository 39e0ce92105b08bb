/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotary position embedding: the table of a program's positions, and turning by it.
 */
#include "vulkan_backend.h"

enum { THREADS = 128 };

/* As in rope_table.comp. */
struct table_args {
    uint64_t positions, frequency, table;
    uint32_t tokens, token_kind, n;
    float factor;
};

static void rope_table(struct vk_recorder *r, const struct vk_node *node)
{
    const struct vk_tensor *positions = &node->in[0], *frequency = &node->in[1];
    struct table_args args = {.positions = positions->address,
                              .frequency = frequency->address,
                              .table = node->out[0].address,
                              .tokens = (uint32_t)positions->shape.dim[0],
                              .token_kind = (uint32_t)positions->rows,
                              .n = (uint32_t)frequency->shape.dim[0],
                              .factor = (float)node->params.rope.factor};
    struct vk_dispatch d = {
        .shader = VK_SHADER_ROPE_TABLE,
        .constant_count = 1,
        .constants = {THREADS},
        .args = &args,
        .args_bytes = sizeof args,
        .access = {vk_reads(positions), vk_reads(frequency), vk_writes(&node->out[0])},
        .work = 64.0 * args.tokens * args.n};
    vk_flat(&d, (uint64_t)args.tokens * args.n, THREADS);
    vk_dispatch(r, &d);
}

/* As in rope.comp. */
struct rope_args {
    uint64_t x, table, y;
    uint32_t tokens, token_kind, heads, size, n;
};

static void rope(struct vk_recorder *r, const struct vk_node *node)
{
    const union graft_params *p = &node->params;
    const struct vk_tensor *x = &node->in[0], *table = &node->in[1];
    struct rope_args args = {.x = x->address,
                             .table = table->address,
                             .y = node->out[0].address,
                             .tokens = (uint32_t)x->shape.dim[0],
                             .token_kind = (uint32_t)x->rows,
                             .heads = (uint32_t)(x->shape.dim[1] / p->rope.head_size),
                             .size = (uint32_t)p->rope.head_size,
                             .n = (uint32_t)p->rope.rotary / 2};
    struct vk_dispatch d = {.shader = VK_SHADER_ROPE,
                            .constant_count = 3,
                            .constants = {THREADS, p->rope.interleaved != 0, p->rope.inverse != 0},
                            .args = &args,
                            .args_bytes = sizeof args,
                            .access = {vk_reads(x), vk_reads(table), vk_writes(&node->out[0])}};
    vk_flat(&d, (uint64_t)args.tokens * args.heads * (args.size - args.n), THREADS);
    vk_dispatch(r, &d);
}

const struct vk_op vk_rope_ops[] = {
    {GRAFT_OP_ROPE_TABLE, rope_table}, {GRAFT_OP_ROPE, rope}, {0, NULL}};

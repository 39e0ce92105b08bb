/* SPDX-License-Identifier: Apache-2.0
 *
 * Stored weights as numbers: whole, or the rows that ids name; and the gradient of such a table.
 */
#include "product.h"

enum { THREADS = 128, UNIT = 8 };

/* As in dequantize.comp. */
struct dequantize_args {
    uint64_t w, y;
    uint32_t first, count;
};

/* As in embedding.comp and, with other names, in embedding_backward.comp. */
struct embedding_args {
    uint64_t from[2], to;
    uint32_t tokens, kind, vocabulary, channels;
    int32_t first;
};

void vk_unpack(struct vk_recorder *r, const struct vk_unpacking *u)
{
    struct dequantize_args args = {u->from.address, u->to.address, (uint32_t)u->first,
                                   (uint32_t)u->count};
    struct vk_dispatch d = {.shader = VK_SHADER_DEQUANTIZE,
                            .constant_count = 3,
                            .constants = {THREADS, (uint32_t)u->from.dtype, (uint32_t)u->dtype},
                            .args = &args,
                            .args_bytes = sizeof args,
                            .access = {vk_reads(&u->from), vk_writes(&u->to)},
                            .work = 8.0 * (double)u->count};
    vk_flat(&d, (u->count + UNIT - 1) / UNIT, THREADS);
    vk_dispatch(r, &d);
}

static void dequantize(struct vk_recorder *r, const struct vk_node *node)
{
    struct vk_unpacking u = {.from = node->in[0], .to = node->out[0], .dtype = GRAFT_DTYPE_F32};
    u.count = (uint64_t)graft_shape_count(node->in[0].shape);
    if (u.count > INT32_MAX)
        vk_unsupported(r, "a weight of %llu numbers as a value has more than 32 bits count",
                       (unsigned long long)u.count);
    else
        vk_unpack(r, &u);
}

static struct embedding_args args_of(const struct vk_node *node, const struct vk_tensor *ids,
                                     const struct vk_tensor *table)
{
    struct embedding_args a = {.from = {node->in[0].address, node->in[1].address},
                               .to = node->out[0].address,
                               .tokens = (uint32_t)ids->shape.dim[0],
                               .kind = (uint32_t)ids->rows,
                               .vocabulary = (uint32_t)table->shape.dim[0],
                               .channels = (uint32_t)table->shape.dim[1],
                               .first = (int32_t)node->params.embedding.first};
    return a;
}

static void embedding(struct vk_recorder *r, const struct vk_node *node)
{
    struct embedding_args args = args_of(node, &node->in[0], &node->in[1]);
    uint32_t units = (args.channels + UNIT - 1) / UNIT, ragged = args.channels % UNIT != 0;
    struct vk_dispatch d = {
        .shader = VK_SHADER_EMBEDDING,
        .constant_count = 3,
        .constants = {THREADS, (uint32_t)node->in[1].dtype, ragged},
        .args = &args,
        .args_bytes = sizeof args,
        .access = {vk_reads(&node->in[0]), vk_reads(&node->in[1]), vk_writes(&node->out[0])},
        .work = 8.0 * args.tokens * args.channels};
    vk_flat(&d, (uint64_t)args.tokens * units, THREADS);
    vk_dispatch(r, &d);
}

static void embedding_backward(struct vk_recorder *r, const struct vk_node *node)
{
    const struct vk_tensor *dtable = &node->out[0];
    struct embedding_args args = args_of(node, &node->in[1], dtable);
    struct vk_dispatch d = {.shader = VK_SHADER_EMBEDDING_BACKWARD,
                            .constant_count = 2,
                            .constants = {THREADS, 1},
                            .args = &args,
                            .args_bytes = sizeof args,
                            .access = {vk_writes(dtable)}};
    vk_flat(&d, (uint64_t)args.vocabulary * args.channels, THREADS);
    vk_dispatch(r, &d);
    d.constants[1] = 0;
    d.access[0] = vk_updates(dtable);
    d.access[1] = vk_reads(&node->in[0]);
    d.access[2] = vk_reads(&node->in[1]);
    vk_flat(&d, args.tokens, 1);
    vk_dispatch(r, &d);
}

const struct vk_op vk_weight_ops[] = {{GRAFT_OP_DEQUANTIZE, dequantize},
                                      {GRAFT_OP_EMBEDDING, embedding},
                                      {GRAFT_OP_EMBEDDING_BACKWARD, embedding_backward},
                                      {0, NULL}};

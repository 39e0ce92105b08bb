/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes into stored values, and dropout.
 */
#include "vulkan_backend.h"

#include <math.h>

enum { THREADS = 256 };

/* As in assign.comp. */
struct assign_args {
    uint64_t to, from, guard;
    uint32_t rows, row_kind, inner;
};

/* As in dropout.comp. */
struct dropout_args {
    uint64_t x, y, row, token, step;
    uint32_t rows, row_kind, channels, key[2], least;
    float scale;
};

/* The output lies where the first input does. */
static void record_assign(struct vk_recorder *r, const struct vk_node *n)
{
    const struct vk_tensor *to = &n->in[0], *from = &n->in[1], *guard = &n->in[2];
    uint32_t size = to->dtype == GRAFT_DTYPE_U8 ? 1 : 4;
    struct assign_args args = {.to = to->address,
                               .from = from->address,
                               .guard = guard->address,
                               .rows = (uint32_t)to->shape.dim[0],
                               .row_kind = (uint32_t)to->rows,
                               .inner = (uint32_t)vk_inner(to) * size};
    struct vk_dispatch d = {.shader = VK_SHADER_ASSIGN,
                            .constant_count = 2,
                            .constants = {THREADS, guard->address != 0},
                            .args = &args,
                            .args_bytes = sizeof args,
                            .access = {vk_reads(from), vk_reads(guard), vk_updates(to)}};
    vk_flat(&d, ((uint64_t)args.rows * args.inner + 3) / 4, THREADS);
    vk_dispatch(r, &d);
}

static void record_dropout(struct vk_recorder *r, const struct vk_node *n)
{
    const struct vk_tensor *x = &n->in[0], *y = &n->out[0];
    double rate = n->params.dropout.rate;
    struct dropout_args args = {.x = x->address,
                                .y = y->address,
                                .row = n->in[1].address,
                                .token = n->in[2].address,
                                .step = n->in[3].address,
                                .rows = (uint32_t)x->shape.dim[0],
                                .row_kind = (uint32_t)x->rows,
                                .channels = (uint32_t)x->shape.dim[1],
                                .key = {n->params.dropout.key[0], n->params.dropout.key[1]},
                                .least = (uint32_t)ceil(rate * 0x1p24),
                                .scale = (float)(1.0 / (1.0 - rate))};
    struct vk_dispatch d = {.shader = VK_SHADER_DROPOUT,
                            .constant_count = 1,
                            .constants = {THREADS},
                            .args = &args,
                            .args_bytes = sizeof args,
                            .access = {vk_reads(x), vk_reads(&n->in[1]), vk_reads(&n->in[2]),
                                       vk_reads(&n->in[3]), vk_writes(y)}};
    if (y->address == 0) return;
    vk_flat(&d, (uint64_t)args.rows * ((args.channels + 3) / 4), THREADS);
    vk_dispatch(r, &d);
}

const struct vk_op vk_assign_ops[] = {
    {GRAFT_OP_ASSIGN, record_assign},
    {GRAFT_OP_DROPOUT, record_dropout},
    {0, NULL},
};

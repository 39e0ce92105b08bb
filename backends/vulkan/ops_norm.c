/* SPDX-License-Identifier: Apache-2.0
 *
 * RMS norm: a workgroup per row, of as many threads as the row has fours; of short rows a subgroup
 * each, which waits for no other, where subgroups can be asked to be full.
 */
#include "vulkan_backend.h"

/* As in rms_norm.comp. */
struct norm_args {
    uint64_t dy, x, w, y;
    uint32_t rows, row_kind, inner, channels;
    float eps;
};

enum {
    SHORT = 512, /* channels of a short row */
    THREADS = 64,
    ROWS = 8 /* of a workgroup, short ones */
};

static uint32_t threads_of(uint64_t channels)
{
    uint32_t threads = 32;
    while (threads < 256 && threads * 4 < channels) threads *= 2;
    return threads;
}

/* Rows of a workgroup. */
static uint32_t rows_of(const struct vk_caps *caps, uint64_t channels)
{
    return channels <= SHORT && caps->fixed_subgroup && THREADS % caps->subgroup == 0 ? ROWS : 1;
}

static void norm(struct vk_recorder *r, const struct vk_node *node)
{
    bool backward = node->op == GRAFT_OP_RMS_NORM_BACKWARD;
    const struct vk_tensor *x = &node->in[backward], *w = x + 1, *y = &node->out[0];
    uint64_t channels = (uint64_t)w->shape.dim[w->shape.rank - 1];
    struct norm_args args = {.dy = backward ? node->in[0].address : 0,
                             .x = x->address,
                             .w = w->address,
                             .y = y->address,
                             .rows = (uint32_t)x->shape.dim[0],
                             .row_kind = (uint32_t)x->rows,
                             .inner = (uint32_t)(vk_inner(x) / channels),
                             .channels = (uint32_t)channels,
                             .eps = (float)node->params.norm.eps};
    uint32_t each = rows_of(vk_caps(r), channels);
    struct vk_dispatch d = {
        .shader = VK_SHADER_RMS_NORM,
        .constant_count = 3,
        .constants = {each > 1 ? THREADS : threads_of(channels), backward, each},
        .args = &args,
        .args_bytes = sizeof args,
        .access = {vk_reads(x), vk_reads(w), vk_writes(y)},
        .subgroup = each > 1 ? vk_caps(r)->subgroup : 0};
    if (backward) d.access[3] = vk_reads(&node->in[0]);
    if (x->shape.rank == 1) { /* one row */
        args.rows = 1;
        args.row_kind = GRAFT_ROWS_FIXED;
        args.inner = 1;
    }
    vk_flat(&d, ((uint64_t)args.rows * args.inner + each - 1) / each, 1);
    vk_dispatch(r, &d);
}

const struct vk_op vk_norm_ops[] = {
    {GRAFT_OP_RMS_NORM, norm}, {GRAFT_OP_RMS_NORM_BACKWARD, norm}, {0, NULL}};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops of one or two numbers at a time, with numpy's broadcasting. Axes that the inputs walk alike
 * are merged, so that most nodes have one or two.
 */
#include "vulkan_backend.h"

#include <string.h>

enum { THREADS = 256 };

/* Of elementwise.comp. */
struct elementwise_args {
    uint64_t a, b, y;
    uint32_t rows, row_kind, inner;        /* numbers of y: live rows * inner */
    uint32_t dim[4], a_step[4], b_step[4]; /* merged axes, outermost first */
    float scale, shift;
};

/* How far one step along each axis of the output moves in `in`, aligned at the last dimension. */
static void steps(const struct graft_shape *in, int32_t rank, uint32_t step[GRAFT_MAX_RANK])
{
    int64_t product = 1;
    memset(step, 0, GRAFT_MAX_RANK * sizeof *step);
    for (int32_t i = in->rank - 1; i >= 0; i--) {
        if (in->dim[i] != 1) step[rank - in->rank + i] = (uint32_t)product;
        product *= in->dim[i];
    }
}

/* The merged axes, right-aligned in the four of args; axes of 1 first. */
static void merge(struct elementwise_args *args, const struct graft_shape *out,
                  const uint32_t a[GRAFT_MAX_RANK], const uint32_t b[GRAFT_MAX_RANK])
{
    int32_t at = GRAFT_MAX_RANK;
    for (int i = 0; i < GRAFT_MAX_RANK; i++) args->dim[i] = 1;
    for (int32_t i = out->rank - 1; i >= 0; i--) {
        uint32_t n = (uint32_t)out->dim[i];
        if (n == 1) continue;
        if (at < GRAFT_MAX_RANK && a[i] == args->a_step[at] * args->dim[at] &&
            b[i] == args->b_step[at] * args->dim[at]) {
            args->dim[at] *= n;
            continue;
        }
        at--;
        args->dim[at] = n;
        args->a_step[at] = a[i];
        args->b_step[at] = b[i];
    }
}

static void record(struct vk_recorder *r, const struct vk_node *n)
{
    const struct vk_tensor *a = &n->in[0], *b = n->in[1].address != 0 ? &n->in[1] : a,
                           *y = &n->out[0];
    if (y->address == 0) return;
    struct elementwise_args args = {.a = a->address,
                                    .b = b->address,
                                    .y = y->address,
                                    .rows = (uint32_t)y->shape.dim[0],
                                    .row_kind = (uint32_t)y->rows,
                                    .inner = (uint32_t)vk_inner(y),
                                    .scale = (float)n->params.affine.scale,
                                    .shift = (float)n->params.affine.shift};
    uint32_t a_step[GRAFT_MAX_RANK], b_step[GRAFT_MAX_RANK];
    steps(&a->shape, y->shape.rank, a_step);
    steps(&b->shape, y->shape.rank, b_step);
    merge(&args, &y->shape, a_step, b_step);
    struct vk_dispatch d = {.shader = VK_SHADER_ELEMENTWISE,
                            .constant_count = 2,
                            .constants = {THREADS, (uint32_t)n->op},
                            .args = &args,
                            .args_bytes = sizeof args,
                            .access = {vk_reads(a), vk_reads(b), vk_writes(y)}};
    vk_flat(&d, (uint64_t)graft_shape_count(y->shape), THREADS);
    vk_dispatch(r, &d);
}

const struct vk_op vk_elementwise_ops[] = {
    {GRAFT_OP_ADD, record},
    {0, NULL},
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies by place: a part put among zeros, rows picked and put back by an index, matrices of their
 * triangles.
 */
#include "small.h"

enum { THREADS = 256 };

/* As in place.comp. */
struct place_args {
    uint64_t x, y;
    uint32_t rows, row_kind, inner, whole, begin, part;
};

/* As in skew.comp. */
struct skew_args {
    uint64_t v, m;
    uint32_t rows, row_kind, size;
};

/* As in rows.comp. */
struct rows_args {
    uint64_t x, y, index;
    uint32_t rows, row_kind, channels;
};

static void record_place(struct vk_recorder *r, const struct vk_node *n)
{
    const struct vk_tensor *x = &n->in[0], *y = &n->out[0];
    uint32_t behind = 1;
    int32_t axis = n->params.slice.axis;
    if (y->address == 0) return;
    for (int32_t i = axis + 1; i < x->shape.rank; i++) behind *= (uint32_t)x->shape.dim[i];
    struct place_args args = {.x = x->address,
                              .y = y->address,
                              .rows = (uint32_t)y->shape.dim[0],
                              .row_kind = (uint32_t)y->rows,
                              .inner = (uint32_t)vk_inner(y),
                              .whole = (uint32_t)y->shape.dim[axis] * behind,
                              .begin = (uint32_t)n->params.slice.begin * behind,
                              .part = (uint32_t)x->shape.dim[axis] * behind};
    struct vk_dispatch d = {.shader = VK_SHADER_PLACE,
                            .constant_count = 1,
                            .constants = {THREADS},
                            .args = &args,
                            .args_bytes = sizeof args,
                            .access = {vk_reads(x), vk_writes(y)}};
    vk_flat(&d, (uint64_t)graft_shape_count(y->shape), THREADS);
    vk_dispatch(r, &d);
}

static void record_skew(struct vk_recorder *r, const struct vk_node *n)
{
    bool backward = n->op == GRAFT_OP_SKEW_BACKWARD;
    const struct vk_tensor *v = backward ? &n->out[0] : &n->in[0];
    const struct vk_tensor *m = backward ? &n->in[0] : &n->out[0];
    if (n->out[0].address == 0) return;
    struct skew_args args = {.v = v->address,
                             .m = m->address,
                             .rows = (uint32_t)m->shape.dim[0],
                             .row_kind = (uint32_t)m->rows,
                             .size = (uint32_t)n->params.skew.size};
    struct vk_dispatch d = {.shader = VK_SHADER_SKEW,
                            .constant_count = 2,
                            .constants = {THREADS, backward},
                            .args = &args,
                            .args_bytes = sizeof args,
                            .access = {vk_reads(&n->in[0]), vk_writes(&n->out[0])}};
    vk_flat(&d, (uint64_t)graft_shape_count(m->shape), THREADS);
    vk_dispatch(r, &d);
}

static void rows(struct vk_recorder *r, bool put, const struct vk_tensor *x,
                 const struct vk_tensor *index, const struct vk_tensor *y)
{
    struct rows_args args = {.x = x->address,
                             .y = y->address,
                             .index = index->address,
                             .rows = (uint32_t)index->shape.dim[0],
                             .row_kind = (uint32_t)index->rows,
                             .channels = (uint32_t)x->shape.dim[1]};
    struct vk_dispatch d = {.shader = VK_SHADER_ROWS,
                            .constant_count = 2,
                            .constants = {THREADS, put},
                            .args = &args,
                            .args_bytes = sizeof args,
                            .access = {vk_reads(x), vk_reads(index), vk_writes(y)}};
    if (y->address == 0) return;
    vk_flat(&d, (uint64_t)args.rows * args.channels, THREADS);
    vk_dispatch(r, &d);
}

static void record_gather(struct vk_recorder *r, const struct vk_node *n)
{
    rows(r, false, &n->in[0], &n->in[1], &n->out[0]);
}

static void record_scatter(struct vk_recorder *r, const struct vk_node *n)
{
    vk_zero(r, &n->out[0]);
    rows(r, true, &n->in[0], &n->in[1], &n->out[0]);
}

static void record_write(struct vk_recorder *r, const struct vk_node *n)
{
    rows(r, true, &n->in[1], &n->in[2], &n->in[0]);
}

const struct vk_op vk_rows_ops[] = {
    {GRAFT_OP_PLACE, record_place},
    {GRAFT_OP_SKEW, record_skew},
    {GRAFT_OP_SKEW_BACKWARD, record_skew},
    {GRAFT_OP_GATHER_ROWS, record_gather},
    {GRAFT_OP_SCATTER_ROWS, record_scatter},
    {GRAFT_OP_WRITE_ROWS, record_write},
    {0, NULL},
};

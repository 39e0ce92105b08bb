/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops of one or two numbers at a time with numpy's broadcasting, and copies of parts and in another
 * order: all walk their inputs with steps along the axes of the output. Axes that the inputs walk
 * alike are merged, so that most nodes have one or two.
 */
#include "small.h"

#include <string.h>

enum { THREADS = 256, ZERO = -1, COPY = 0 };

/* As in elementwise.comp. */
struct args {
    uint64_t a, b, y;
    uint32_t rows, row_kind, inner;
    uint32_t dim[GRAFT_MAX_RANK], a_step[GRAFT_MAX_RANK], b_step[GRAFT_MAX_RANK];
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

/* The merged axes, the last ones of args; how many. */
static uint32_t merge(struct args *args, const struct graft_shape *y,
                      const uint32_t a[GRAFT_MAX_RANK], const uint32_t b[GRAFT_MAX_RANK])
{
    int32_t at = GRAFT_MAX_RANK;
    for (int32_t i = y->rank - 1; i >= 0; i--) {
        uint32_t n = (uint32_t)y->dim[i];
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
    return (uint32_t)(GRAFT_MAX_RANK - at);
}

/* Whether all numbers are walked one by one, four of them aligned. */
static bool in_fours(const struct args *args, int32_t op, uint32_t axes)
{
    const uint32_t last = GRAFT_MAX_RANK - 1;
    uint32_t live = args->row_kind == GRAFT_ROWS_FIXED ? args->rows * args->inner : args->inner;
    bool aligned = args->a % 16 == 0 && args->b % 16 == 0 && args->y % 16 == 0;
    bool one = axes == 1 && args->a_step[last] == 1 && args->b_step[last] == 1;
    return aligned && (one || op == ZERO) && live % 4 == 0;
}

/* y = f(a, b); b may be a. */
static void walk(struct vk_recorder *r, int32_t op, struct args *args, const struct vk_tensor *a,
                 const struct vk_tensor *b, const struct vk_tensor *y,
                 const uint32_t a_step[GRAFT_MAX_RANK], const uint32_t b_step[GRAFT_MAX_RANK])
{
    args->y = y->address;
    args->rows = (uint32_t)y->shape.dim[0];
    args->row_kind = (uint32_t)y->rows;
    args->inner = (uint32_t)vk_inner(y);
    uint32_t axes = merge(args, &y->shape, a_step, b_step);
    bool fours = in_fours(args, op, axes);
    struct vk_dispatch d = {.shader = VK_SHADER_ELEMENTWISE,
                            .constant_count = 4,
                            .constants = {THREADS, (uint32_t)op, axes, fours},
                            .args = args,
                            .args_bytes = sizeof *args,
                            .access = {vk_reads(a), vk_reads(b), vk_writes(y)}};
    vk_flat(&d, (uint64_t)graft_shape_count(y->shape) / (fours ? 4 : 1), THREADS);
    vk_dispatch(r, &d);
}

static void binary(struct vk_recorder *r, int32_t op, const struct vk_tensor *a,
                   const struct vk_tensor *b, const struct vk_tensor *y)
{
    struct args args = {.a = a->address, .b = b->address};
    uint32_t a_step[GRAFT_MAX_RANK], b_step[GRAFT_MAX_RANK];
    if (y->address == 0) return;
    steps(&a->shape, y->shape.rank, a_step);
    steps(&b->shape, y->shape.rank, b_step);
    walk(r, op, &args, a, b, y, a_step, b_step);
}

static void record_binary(struct vk_recorder *r, const struct vk_node *n)
{
    binary(r, n->op, &n->in[0], &n->in[1], &n->out[0]);
}

static void record_unary(struct vk_recorder *r, const struct vk_node *n)
{
    const struct vk_tensor *a = &n->in[0], *y = &n->out[0];
    struct args args = {.a = a->address,
                        .b = a->address,
                        .scale = (float)n->params.affine.scale,
                        .shift = (float)n->params.affine.shift};
    uint32_t step[GRAFT_MAX_RANK];
    if (y->address == 0) return;
    steps(&a->shape, y->shape.rank, step);
    walk(r, n->op == GRAFT_OP_BROADCAST ? COPY : n->op, &args, a, a, y, step, step);
}

/* The same numbers: none are moved where the output lies in the input. */
static void record_reshape(struct vk_recorder *r, const struct vk_node *n)
{
    const struct vk_tensor *y = &n->out[0];
    struct args args = {.a = n->in[0].address, .b = n->in[0].address};
    uint32_t step[GRAFT_MAX_RANK];
    if (y->address == 0 || y->address == n->in[0].address) return;
    steps(&y->shape, y->shape.rank, step);
    walk(r, COPY, &args, &n->in[0], &n->in[0], y, step, step);
}

/* The output lies where the first input does. */
static void record_accumulate(struct vk_recorder *r, const struct vk_node *n)
{
    binary(r, GRAFT_OP_ADD, &n->in[0], &n->in[1], &n->in[0]);
}

static void copy(struct vk_recorder *r, const struct vk_tensor *x, uint64_t first,
                 const struct vk_tensor *y, const uint32_t step[GRAFT_MAX_RANK])
{
    struct args args = {.a = x->address + first * sizeof(float), .b = x->address};
    if (y->address != 0) walk(r, COPY, &args, x, x, y, step, step);
}

static void record_slice(struct vk_recorder *r, const struct vk_node *n)
{
    const struct vk_tensor *x = &n->in[0];
    uint32_t step[GRAFT_MAX_RANK], product = 1;
    memset(step, 0, sizeof step);
    for (int32_t i = x->shape.rank - 1; i >= 0; i--) {
        step[i] = product;
        product *= (uint32_t)x->shape.dim[i];
    }
    copy(r, x, (uint64_t)n->params.slice.begin * step[n->params.slice.axis], &n->out[0], step);
}

static void record_permute(struct vk_recorder *r, const struct vk_node *n)
{
    const struct vk_tensor *x = &n->in[0];
    uint32_t step[GRAFT_MAX_RANK];
    memset(step, 0, sizeof step);
    for (int32_t i = 0; i < x->shape.rank; i++) {
        step[i] = 1;
        for (int32_t k = n->params.permute.axis[i] + 1; k < x->shape.rank; k++)
            step[i] *= (uint32_t)x->shape.dim[k];
    }
    copy(r, x, 0, &n->out[0], step);
}

void vk_zero(struct vk_recorder *r, const struct vk_tensor *y)
{
    struct args args = {.a = 0};
    const struct vk_tensor none = {.address = 0};
    const uint32_t step[GRAFT_MAX_RANK] = {0};
    if (y->address != 0) walk(r, ZERO, &args, &none, &none, y, step, step);
}

const struct vk_op vk_elementwise_ops[] = {
    {GRAFT_OP_ADD, record_binary},
    {GRAFT_OP_SUB, record_binary},
    {GRAFT_OP_MUL, record_binary},
    {GRAFT_OP_DIV, record_binary},
    {GRAFT_OP_MINIMUM, record_binary},
    {GRAFT_OP_MAXIMUM, record_binary},
    {GRAFT_OP_AFFINE, record_unary},
    {GRAFT_OP_SQRT, record_unary},
    {GRAFT_OP_EXP, record_unary},
    {GRAFT_OP_EXPM1, record_unary},
    {GRAFT_OP_TANH, record_unary},
    {GRAFT_OP_SIGMOID, record_unary},
    {GRAFT_OP_SILU, record_unary},
    {GRAFT_OP_FINITE, record_unary},
    {GRAFT_OP_ABS, record_unary},
    {GRAFT_OP_SIGN, record_unary},
    {GRAFT_OP_RELU, record_unary},
    {GRAFT_OP_GELU, record_unary},
    {GRAFT_OP_GELU_TANH, record_unary},
    {GRAFT_OP_BROADCAST, record_unary},
    {GRAFT_OP_RESHAPE, record_reshape},
    {GRAFT_OP_ACCUMULATE, record_accumulate},
    {GRAFT_OP_SLICE, record_slice},
    {GRAFT_OP_PERMUTE, record_permute},
    {0, NULL},
};

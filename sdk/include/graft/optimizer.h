/* SPDX-License-Identifier: Apache-2.0
 *
 * What an optimizer implements: the update of one tensor as graph nodes, so that it runs on every
 * backend and the host can checkpoint its state. The host owns clipping, schedules, accumulation,
 * groups and the guard: when a gradient is not finite, no assignment of the step happens.
 */
#ifndef GRAFT_OPTIMIZER_H
#define GRAFT_OPTIMIZER_H

#include <graft/builder.h>
#include <graft/plugin.h>

#include <math.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A handle never changes its meaning: param is the value before the step. */
struct graft_update {
    uint32_t struct_size;
    uint32_t reserved;
    struct graft_shape shape; /* elementwise optimizers: [n], all tensors of a group end to end */
    graft_value param;        /* f32 */
    graft_value grad; /* f32: summed over the step's tokens, divided by their number, clipped */
    graft_value lr;   /* schedule applied; [1], or [n] where an elementwise one's tensors differ */
    graft_value weight_decay; /* the same */
    graft_value step;         /* [1], f32, 1 at the first update */
};

struct graft_optimizer {
    uint32_t struct_size;
    int32_t elementwise; /* 1: one call per group on a flat vector */
    void (*update)(struct graft_builder *b, const void *options, const struct graft_update *u);
};

/* State that the host keeps and saves for this tensor; the value before the step. */
static inline graft_value graft_state(struct graft_builder *b, const struct graft_update *u,
                                      const char *name, struct graft_shape shape,
                                      enum graft_dtype dtype, enum graft_init init)
{
    return b->api->state(b, u, name, shape, (int32_t)dtype, (int32_t)init);
}

/* From the next step on `stored` (the parameter or a state) is `value`. Returns `value`. */
static inline graft_value graft_assign(struct graft_builder *b, graft_value stored,
                                       graft_value value)
{
    return b->api->assign(b, stored, value);
}

/* 1 - beta^step [1], to full f32 accuracy: Adam's bias correction (Kingma and Ba 2015). */
static inline graft_value graft_bias_correction(struct graft_builder *b, graft_value step,
                                                double log_beta)
{
    graft_value e = graft_unary(b, GRAFT_OP_EXPM1, graft_scale(b, step, log_beta));
    return graft_scale(b, e, -1.0);
}

struct graft_adam {
    double beta1, beta2, eps;
};

/* lr / bc1 * m / (sqrt(v) / sqrt(bc2) + eps): Adam's step by the moments that this step has made,
 * the operations ordered as in torch. */
static inline graft_value graft_adam_step(struct graft_builder *b, const struct graft_update *u,
                                          const struct graft_adam *o, graft_value m, graft_value v)
{
    graft_value bc1 = graft_bias_correction(b, u->step, log(o->beta1));
    graft_value bc2 = graft_bias_correction(b, u->step, log(o->beta2));
    graft_value root =
        graft_div(b, graft_unary(b, GRAFT_OP_SQRT, v), graft_unary(b, GRAFT_OP_SQRT, bc2));
    graft_value direction = graft_div(b, m, graft_affine(b, root, 1.0, o->eps));
    return graft_mul(b, graft_div(b, u->lr, bc1), direction);
}

/* The same of the gradient g, the moments kept in f32 as "exp_avg" and "exp_avg_sq". */
static inline graft_value graft_adam(struct graft_builder *b, const struct graft_update *u,
                                     const struct graft_adam *o, graft_value g)
{
    graft_value m = graft_state(b, u, "exp_avg", u->shape, GRAFT_DTYPE_F32, GRAFT_INIT_ZEROS);
    graft_value v = graft_state(b, u, "exp_avg_sq", u->shape, GRAFT_DTYPE_F32, GRAFT_INIT_ZEROS);
    m = graft_assign(b, m, graft_lerp(b, m, g, 1.0 - o->beta1));
    v = graft_assign(b, v, graft_lerp(b, v, graft_mul(b, g, g), 1.0 - o->beta2));
    return graft_adam_step(b, u, o, m, v);
}

#ifdef __cplusplus
}
#endif

#endif

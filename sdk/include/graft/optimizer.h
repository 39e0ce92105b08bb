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

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The optimizer's step as one program: norm, clip, the plugin's update, clear. Every assignment is
 * guarded by "the norm is finite", so a bad step changes nothing but the cleared gradients.
 */
#ifndef CORE_TRAIN_UPDATE_H
#define CORE_TRAIN_UPDATE_H

#include "recipe/settings.h"
#include "session/session.h"

struct update_program {
    struct plan *plan;
    struct program *program;
    graft_value norm; /* [1]: 2-norm of all gradients before clipping */
    struct stored *lr, *weight_decay, *step, *unscale;
    double loss_scale; /* by which the gradients in the store are too large; a power of 2, 1 at
                          first */
    /* [n], as the parameters lie, where some differ from the recipe's; else NULL */
    struct stored *lr_scales, *decays;
    float *scales, *decay_values; /* their numbers */
};

/* Registers the optimizer's states in the store (STORE_STATE), zero at first. A session without
 * adapters will do: what is updated is STORE_ADAPTER. */
GRAFT_MUST_USE enum graft_status update_plan(struct session *session,
                                             const struct settings *settings,
                                             struct update_program *out, struct error *e);
GRAFT_MUST_USE enum graft_status update_compile(struct session *session, struct update_program *u,
                                                struct error *e);
void update_destroy(struct update_program *u);

/* step counts from 1. *norm may be not finite: then nothing was updated. */
GRAFT_MUST_USE enum graft_status update_run(struct session *session, struct update_program *u,
                                            double lr, double weight_decay, int64_t step,
                                            float *norm, struct error *e);

#endif

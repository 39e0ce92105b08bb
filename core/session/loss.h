/* SPDX-License-Identifier: Apache-2.0
 *
 * The loss of a packed micro-batch as a program, with or without its backward pass.
 */
#ifndef CORE_SESSION_LOSS_H
#define CORE_SESSION_LOSS_H

#include "data/pack.h"
#include "session/session.h"

/* Where a micro-batch is uploaded: entries that lie side by side, so that one write does. Shared by
 * all loss programs of a session. */
struct batch_slot {
    size_t capacity;
    struct stored *ids, *positions, *first, *last, *row, *index, *target; /* i32 [capacity] */
    struct stored *scale; /* f32 [1]: 1 / trained tokens of the step */
    struct stored *once;  /* f32 [1]: factor on terms that enter a step once */
    struct stored *step;  /* i32 [1] */
    unsigned char *stage; /* host copy of all of them */
    uint64_t stage_bytes;
};

GRAFT_MUST_USE enum graft_status batch_slot_create(struct session *session, size_t capacity,
                                                   struct batch_slot *slot, struct error *e);
void batch_slot_destroy(struct batch_slot *slot);

struct loss_program {
    const struct batch_slot *slot;
    struct plan *plan;
    struct program *program;
    graft_value loss; /* [1] f32: scale times the sum of nll */
    graft_value nll;  /* [capacity] f32, one per trained token */
    double once; /* the next run's factor on what adapters add to the loss once per step: the loss
                    scale in the first micro-batch, else 0, as it is at first */
};

/* training: with dropout, and adding the gradients of the loss to those in the store. recompute:
 * gradient checkpointing. */
GRAFT_MUST_USE enum graft_status loss_program_plan(struct session *session,
                                                   const struct batch_slot *slot, bool training,
                                                   bool recompute, struct loss_program *out,
                                                   struct error *e);
GRAFT_MUST_USE enum graft_status loss_program_compile(struct session *session,
                                                      struct loss_program *p, struct error *e);
void loss_program_destroy(struct loss_program *p);

/* Uploads, runs, reads the loss. `step` counts from 1 (it keys the random draws). */
GRAFT_MUST_USE enum graft_status loss_program_run(struct session *session, struct loss_program *p,
                                                  const struct micro_batch *batch, double scale,
                                                  uint32_t step, float *loss, struct error *e);
/* Such a run gone over node by node: appends the first with a number that is not finite, if any
 * (graph/blame.h). Gradients are added as in a run. */
GRAFT_MUST_USE enum graft_status loss_program_blame(struct session *session, struct loss_program *p,
                                                    const struct micro_batch *batch, double scale,
                                                    uint32_t step, struct str *out,
                                                    struct error *e);
/* After a run: the nll of each trained token of its batch, [batch->trained_count]. */
GRAFT_MUST_USE enum graft_status loss_program_read_nll(struct loss_program *p,
                                                       const struct micro_batch *batch, float *nll,
                                                       struct error *e);

#endif

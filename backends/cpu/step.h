/* SPDX-License-Identifier: Apache-2.0
 *
 * A program's steps: one call each with its kernel. program.c fills them and runs them one by one,
 * sweep.c those of a sweep together; sum.c makes one call of those of a sum.
 */
#ifndef BACKENDS_CPU_STEP_H
#define BACKENDS_CPU_STEP_H

#include "cpu_backend.h"

struct step {
    const struct cpu_kernel *kernel;
    struct kernel_call call; /* shapes at capacity */
    int32_t in_rows[GRAFT_MAX_INPUTS], out_rows[GRAFT_MAX_OUTPUTS];
    uint16_t sweep, by_row; /* graft_node's */
    int64_t tile;           /* of the sweep that begins here: rows at a time; 0: one call for all */
    /* Of an inner tensor, whose data is not NULL and nothing else: 1 + where a tile's rows lie in a
     * thread's scratch (until sweep_plan: the tensor's number). 0: of another. */
    size_t in_inner[GRAFT_MAX_INPUTS], out_inner[GRAFT_MAX_OUTPUTS];
};

/* Puts the live rows of a run into a step's call. */
void step_live(const struct step *s, const int64_t *live, struct kernel_call *call);

/* Decides how the sweep that begins at `steps`, of `left`, runs. *scratch: bytes that a thread
 * needs. False with a text where the description is not one of a sweep. */
bool sweep_plan(struct step *steps, uint32_t left, size_t *scratch, char text[256]);
/* The same where it begins with a product: this step's call takes in the others. */
bool sum_plan(struct step *steps, uint32_t left, char text[256]);
void sweep_run(const struct graft_host *host, const struct step *steps, const int64_t *live,
               const struct cpu_job *job);

#endif

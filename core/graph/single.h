/* SPDX-License-Identifier: Apache-2.0
 *
 * One node of a program, or one sweep, as a program of its own over the same buffers: for looking
 * closely at a run. This room's files only.
 */
#ifndef CORE_GRAPH_SINGLE_H
#define CORE_GRAPH_SINGLE_H

#include "graph/plan_internal.h"
#include "graph/sweep.h"

enum { SINGLE_TENSORS = SWEEP_MOST * (GRAFT_MAX_INPUTS + GRAFT_MAX_OUTPUTS) };

struct single {
    struct graft_node nodes[SWEEP_MOST]; /* with numbers of the tables below */
    uint32_t node_count;
    struct graft_tensor tensors[SINGLE_TENSORS];
    struct graft_buffer *buffers[SINGLE_TENSORS]; /* one for each tensor; NULL: an inner one's */
    uint32_t count;
    struct graft_program *compiled;
};

/* How many of the plan's nodes run at once when this one's turn comes; sweeps: the backend's. */
uint32_t single_length(const struct graft_node *node, bool sweeps);
/* node: the plan's, with the others of its sweep behind it. */
GRAFT_MUST_USE enum graft_status single_compile(struct single *s, const struct program *program,
                                                const struct graft_node *node, struct error *e);
/* Returns when the work is done. */
GRAFT_MUST_USE enum graft_status single_run(const struct single *s, const struct program *program,
                                            const struct graft_run *run, struct error *e);
void single_destroy(struct single *s, const struct program *program); /* also after a failure */

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * One node of a program as a program of its own over the same buffers: for looking closely at a
 * run. This room's files only.
 */
#ifndef CORE_GRAPH_SINGLE_H
#define CORE_GRAPH_SINGLE_H

#include "graph/plan_internal.h"

enum { SINGLE_TENSORS = GRAFT_MAX_INPUTS + GRAFT_MAX_OUTPUTS };

struct single {
    struct graft_node node; /* with numbers of the tables below */
    struct graft_tensor tensors[SINGLE_TENSORS];
    struct graft_buffer *buffers[SINGLE_TENSORS]; /* one for each tensor */
    uint32_t count;
    struct graft_program *compiled;
};

GRAFT_MUST_USE enum graft_status single_compile(struct single *s, const struct program *program,
                                                const struct graft_node *node, struct error *e);
/* Returns when the work is done. */
GRAFT_MUST_USE enum graft_status single_run(const struct single *s, const struct program *program,
                                            const struct graft_run *run, struct error *e);
void single_destroy(struct single *s, const struct program *program); /* also after a failure */

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * A program that is made, run once and read, with a transient region of its own: for initial
 * values, files and merging, outside the step loop.
 */
#ifndef CORE_GRAPH_ONCE_H
#define CORE_GRAPH_ONCE_H

#include "graph/plan.h"

/* Zero-initialized; once_end also after a failure. */
struct once {
    const struct backend *backend;
    struct plan *plan;
    struct graft_buffer *transient;
    struct program *program;
};

/* Plans, compiles and runs the graph with no live rows; kept values can be read until once_end. */
GRAFT_MUST_USE enum graft_status once_run(struct once *once, struct graph *graph,
                                          const struct backend *backend, struct error *e);
GRAFT_MUST_USE enum graft_status once_read(struct once *once, graft_value v, void *to,
                                           uint64_t bytes, struct error *e);
void once_end(struct once *once);

#endif

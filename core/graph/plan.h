/* SPDX-License-Identifier: Apache-2.0
 *
 * The planner orders a finished graph and gives every value its place: sources in the store,
 * everything else in one transient region that all programs share. Nothing is allocated later.
 */
#ifndef CORE_GRAPH_PLAN_H
#define CORE_GRAPH_PLAN_H

#include "graph/graph.h"

struct plan;

/* Reads the graph, which may be destroyed afterwards. Assignments are ordered after every reader of
 * the value before. */
GRAFT_MUST_USE enum graft_status plan_create(struct graph *graph, struct plan **plan,
                                             struct error *e);
void plan_destroy(struct plan *plan);

struct plan_memory {
    uint64_t transient;   /* what the program needs of the shared region */
    uint64_t activations; /* of it: values of the forward pass that the backward pass reads */
    uint64_t alone;       /* the same for a backend that runs each node alone, without sweeps */
    uint64_t unshared;    /* if no two values shared memory: what planning saved */
    size_t nodes;
};
struct plan_memory plan_memory(const struct plan *plan);
/* What the program needs of the shared region on this backend. */
uint64_t plan_transient(const struct plan *plan, const struct backend *backend);

/* A plan on a device. `transient` is the shared region, at least plan_transient() bytes. */
struct program;

GRAFT_MUST_USE enum graft_status program_create(const struct plan *plan,
                                                const struct backend *backend,
                                                struct graft_buffer *transient,
                                                struct program **program, struct error *e);
void program_destroy(struct program *program);
uint64_t program_scratch(const struct program *program); /* bytes the backend holds for it */

/* Runs with the live counts of this run (index: enum graft_rows). */
GRAFT_MUST_USE enum graft_status program_run(struct program *program,
                                             const int64_t live[GRAFT_ROWS_KINDS], struct error *e);
/* Reads the first `bytes` of a kept value; only until another program runs. */
GRAFT_MUST_USE enum graft_status program_read(struct program *program, graft_value v, void *to,
                                              uint64_t bytes, struct error *e);

/* Where a kept value lies; for readers of a backend's own numbers. */
struct graft_buffer *program_buffer(const struct program *program, graft_value v, uint64_t *offset);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * A program taken apart: what each node is, what it costs, how long it takes. For reports; training
 * never comes here.
 */
#ifndef CORE_GRAPH_PROFILE_H
#define CORE_GRAPH_PROFILE_H

#include "base/text.h"
#include "graph/plan.h"

/* Runs the plan's nodes one after another, each (and each sweep) as a program of its own over the
 * program's buffers: the result is program_run's. seconds [plan_memory().nodes]: the lesser of what
 * is there and what the node took now; of a sweep's nodes only the first has a time. */
GRAFT_MUST_USE enum graft_status program_profile(struct program *program, const struct plan *plan,
                                                 const int64_t live[GRAFT_ROWS_KINDS],
                                                 double *seconds, struct error *e);

/* A node of a run, or the sweep that begins there. */
struct profiled {
    const struct plan *plan;
    size_t node;
    int64_t live[GRAFT_ROWS_KINDS];
    int64_t keys;    /* how many keys the queries see, summed over them; read by attention alone */
    int32_t compute; /* the backend's, and so is: */
    bool sweeps;
};

struct node_cost {
    double flops;    /* useful ones: what a backend computes twice counts once */
    double bytes;    /* each input and output once; of a sweep what it takes and leaves */
    int32_t compute; /* what its products are multiplied in: F32, F16 or BF16 */
};

/* How many nodes it is. */
uint32_t profiled_length(const struct profiled *n);
struct node_cost profiled_cost(const struct profiled *n);

/* "matmul Q4_1 [600, 576] x [1536, 576]^T", "sweep: 2 add, rms_norm";
 * of a sum "matmul Q4_1 [600, 576] x [1536, 576]^T + [.., 8] + value" */
void profiled_title(const struct profiled *n, struct str *out);

#endif

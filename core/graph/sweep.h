/* SPDX-License-Identifier: Apache-2.0
 *
 * Sweeps: ops on the same rows that a backend may run together, a few rows at a time, so that what
 * one makes is still in the cache when the next one reads it (backend.h, graft_node). The
 * elementwise ops, norms and rotations between two products become one pass over memory; an
 * optimizer's update becomes one.
 */
#ifndef CORE_GRAPH_SWEEP_H
#define CORE_GRAPH_SWEEP_H

#include "graph/graph.h"

enum { SWEEP_MOST = 32 }; /* nodes */

/* Of a node in the order to run. */
struct sweep_mark {
    uint16_t length; /* of the sweep that begins here, at least 2; 0: none begins here */
    uint16_t by_row; /* of a sweep's node: bit i: input i is read at the output's own row */
};

/* Puts nodes that make a sweep beside each other; every node still follows what it reads. A sweep's
 * nodes make the same rows, each but the first reads one of the others by rows, and none reads
 * another one otherwise. Assignments come last in `order`; one in a sweep runs after every reader
 * of the value before.
 *
 * home[v]: the number of the value whose memory value number v views, or v. `marks`: count zeros,
 * filled. False for want of memory: nothing is changed. */
bool sweeps_form(const struct graph *graph, const uint32_t *home, const struct graph_node **order,
                 uint32_t count, struct sweep_mark *marks);

#endif

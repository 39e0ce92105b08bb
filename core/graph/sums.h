/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums of products: a product and what is added to it right away, as one sweep that a backend runs
 * block by block of the result (backend.h, graft_node). So an adapter's branch costs a few columns
 * of its layer's product, not two passes over memory, and a residual is added while the block is
 * in the cache.
 */
#ifndef CORE_GRAPH_SUMS_H
#define CORE_GRAPH_SUMS_H

#include "graph/graph.h"

enum { SUM_NODES = 5 }; /* a product, another one, a value, and two sums */

struct sum {
    struct graph_node whole; /* stands for all of them in the order: a product of all they read */
    const struct graph_node *nodes[SUM_NODES];
    uint32_t count;
};

struct sums {
    struct sum *list;
    size_t count;
};

/* Takes the nodes of each sum out of `order`, but for the last, which its `whole` replaces; *count
 * shrinks. home: as sweeps_form takes it. False for want of memory: nothing is changed. */
bool sums_form(const struct graph *graph, const uint32_t *home, const struct graph_node **order,
               uint32_t *count, struct sums *sums);
/* The sum that the node stands for; NULL: it is a node. */
const struct sum *sums_find(const struct sums *sums, const struct graph_node *node);
void sums_free(struct sums *sums);

#endif

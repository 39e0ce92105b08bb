/* SPDX-License-Identifier: Apache-2.0
 *
 * The graph's inside, for this room's files only.
 */
#ifndef CORE_GRAPH_INTERNAL_H
#define CORE_GRAPH_INTERNAL_H

#include "base/memory.h"
#include "graph/op.h"

struct graph {
    struct graft_builder builder; /* first: a builder handed out is the graph */
    struct graph_node *nodes;
    struct graph_value *values;
    size_t node_count, node_capacity, value_count, value_capacity;
    struct arena tables; /* numbers of constant vectors */
    struct graph_hooks hooks;
    struct error error; /* the first one */
    const char *place;  /* in `tables`; NULL: none */
    int32_t block;
    bool backward; /* new nodes belong to the backward pass */
    bool keep_detached;
};

/* A node; the value of its first output, or 0 after an error. */
graft_value graph_add_node(struct graph *g, int32_t op, const graft_value *inputs, uint32_t count,
                           const union graft_params *params);
graft_value graph_output(struct graph *g, graft_value v, uint32_t index);
static inline bool graph_failed(const struct graph *g)
{
    return g->error.status != GRAFT_OK;
}

/* grad.c's table: the gradient rule of one op. din[i] is wanted where want[i]. */
struct grad {
    struct graph *graph;
    struct graph_node node; /* a copy: rules add nodes */
    const graft_value *dout;
    const bool *want;
    graft_value *din;
};
typedef void grad_rule(struct grad *c);
grad_rule *grad_rule_of(int32_t op);

#endif

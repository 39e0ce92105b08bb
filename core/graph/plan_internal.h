/* SPDX-License-Identifier: Apache-2.0
 *
 * What the planner hands to program.c and profile.c.
 */
#ifndef CORE_GRAPH_PLAN_INTERNAL_H
#define CORE_GRAPH_PLAN_INTERNAL_H

#include "base/memory.h"
#include "graph/plan.h"

enum place_kind { PLACE_TRANSIENT, PLACE_STORED, PLACE_CONSTANT };

struct placed_value {
    int32_t dtype, rows;
    struct graft_shape shape;
    enum place_kind place;
    uint64_t offset; /* TRANSIENT and CONSTANT; STORED: from the entry */
    uint64_t alone;  /* the same on a backend that runs each node alone */
    const struct stored *stored;
    bool used;
    /* graft_tensor's: not 0: inside one sweep. A backend that runs sweeps keeps it where it likes.
     */
    uint32_t inner;
};

/* Where a node comes from. */
struct node_origin {
    const char *place; /* a site's name; NULL: none */
    int32_t block;     /* -1: none */
    bool backward;
};

struct plan {
    struct placed_value *values; /* by value number */
    size_t value_count;
    struct graft_node *nodes; /* tensor numbers are value numbers */
    size_t node_count;
    struct node_origin *origins; /* of the nodes; places lie in the arena */
    struct arena arena;
    float *constants; /* each begins at a multiple of 64 bytes */
    uint64_t constant_bytes;
    struct plan_memory memory;
};

enum { PLAN_ALIGNMENT = 64 };

struct program {
    struct backend backend;
    struct graft_program *compiled;
    struct graft_buffer *transient, *constants;
    struct placed_value *values; /* for program_read */
    size_t value_count;
    uint64_t scratch;
};

/* Products with frozen weights, attention and the head are computed in the backend's type; what is
 * trained is multiplied in f32. */
void node_set_compute(struct graft_node *node, const struct placed_value *values, int32_t compute);

/* The same, and its sweep if the program's backend runs any: the node as the backend gets it. */
void node_for(struct graft_node *node, const struct program *program);
/* A value as the backend gets it, but for the number of its buffer. *buffer: NULL: it is inner, or
 * has no memory yet. */
struct graft_tensor program_tensor(const struct program *program, uint32_t value,
                                   struct graft_buffer **buffer);

/* The backend's own error, with the status that it returned. */
GRAFT_MUST_USE enum graft_status program_failed(const struct backend *backend, int32_t status,
                                                struct error *e);

#endif

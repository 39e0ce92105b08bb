/* SPDX-License-Identifier: Apache-2.0
 *
 * A graph: nodes in the order they will run, over values of static shape. It is built by the model
 * and the adapters through the sdk's builder, extended by autodiff, changed by passes, then planned
 * (plan.h). One thread.
 */
#ifndef CORE_GRAPH_GRAPH_H
#define CORE_GRAPH_GRAPH_H

#include "graph/store.h"

#include <graft/builder.h>

struct graph;

/* What the adapter and optimizer entries of the builder table do; set by whoever calls a plugin.
 * A NULL entry refuses ("not here"). */
struct graph_hooks {
    void *context;
    graft_value (*param)(void *context, struct graft_builder *b, const struct graft_param_desc *d);
    graft_value (*base)(void *context, struct graft_builder *b, const struct graft_site *site,
                        const graft_value *inputs, uint32_t count);
    graft_value (*weight)(void *context, struct graft_builder *b, const struct graft_site *site,
                          int32_t bias);
    void (*save)(void *context, struct graft_builder *b, const char *key, graft_value v);
    void (*share)(void *context, struct graft_builder *b, const char *name, graft_value v);
    graft_value (*shared)(void *context, struct graft_builder *b, const char *name);
    int32_t (*from_file)(void *context);
    graft_value (*tokens)(void *context, struct graft_builder *b, const char *text, int64_t count);
    graft_value (*text_state)(void *context, struct graft_builder *b, const char *text,
                              int64_t count);
    graft_value (*factor)(void *context, struct graft_builder *b, const struct graft_site *site,
                          int32_t kind, int64_t rank, int32_t right);
    void (*save_scaled)(void *context, struct graft_builder *b, const char *option, double times);
    void (*penalty)(void *context, struct graft_builder *b, graft_value v);
    graft_value (*updated)(void *context, struct graft_builder *b, const struct graft_site *site,
                           const char *name, graft_value *gradient);
    graft_value (*dropout)(void *context, struct graft_builder *b, graft_value x, double rate);
    graft_value (*state)(void *context, struct graft_builder *b, const void *update,
                         const char *name, struct graft_shape shape, int32_t dtype, int32_t init);
    graft_value (*assign)(void *context, struct graft_builder *b, graft_value stored,
                          graft_value value);
};

GRAFT_MUST_USE enum graft_status graph_create(struct graph **graph, struct error *e);
void graph_destroy(struct graph *graph);

/* The builder of this graph: for the sdk's wrappers and for plugins. */
struct graft_builder *graph_builder(struct graph *graph);
void graph_set_hooks(struct graph *graph, const struct graph_hooks *hooks); /* NULL: none */

/* What later errors are prefixed with and later nodes remember ("model.layers.3.self_attn.q_proj");
 * "" for none. Copied. */
void graph_set_place(struct graph *graph, const char *place);
/* Later nodes belong to this block of the model, for recomputing; -1: to none. */
void graph_set_block(struct graph *graph, int32_t block);

/* The value of a stored entry before the program runs. The same entry gives the same value. */
graft_value graph_stored(struct graph *graph, const struct stored *stored);

/* BROADCAST whose first dimension is live. */
graft_value graph_broadcast(struct graph *graph, graft_value x, struct graft_shape shape,
                            int32_t rows);
int32_t graph_rows(const struct graph *graph, graft_value v);

/* The value can be read after a run (plan.h); it keeps its memory to the end. */
void graph_keep(struct graph *graph, graft_value v);

/* Plans DETACH as a node of its own instead of a view; only the reference runs such nodes. */
void graph_keep_detached(struct graph *graph);
bool graph_keeps_detached(const struct graph *graph);

/* OK, or the first error of the builder. */
GRAFT_MUST_USE enum graft_status graph_status(const struct graph *graph, struct error *e);
/* Sets that error; the first one stays. Plugins say GRAFT_E_INVALID by graft_fail. */
void graph_fail(struct graph *graph, enum graft_status status, const char *format, ...)
    GRAFT_PRINTF(3, 4);

/* Appends the backward pass of a scalar loss [1]: every trained stored entry that it reaches gets
 * nodes that add into its gradient. */
void graph_backward(struct graph *graph, graft_value loss);

/* Drops nodes whose outputs nobody reads. */
void graph_prune(struct graph *graph);
/* Gradient checkpointing (Chen et al. 2016): the backward pass recomputes what lies inside a block
 * from what enters it. Bit-equal, since clones keep their parameters and random keys. */
void graph_recompute(struct graph *graph);

/* For passes and the planner. Node and value numbers: 0..count-1; a graft_value's id is its value
 * number + 1. Pointers are valid until the next call that adds. */
struct graph_value {
    int32_t dtype, rows;
    struct graft_shape shape;
    const struct stored *stored; /* a source, or where an assignment's output lies; else NULL */
    double constant;             /* when is_constant, */
    const float *table;          /* or these numbers, one for each of the shape */
    uint32_t node, output;       /* the maker; node UINT32_MAX: a source */
    bool is_constant, differentiable, kept;
};

struct graph_node {
    int32_t op;
    int32_t block;
    const char *place; /* the site it was built at; NULL: none */
    bool backward;
    uint32_t input_count, output_count;
    graft_value input[GRAFT_MAX_INPUTS]; /* 0: absent, as outputs may be */
    graft_value output[GRAFT_MAX_OUTPUTS];
    union graft_params params;
};

size_t graph_node_count(const struct graph *graph);
const struct graph_node *graph_node(const struct graph *graph, size_t number);
size_t graph_value_count(const struct graph *graph);
const struct graph_value *graph_value(const struct graph *graph, graft_value v);

#endif

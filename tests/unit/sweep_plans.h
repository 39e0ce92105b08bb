/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of sweeps and of sums share: small graphs by hand, how their plans are cut, random
 * numbers from a fixed seed.
 */
#ifndef TESTS_UNIT_SWEEP_PLANS_H
#define TESTS_UNIT_SWEEP_PLANS_H

/* Before cmocka, whose macro `fail` would hit a member of the builder's table. */
#include "graph/device.h"
#include "graph/op.h"
#include "graph/plan_internal.h"
#include "graph/sweep.h"

#include "unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 2 };

static uint64_t seed;

static inline uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % below);
}

/* Nodes that stand in sweeps. */
static inline size_t swept(const struct plan *plan)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->node_count; i++) count += plan->nodes[i].sweep;
    return count;
}

/* How the plan of what one graph builds is cut: the ops of a sweep in brackets. */
static inline void expect(struct graph *graph, const char *expected)
{
    struct plan *plan = NULL;
    struct error e = {0};
    char text[512] = "";
    assert_ok(plan_create(graph, &plan, &e), &e);
    for (size_t i = 0, left = 0; i < plan->node_count; i++) {
        const struct graft_node *n = &plan->nodes[i];
        if (n->sweep != 0) left = n->sweep;
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s%s%s", i > 0 ? " " : "",
                 n->sweep != 0 ? "[" : "", op_info(n->op)->name, left == 1 ? "]" : "");
        if (left > 0) left--;
    }
    assert_string_equal(text, expected);
    plan_destroy(plan);
    graph_destroy(graph);
}

struct bench {
    struct store *store;
    struct graph *graph;
    struct graft_builder *b;
    graft_value x, w, gain, state;
    int entries;
};

static inline struct bench begin(void)
{
    struct bench t = {0};
    struct error e = {0};
    assert_ok(store_create(&t.store, &e), &e);
    assert_ok(graph_create(&t.graph, &e), &e);
    t.b = graph_builder(t.graph);
    struct graft_shape rows = graft_shape2(6, 4);
    t.x = graph_stored(t.graph, store_add(t.store, STORE_INPUT, "x", GRAFT_DTYPE_F32, rows, 1));
    t.state = graph_stored(t.graph, store_add(t.store, STORE_STATE, "s", GRAFT_DTYPE_F32, rows, 1));
    t.w = graph_stored(t.graph, store_add(t.store, STORE_INPUT, "w", GRAFT_DTYPE_F32,
                                          graft_shape2(4, 4), GRAFT_ROWS_FIXED));
    t.gain = graph_stored(t.graph, store_add(t.store, STORE_INPUT, "gain", GRAFT_DTYPE_F32,
                                             graft_shape1(4), GRAFT_ROWS_FIXED));
    return t;
}

#endif

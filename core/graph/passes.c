/* SPDX-License-Identifier: Apache-2.0
 *
 * Passes over a whole graph: dropping what nobody reads, and recomputing instead of keeping.
 */
#include "graph/internal.h"

#include "base/memory.h"

#include <string.h>

static void mark(bool *used, graft_value v)
{
    if (v.id != 0) used[v.id - 1] = true;
}

static bool node_used(const struct graph *g, const struct graph_node *n, const bool *used)
{
    if (op_info(n->op)->writes) return true;
    for (uint32_t i = 0; i < n->output_count; i++) {
        if (n->output[i].id == 0) continue;
        if (used[n->output[i].id - 1] || g->values[n->output[i].id - 1].kept) return true;
    }
    return false;
}

/* Points the values' maker at the nodes' new numbers. */
static void renumber(struct graph *g)
{
    for (size_t i = 0; i < g->node_count; i++)
        for (uint32_t o = 0; o < g->nodes[i].output_count; o++)
            if (g->nodes[i].output[o].id != 0)
                g->values[g->nodes[i].output[o].id - 1].node = (uint32_t)i;
}

void graph_prune(struct graph *g)
{
    if (graph_failed(g)) return;
    bool *used = mem_zalloc(g->value_count, sizeof *used);
    if (used == NULL) {
        graph_fail(g, GRAFT_E_MEMORY, "not enough memory to prune the graph");
        return;
    }
    size_t kept = g->node_count;
    for (size_t i = g->node_count; i-- > 0;) {
        struct graph_node *n = &g->nodes[i];
        if (!node_used(g, n, used)) continue;
        for (uint32_t k = 0; k < n->input_count; k++) mark(used, n->input[k]);
        g->nodes[--kept] = *n;
    }
    g->node_count -= kept;
    if (g->node_count != 0) memmove(g->nodes, g->nodes + kept, g->node_count * sizeof *g->nodes);
    renumber(g);
    mem_free(used);
}

/* Recomputing */

struct recompute {
    struct graph *graph;
    struct graph_node *old; /* the nodes before the pass */
    size_t old_count;
    bool *crosses;      /* per value: enters another block or none, so it is kept anyway */
    graft_value *clone; /* per value: its recomputed twin */
    size_t values;      /* of the graph before the pass */
};

static void push(struct graph *g, const struct graph_node *n)
{
    if (graph_failed(g)) return;
    if (!array_reserve(&g->nodes, &g->node_capacity, g->node_count + 1, sizeof *g->nodes)) {
        graph_fail(g, GRAFT_E_MEMORY, "not enough memory to recompute");
        return;
    }
    g->nodes[g->node_count++] = *n;
}

static bool inside_a_block(const struct recompute *r, graft_value v)
{
    if (v.id == 0 || v.id > r->values || r->crosses[v.id - 1]) return false;
    const struct graph_value *value = &r->graph->values[v.id - 1];
    if (value->node == UINT32_MAX || value->stored != NULL || value->kept) return false;
    const struct graph_node *maker = &r->old[value->node];
    return !maker->backward && maker->block >= 0;
}

/* Gives all outputs of v's maker twins made by a clone, and its inputs' twins before it. */
static graft_value recomputed(struct recompute *r, graft_value v)
{
    struct graph *g = r->graph;
    if (!inside_a_block(r, v) || graph_failed(g)) return v;
    if (r->clone[v.id - 1].id != 0) return r->clone[v.id - 1];
    struct graph_node n = r->old[g->values[v.id - 1].node];
    n.backward = true;
    for (uint32_t i = 0; i < n.input_count; i++) n.input[i] = recomputed(r, n.input[i]);
    for (uint32_t i = 0; i < n.output_count; i++) {
        if (n.output[i].id == 0) continue;
        if (!array_reserve(&g->values, &g->value_capacity, g->value_count + 1, sizeof *g->values)) {
            graph_fail(g, GRAFT_E_MEMORY, "not enough memory to recompute");
            return v;
        }
        g->values[g->value_count] = g->values[n.output[i].id - 1];
        r->clone[n.output[i].id - 1] = (graft_value){(uint32_t)++g->value_count};
        n.output[i] = r->clone[n.output[i].id - 1];
    }
    push(g, &n);
    return r->clone[v.id - 1];
}

static void find_crossings(struct recompute *r)
{
    for (size_t i = 0; i < r->old_count; i++) {
        const struct graph_node *n = &r->old[i];
        if (n->backward) continue;
        for (uint32_t k = 0; k < n->input_count; k++) {
            if (n->input[k].id == 0) continue;
            uint32_t maker = r->graph->values[n->input[k].id - 1].node;
            if (maker != UINT32_MAX && r->old[maker].block != n->block)
                r->crosses[n->input[k].id - 1] = true;
        }
    }
}

void graph_recompute(struct graph *g)
{
    if (graph_failed(g)) return;
    struct recompute r = {.graph = g,
                          .old = g->nodes,
                          .old_count = g->node_count,
                          .values = g->value_count,
                          .crosses = mem_zalloc(g->value_count, sizeof(bool)),
                          .clone = mem_zalloc(g->value_count, sizeof(graft_value))};
    if (r.crosses == NULL || r.clone == NULL) {
        graph_fail(g, GRAFT_E_MEMORY, "not enough memory to recompute");
    } else {
        find_crossings(&r);
        g->nodes = NULL;
        g->node_count = g->node_capacity = 0;
        for (size_t i = 0; i < r.old_count; i++) {
            struct graph_node n = r.old[i];
            for (uint32_t k = 0; n.backward && k < n.input_count; k++)
                n.input[k] = recomputed(&r, n.input[k]);
            push(g, &n);
        }
        renumber(g);
        mem_free(r.old);
    }
    mem_free(r.crosses);
    mem_free(r.clone);
}

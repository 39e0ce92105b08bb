/* SPDX-License-Identifier: Apache-2.0
 *
 * Reverse-mode differentiation: walks the forward nodes backwards and asks each op's rule
 * (grad_rules.c) for the gradients of its inputs. A trained parameter's contributions are added
 * into its stored gradient at once, so nothing waits for the end of the pass.
 */
#include "graph/internal.h"

#include "base/memory.h"

#include <string.h>

struct pass {
    struct graph *graph;
    graft_value *gradient; /* per value of the forward graph */
    size_t forward_values;
};

static void contribute(struct pass *p, graft_value to, graft_value gradient)
{
    struct graph *g = p->graph;
    if (gradient.id == 0) return;
    const struct graph_value *v = &g->values[to.id - 1];
    if (v->node == UINT32_MAX && v->stored != NULL && v->stored->gradient != NULL) {
        graft_value pair[2] = {graph_stored(g, v->stored->gradient), gradient};
        graph_add_node(g, GRAFT_OP_ACCUMULATE, pair, 2, NULL);
        return;
    }
    graft_value *sum = &p->gradient[to.id - 1];
    *sum = sum->id == 0 ? gradient : graft_add(&g->builder, *sum, gradient);
}

static void differentiate_node(struct pass *p, size_t number)
{
    struct graph *g = p->graph;
    struct grad c = {.graph = g, .node = g->nodes[number]};
    graft_value dout[GRAFT_MAX_OUTPUTS] = {{0}}, din[GRAFT_MAX_INPUTS] = {{0}};
    bool want[GRAFT_MAX_INPUTS] = {false};
    bool reached = false, wanted = false;

    for (uint32_t i = 0; i < c.node.output_count; i++) {
        if (c.node.output[i].id == 0) continue;
        dout[i] = p->gradient[c.node.output[i].id - 1];
        reached |= dout[i].id != 0;
    }
    for (uint32_t i = 0; i < c.node.input_count; i++) {
        want[i] = c.node.input[i].id != 0 && g->values[c.node.input[i].id - 1].differentiable;
        wanted |= want[i];
    }
    if (!reached || !wanted || c.node.op == GRAFT_OP_DETACH) return;
    grad_rule *rule = grad_rule_of(c.node.op);
    if (rule == NULL) {
        graph_fail(g, GRAFT_E_UNSUPPORTED, "%s has no gradient", op_info(c.node.op)->name);
        return;
    }
    c.dout = dout;
    c.want = want;
    c.din = din;
    g->block = c.node.block;
    g->place = c.node.place;
    rule(&c);
    for (uint32_t i = 0; i < c.node.input_count; i++)
        if (want[i]) contribute(p, c.node.input[i], din[i]);
}

void graph_backward(struct graph *g, graft_value loss)
{
    if (graph_failed(g)) return;
    struct pass p = {.graph = g,
                     .forward_values = g->value_count,
                     .gradient = mem_zalloc(g->value_count, sizeof(graft_value))};
    if (p.gradient == NULL) {
        graph_fail(g, GRAFT_E_MEMORY, "not enough memory for the gradients");
        return;
    }
    int32_t block = g->block;
    const char *place = g->place;
    size_t forward_nodes = g->node_count;
    g->block = -1;
    g->backward = true;
    p.gradient[loss.id - 1] = graft_constant(&g->builder, 1.0);
    for (size_t i = forward_nodes; i-- > 0 && !graph_failed(g);) differentiate_node(&p, i);
    g->backward = false;
    g->block = block;
    g->place = place;
    mem_free(p.gradient);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What the graph of a model is made of. What it computes is golden/test_forward's.
 */
#include "unit/test.h"

#include "unit/model_folder.h"

#include "graph/op.h"

static size_t count_ops(const struct graph *g, int32_t op)
{
    size_t count = 0;
    for (size_t i = 0; i < graph_node_count(g); i++) count += graph_node(g, i)->op == op;
    return count;
}

static graft_value stubborn(void *context, struct graph *graph, const struct model_site *site,
                            graft_value x)
{
    if (strcmp(site->name, context) == 0) graft_fail(graph_builder(graph), "no");
    return model_linear(graph, site, x);
}

static struct graph *hidden_graph(struct opened *o, const struct model_wrap *wrap,
                                  const struct model_cache *caches, graft_value *hidden)
{
    struct error e = {0};
    struct graph *graph;
    struct input_entries entries = input_entries(o->store, 5);
    assert_ok(graph_create(&graph, &e), &e);
    struct model_inputs in = input_values(graph, &entries);
    *hidden = model_hidden(o->model, graph, &in, wrap, caches);
    return graph;
}

static void test_graph_blocks(void **state)
{
    struct opened o;
    struct error e = {0};
    graft_value hidden;
    int32_t block = -1;
    (void)state;
    open_good(&o, GOLDEN "mistral", NULL);
    struct graph *g = hidden_graph(&o, NULL, NULL, &hidden);
    assert_ok(graph_status(g, &e), &e);
    for (size_t i = 0; i < graph_node_count(g); i++) {
        const struct graph_node *n = graph_node(g, i);
        bool last = i + 1 == graph_node_count(g);
        if (n->op == GRAFT_OP_EMBEDDING || n->op == GRAFT_OP_ROPE_TABLE || last)
            assert_int_equal(n->block, -1);
        else
            assert_in_range(n->block - block, 0, 1);
        if (!last) block = n->block;
        if (n->op == GRAFT_OP_ATTENTION) assert_int_equal(n->params.attention.window, 6);
    }
    assert_int_equal(block, 1);
    struct graft_shape shape = graph_value(g, hidden)->shape;
    assert_true(shape.rank == 2 && shape.dim[0] == 5 && shape.dim[1] == 16);
    assert_int_equal(graph_rows(g, hidden), GRAFT_ROWS_TOKENS);
    graph_destroy(g);
    done(&o);
}

static void test_graph_names_the_site(void **state)
{
    struct opened o;
    struct error e = {0};
    graft_value hidden;
    char name[] = "model.layers.1.self_attn.o_proj";
    struct model_wrap wrap = {.context = name, .linear = stubborn};
    (void)state;
    open_good(&o, GOLDEN "llama", NULL);
    struct graph *g = hidden_graph(&o, &wrap, NULL, &hidden);
    assert_int_equal(graph_status(g, &e), GRAFT_E_INVALID);
    assert_string_equal(e.text, "model.layers.1.self_attn.o_proj: no");
    graph_destroy(g);
    done(&o);
}

static void test_graph_losses(void **state)
{
    struct opened o;
    struct error e = {0};
    graft_value hidden;
    (void)state;
    open_good(&o, GOLDEN "llama", NULL);
    struct graph *g = hidden_graph(&o, NULL, NULL, &hidden);
    graft_value targets = graph_stored(g, store_find(o.store, STORE_INPUT, "targets"));
    model_loss(o.model, g, hidden, targets, NULL, false);
    assert_int_equal(count_ops(g, GRAFT_OP_HEAD_LOSS), 1);
    assert_int_equal(count_ops(g, GRAFT_OP_CROSS_ENTROPY), 0);
    model_loss(o.model, g, hidden, targets, NULL, true);
    assert_int_equal(count_ops(g, GRAFT_OP_HEAD_LOSS), 1);
    assert_int_equal(count_ops(g, GRAFT_OP_CROSS_ENTROPY), 1);
    assert_ok(graph_status(g, &e), &e);
    graph_destroy(g);
    done(&o);
}

static void test_graph_caches(void **state)
{
    struct opened o;
    struct error e = {0};
    graft_value hidden;
    struct model_cache caches[2];
    (void)state;
    open_good(&o, GOLDEN "llama", NULL);
    for (int i = 0; i < 2; i++) {
        caches[i].keys = store_add(o.store, STORE_CACHE, "k", GRAFT_DTYPE_F32, graft_shape2(9, 16),
                                   GRAFT_ROWS_FIXED);
        caches[i].values = store_add(o.store, STORE_CACHE, "v", GRAFT_DTYPE_F32,
                                     graft_shape2(9, 16), GRAFT_ROWS_FIXED);
    }
    struct graph *g = hidden_graph(&o, NULL, caches, &hidden);
    assert_ok(graph_status(g, &e), &e);
    assert_int_equal(count_ops(g, GRAFT_OP_WRITE_ROWS), 4);
    graph_destroy(g);
    done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph_blocks),
        cmocka_unit_test(test_graph_names_the_site),
        cmocka_unit_test(test_graph_losses),
        cmocka_unit_test(test_graph_caches),
    };
    return cmocka_run_group_tests(tests, setup, teardown) != 0;
}

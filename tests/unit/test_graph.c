/* SPDX-License-Identifier: Apache-2.0
 *
 * What the builder refuses and why, and ops whose inputs and outputs may be absent. Numbers and
 * gradients of every op: conform/test_check.c.
 */
/* Before cmocka, whose macro `fail` would hit a member of the builder's table. */
#include "graph/graph.h"
#include "graph/op.h"
#include "graph/plan.h"

#include "unit/test.h"

#include <string.h>

struct fixture {
    struct store *store;
    struct graph *graph;
    struct graft_builder *b;
};

static void init(struct fixture *f)
{
    struct error e = {0};
    assert_ok(store_create(&f->store, &e), &e);
    assert_ok(graph_create(&f->graph, &e), &e);
    f->b = graph_builder(f->graph);
}

static void fini(struct fixture *f)
{
    graph_destroy(f->graph);
    store_destroy(f->store);
}

static graft_value add(struct fixture *f, int32_t dtype, struct graft_shape shape, int32_t rows)
{
    return graph_stored(f->graph, store_add(f->store, STORE_INPUT, "x", dtype, shape, rows));
}

static graft_value trained(struct fixture *f, struct graft_shape shape, int32_t rows)
{
    struct stored *s = store_add(f->store, STORE_ADAPTER, "w", GRAFT_DTYPE_F32, shape, rows);
    assert_non_null(s);
    s->gradient = store_add(f->store, STORE_GRADIENT, "w", GRAFT_DTYPE_F32, shape, rows);
    return graph_stored(f->graph, s);
}

/* The graph has failed with this text; nothing was added after. */
static void refused(struct fixture *f, graft_value v, const char *text)
{
    struct error e = {0};
    assert_int_equal(v.id, 0);
    assert_true(graph_status(f->graph, &e) != GRAFT_OK);
    if (strstr(e.text, text) == NULL) fail_msg("\"%s\" does not say \"%s\"", e.text, text);
    fini(f);
}

static graft_value attend(struct fixture *f, const graft_value *in, uint32_t count)
{
    union graft_params p;
    memset(&p, 0, sizeof p);
    p.attention.scale = 1.0;
    p.attention.heads = 4;
    p.attention.kv_heads = 2;
    p.attention.head_size = 8;
    return f->b->api->op(f->b, GRAFT_OP_ATTENTION, in, count, &p);
}

enum { Q, K, V, FIRST, LAST, PK, PV, INPUTS };

static void attention_inputs(struct fixture *f, graft_value in[INPUTS])
{
    init(f);
    in[Q] = trained(f, graft_shape2(6, 32), GRAFT_ROWS_TOKENS);
    in[K] = trained(f, graft_shape2(6, 16), GRAFT_ROWS_TOKENS);
    in[V] = trained(f, graft_shape2(6, 16), GRAFT_ROWS_TOKENS);
    in[FIRST] = add(f, GRAFT_DTYPE_I32, graft_shape1(6), GRAFT_ROWS_TOKENS);
    in[LAST] = add(f, GRAFT_DTYPE_I32, graft_shape1(6), GRAFT_ROWS_TOKENS);
    in[PK] = trained(f, graft_shape2(3, 16), GRAFT_ROWS_FIXED);
    in[PV] = trained(f, graft_shape2(3, 16), GRAFT_ROWS_FIXED);
}

static void test_attention_inputs(void **state)
{
    struct fixture f;
    graft_value in[INPUTS];
    (void)state;
    attention_inputs(&f, in);
    in[FIRST].id = 0;
    refused(&f, attend(&f, in, 5), "k, v, first and last come together");
    attention_inputs(&f, in);
    in[PV].id = 0;
    refused(&f, attend(&f, in, 7), "pk and pv come together");
    attention_inputs(&f, in);
    memset(in + K, 0, 4 * sizeof in[0]);
    refused(&f, attend(&f, in, 5), "there is no key");
    attention_inputs(&f, in);
    in[Q].id = 0;
    refused(&f, attend(&f, in, 7), "input 0 is not a value");
    attention_inputs(&f, in);
    in[PK] = in[PV] = add(&f, GRAFT_DTYPE_F32, graft_shape2(3, 8), GRAFT_ROWS_FIXED);
    refused(&f, attend(&f, in, 7), "do not agree");
    attention_inputs(&f, in);
    in[PK] = in[K];
    in[PV] = in[V];
    refused(&f, attend(&f, in, 7), "no live rows");
}

static graft_value total(struct fixture *f, graft_value v)
{
    return graft_reshape(f->b, graft_sum(f->b, v, 3), graft_shape1(1));
}

static const struct graph_node *last_of(struct fixture *f, int32_t op)
{
    const struct graph_node *found = NULL;
    for (size_t i = 0; i < graph_node_count(f->graph); i++)
        if (graph_node(f->graph, i)->op == op) found = graph_node(f->graph, i);
    assert_non_null(found);
    return found;
}

/* Keys that are not there have no gradients, before and after recomputing and planning. */
static void test_attention_prefix_alone(void **state)
{
    static const bool there[] = {true, false, false, true, true};
    struct fixture f;
    graft_value in[INPUTS];
    struct error e = {0};
    struct plan *plan = NULL;
    (void)state;
    attention_inputs(&f, in);
    memset(in + K, 0, 4 * sizeof in[0]);
    graph_set_block(f.graph, 0);
    graft_value o = attend(&f, in, 7);
    graph_set_block(f.graph, -1);
    graph_backward(f.graph, total(&f, o));
    graph_recompute(f.graph);
    assert_ok(graph_status(f.graph, &e), &e);
    const struct graph_node *n = last_of(&f, GRAFT_OP_ATTENTION_BACKWARD);
    assert_int_equal(n->output_count, 5);
    for (int i = 0; i < 5; i++) assert_int_equal(n->output[i].id != 0, there[i]);
    assert_ok(plan_create(f.graph, &plan, &e), &e);
    plan_destroy(plan);
    fini(&f);
}

static void test_gradient_of_lse(void **state)
{
    struct fixture f;
    graft_value in[INPUTS], none = {0};
    (void)state;
    attention_inputs(&f, in);
    graft_value o = attend(&f, in, 7), lse = f.b->api->output(f.b, o, 1);
    graph_backward(f.graph, graft_add(f.b, total(&f, o), total(&f, lse)));
    refused(&f, none, "the log-sum-exp of attention has no gradient");
}

static void test_embedding_trained(void **state)
{
    struct fixture f;
    struct error e = {0};
    union graft_params p;
    (void)state;
    init(&f);
    memset(&p, 0, sizeof p);
    p.embedding.first = 100;
    graft_value in[2] = {add(&f, GRAFT_DTYPE_I32, graft_shape1(6), GRAFT_ROWS_TOKENS),
                         trained(&f, graft_shape2(7, 4), GRAFT_ROWS_FIXED)};
    graph_backward(f.graph, total(&f, f.b->api->op(f.b, GRAFT_OP_EMBEDDING, in, 2, &p)));
    assert_ok(graph_status(f.graph, &e), &e);
    const struct graph_node *n = last_of(&f, GRAFT_OP_EMBEDDING_BACKWARD);
    assert_int_equal(n->params.embedding.first, 100);
    assert_int_equal(n->params.embedding.rows, 7);
    fini(&f);
}

static void test_axes(void **state)
{
    static const int32_t turned[4] = {1, 0}, twice[4] = {1, 1};
    struct fixture f;
    (void)state;
    init(&f);
    graft_value x = add(&f, GRAFT_DTYPE_F32, graft_shape2(6, 4), GRAFT_ROWS_TOKENS);
    assert_int_equal(graft_shape_of(f.b, graft_slice(f.b, x, 1, 1, 3)).dim[1], 3);
    assert_int_equal(graft_shape_of(f.b, graft_place(f.b, x, 1, 1, 5)).dim[1], 5);
    refused(&f, graft_slice(f.b, x, 0, 0, 3), "live rows cannot be cut");
    init(&f);
    x = add(&f, GRAFT_DTYPE_F32, graft_shape2(6, 4), GRAFT_ROWS_FIXED);
    refused(&f, graft_slice(f.b, x, 1, 2, 3), "3 numbers from 2 on do not lie within 4");
    init(&f);
    x = add(&f, GRAFT_DTYPE_F32, graft_shape2(6, 4), GRAFT_ROWS_FIXED);
    refused(&f, graft_place(f.b, x, 1, 2, 5), "4 numbers from 2 on do not lie within 5");
    init(&f);
    x = add(&f, GRAFT_DTYPE_F32, graft_shape2(6, 4), GRAFT_ROWS_FIXED);
    refused(&f, graft_slice(f.b, x, 2, 0, 1), "no axis 2");
    init(&f);
    x = add(&f, GRAFT_DTYPE_F32, graft_shape2(6, 4), GRAFT_ROWS_FIXED);
    assert_int_equal(graft_shape_of(f.b, graft_permute(f.b, x, turned)).dim[0], 4);
    refused(&f, graft_permute(f.b, x, twice), "not each named once");
    init(&f);
    x = add(&f, GRAFT_DTYPE_F32, graft_shape2(6, 4), GRAFT_ROWS_TOKENS);
    refused(&f, graft_permute(f.b, x, turned), "must stay first");
}

/* Codes are stored as they are; f32 numbers do not go where codes lie. */
static void test_codes(void **state)
{
    struct fixture f;
    struct error e = {0};
    graft_value scale;
    (void)state;
    init(&f);
    graft_value x = add(&f, GRAFT_DTYPE_F32, graft_shape1(600), GRAFT_ROWS_FIXED);
    graft_value map = add(&f, GRAFT_DTYPE_F32, graft_shape1(256), GRAFT_ROWS_FIXED);
    graft_value to = add(&f, GRAFT_DTYPE_U8, graft_shape1(600), GRAFT_ROWS_FIXED);
    graft_value codes = graft_encode(f.b, x, map, 256, &scale);
    graft_binary(f.b, GRAFT_OP_ASSIGN, to, codes);
    assert_ok(graph_status(f.graph, &e), &e);
    assert_int_equal(graft_shape_of(f.b, scale).dim[0], 3);
    refused(&f, graft_binary(f.b, GRAFT_OP_ASSIGN, to, x), "values of its own type");
}

static int32_t asked[8]; /* compute of the nodes that were compiled last */
static uint32_t asked_count;

/* Memory that nobody touches: these programs are compiled only. */
static int place;
static struct graft_buffer *const somewhere = (struct graft_buffer *)(void *)&place;

static int32_t nowhere(struct graft_device *device, uint64_t bytes, struct graft_buffer **out)
{
    (void)device;
    (void)bytes;
    *out = somewhere;
    return GRAFT_OK;
}

static void forget(struct graft_buffer *buffer)
{
    (void)buffer;
}

static int32_t spy(struct graft_device *device, const struct graft_program_desc *desc,
                   struct graft_program **out, uint64_t *scratch)
{
    (void)device;
    (void)out;
    (void)scratch;
    asked_count = 0;
    for (uint32_t i = 0; i < desc->node_count && asked_count < 8; i++)
        if (desc->nodes[i].op == GRAFT_OP_MATMUL)
            asked[asked_count++] = desc->nodes[i].params.matmul.compute;
    return GRAFT_E_FAILED;
}

/* Frozen weights are multiplied in the device's type, what is trained in f32. */
static void test_compute(void **state)
{
    struct fixture f;
    struct plan *plan = NULL;
    struct program *program = NULL;
    struct error e = {0}, said = {0};
    const struct graft_backend api = {.struct_size = sizeof api,
                                      .buffer_create = nowhere,
                                      .buffer_destroy = forget,
                                      .program_create = spy};
    const struct backend backend = {.api = &api, .error = &said, .compute = GRAFT_DTYPE_BF16};
    (void)state;
    init(&f);
    graft_value x = add(&f, GRAFT_DTYPE_F32, graft_shape2(6, 4), GRAFT_ROWS_FIXED);
    struct stored *frozen =
        store_add(f.store, STORE_BASE, "frozen", GRAFT_DTYPE_F16, graft_shape2(8, 4), 0);
    graft_value w = graph_stored(f.graph, frozen);
    graft_value a = trained(&f, graft_shape2(8, 4), GRAFT_ROWS_FIXED);
    graph_keep(f.graph, graft_matmul(f.b, x, w, 0, 1));
    graph_keep(f.graph, graft_matmul(f.b, x, a, 0, 1));
    assert_ok(plan_create(f.graph, &plan, &e), &e);
    assert_ok(store_allocate(f.store, STORE_INPUT, &backend, &e), &e);
    assert_ok(store_allocate(f.store, STORE_ADAPTER, &backend, &e), &e);
    frozen->buffer = somewhere;
    assert_int_equal(program_create(plan, &backend, somewhere, &program, &e), GRAFT_E_FAILED);
    assert_int_equal(asked_count, 2);
    assert_int_equal(asked[0], GRAFT_DTYPE_BF16);
    assert_int_equal(asked[1], GRAFT_DTYPE_F32);
    plan_destroy(plan);
    fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention_inputs),
        cmocka_unit_test(test_attention_prefix_alone),
        cmocka_unit_test(test_gradient_of_lse),
        cmocka_unit_test(test_embedding_trained),
        cmocka_unit_test(test_axes),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_compute),
    };
    return TEST_MAIN(tests);
}

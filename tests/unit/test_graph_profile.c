/* SPDX-License-Identifier: Apache-2.0
 *
 * A program taken apart computes what it computes whole, in-place values and sums into stored ones
 * included; costs and titles are what one counts by hand.
 */
/* Before cmocka, whose macro `fail` would hit a member of the builder's table. */
#include "graph/blame.h"
#include "graph/device.h"
#include "graph/graph.h"
#include "graph/op.h"
#include "graph/profile.h"

#include "unit/test.h"

#include <math.h>
#include <string.h>

enum { TOKENS = 6, LIVE = 5, IN = 4, OUT = 3, MAX_NODES = 64 };

struct fixture {
    struct device *device;
    const struct backend *backend;
    struct store *store;
    struct stored *x, *w;
    struct plan *plan;
    struct graft_buffer *transient;
    struct program *program;
    graft_value loss;
};

/* loss = sum of silu(x w^T)^2, with the gradient of w */
static void init(struct fixture *f)
{
    struct device_request request = {.name = "cpu", .base_dir = ".", .threads = 2};
    struct graph *graph = NULL;
    struct error e = {0};
    float x[TOKENS * IN], w[OUT * IN];
    assert_ok(device_open(&request, &f->device, &e), &e);
    f->backend = device_backend(f->device);
    assert_ok(store_create(&f->store, &e), &e);
    assert_ok(graph_create(&graph, &e), &e);
    struct graft_builder *b = graph_builder(graph);
    f->x = store_add(f->store, STORE_INPUT, "x", GRAFT_DTYPE_F32, graft_shape2(TOKENS, IN),
                     GRAFT_ROWS_TOKENS);
    f->w = store_add_trained(f->store, "w", graft_shape2(OUT, IN));
    graph_set_place(graph, "a.site");
    graft_value y = graft_linear(b, graph_stored(graph, f->x), graph_stored(graph, f->w));
    graph_set_place(graph, "");
    y = graft_unary(b, GRAFT_OP_SILU, y);
    f->loss = graft_reshape(b, graft_sum(b, graft_mul(b, y, y), 3), graft_shape1(1));
    graph_keep(graph, f->loss);
    graph_backward(graph, f->loss);
    assert_ok(plan_create(graph, &f->plan, &e), &e);
    graph_destroy(graph);
    for (int kind = STORE_ADAPTER; kind < STORE_CLASSES; kind++)
        assert_ok(store_allocate(f->store, (enum store_class)kind, f->backend, &e), &e);
    for (int i = 0; i < TOKENS * IN; i++) x[i] = sinf((float)i);
    for (int i = 0; i < OUT * IN; i++) w[i] = cosf((float)i);
    assert_ok(stored_write(f->x, f->backend, x, sizeof x, &e), &e);
    assert_ok(stored_write(f->w, f->backend, w, sizeof w, &e), &e);
    assert_int_equal(f->backend->api->buffer_create(
                         f->backend->device, plan_transient(f->plan, f->backend), &f->transient),
                     GRAFT_OK);
    assert_ok(program_create(f->plan, f->backend, f->transient, &f->program, &e), &e);
}

static void fini(struct fixture *f)
{
    program_destroy(f->program);
    plan_destroy(f->plan);
    f->backend->api->buffer_destroy(f->transient);
    store_destroy(f->store);
    device_close(f->device);
}

static void results(struct fixture *f, float *loss, float gradient[OUT * IN])
{
    struct error e = {0};
    assert_ok(program_read(f->program, f->loss, loss, sizeof *loss, &e), &e);
    assert_ok(stored_read(f->w->gradient, f->backend, gradient, OUT * IN * sizeof(float), &e), &e);
}

static void test_same_result(void **state)
{
    const int64_t live[GRAFT_ROWS_KINDS] = {0, LIVE, 0};
    struct fixture f;
    struct error e = {0};
    float loss[2], once[OUT * IN], twice[OUT * IN];
    double seconds[MAX_NODES];
    (void)state;
    init(&f);
    size_t nodes = plan_memory(f.plan).nodes;
    assert_in_range(nodes, 5, MAX_NODES);
    for (size_t i = 0; i < nodes; i++) seconds[i] = i == 0 ? 0.0 : (double)INFINITY;
    assert_ok(program_run(f.program, live, &e), &e);
    results(&f, &loss[0], once);
    assert_ok(program_profile(f.program, f.plan, live, seconds, &e), &e);
    results(&f, &loss[1], twice);
    assert_true(loss[0] > 0.0f);
    assert_memory_equal(&loss[0], &loss[1], sizeof loss[0]);
    for (int i = 0; i < OUT * IN; i++) { /* the gradient is added a second time */
        assert_true(once[i] != 0.0f);
        assert_true(twice[i] == 2.0f * once[i]);
    }
    assert_true(seconds[0] == 0.0); /* the lesser stays */
    struct profiled node = {.plan = f.plan, .sweeps = true};
    for (; node.node < nodes; node.node += profiled_length(&node))
        assert_true(node.node == 0 || (seconds[node.node] > 0.0 && seconds[node.node] < 10.0));
    assert_int_equal(node.node, nodes);
    fini(&f);
}

static void test_costs(void **state)
{
    struct fixture f;
    struct str title = {0};
    (void)state;
    init(&f);
    struct profiled node = {.plan = f.plan, .live = {0, LIVE, 0}, .compute = GRAFT_DTYPE_F32};
    profiled_title(&node, &title);
    assert_string_equal(title.data, "matmul F32 [5, 4] x [3, 4]^T");
    struct node_cost product = profiled_cost(&node);
    assert_true(product.flops == 2.0 * LIVE * IN * OUT);
    assert_true(product.bytes == 4.0 * (LIVE * IN + IN * OUT + LIVE * OUT));
    assert_int_equal(product.compute, GRAFT_DTYPE_F32);
    node.node = 1;
    str_clear(&title);
    profiled_title(&node, &title);
    assert_string_equal(title.data, "silu");
    assert_true(profiled_cost(&node).bytes == 2.0 * 4.0 * LIVE * OUT);
    /* with its square, which is summed, and what the product before it needs; from the gradient 1
     */
    node.sweeps = true;
    str_clear(&title);
    profiled_title(&node, &title);
    assert_string_equal(title.data, "sweep: silu, 5 mul, broadcast, 2 add, sigmoid, affine");
    assert_int_equal(profiled_length(&node), 11);
    assert_int_equal((int)profiled_cost(&node).bytes, 4 * (LIVE * OUT + 1 + 2 * LIVE * OUT));
    assert_true(profiled_cost(&node).flops == 11.0 * LIVE * OUT);
    str_free(&title);
    fini(&f);
}

static void blamed(struct fixture *f, float x, float w, const char *expected)
{
    const int64_t live[GRAFT_ROWS_KINDS] = {0, LIVE, 0};
    struct error e = {0};
    struct str found = {0};
    float xs[TOKENS * IN], ws[OUT * IN];
    for (int i = 0; i < TOKENS * IN; i++) xs[i] = i == 5 ? x : 1.0f;
    xs[LIVE * IN] = NAN; /* dead rows do not count */
    for (int i = 0; i < OUT * IN; i++) ws[i] = i == 1 ? w : 1e-3f * w;
    assert_ok(stored_write(f->x, f->backend, xs, sizeof xs, &e), &e);
    assert_ok(stored_write(f->w, f->backend, ws, sizeof ws, &e), &e);
    assert_ok(program_blame(f->program, f->plan, live, &found, &e), &e);
    assert_string_equal(found.data != NULL ? found.data : "", expected);
    str_free(&found);
}

static void test_blame(void **state)
{
    struct fixture f;
    (void)state;
    init(&f);
    blamed(&f, 1.0f, 1.0f, "");
    blamed(&f, NAN, 1.0f, "inputs x");
    blamed(&f, 1.0f, INFINITY, "adapter w");
    blamed(&f, 3e38f, 3e38f, "matmul of a.site");
    blamed(&f, 1e15f, 1e15f, "mul"); /* silu of it is as large, its square is not finite */
    blamed(&f, 1e30f, 1e-11f, "the backward pass, matmul of a.site");
    fini(&f);
}

static void test_limits(void **state)
{
    struct device_request request = {.name = "cpu", .base_dir = ".", .threads = 1};
    struct device *device = NULL;
    struct graft_limits limits;
    struct error e = {0};
    (void)state;
    assert_ok(device_open(&request, &device, &e), &e);
    assert_ok(device_limits(device, &limits, &e), &e);
    assert_true(limits.flops_f32 > 1e8 && limits.flops_f32 < 1e13);
    assert_true(limits.read > 1e8 && limits.read < 1e13);
    assert_true(limits.copy > 1e8 && limits.copy < 1e13);
    device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_result),
        cmocka_unit_test(test_costs),
        cmocka_unit_test(test_blame),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}

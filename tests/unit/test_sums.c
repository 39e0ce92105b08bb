/* SPDX-License-Identifier: Apache-2.0
 *
 * Which nodes a sum takes in, by hand; and products with what is added to them on the CPU, as sums
 * and one by one: the same bits.
 */
#include "unit/sweep_plans.h"

#include "ref/quant.h"

static graft_value stored(struct bench *t, int32_t dtype, int64_t rows, int64_t columns,
                          int32_t live)
{
    char name[32];
    snprintf(name, sizeof name, "entry %d", t->entries++);
    return graph_stored(
        t->graph, store_add(t->store, STORE_INPUT, name, dtype, graft_shape2(rows, columns), live));
}

static void test_sums_formed(void **state)
{
    struct bench t = begin();
    (void)state;
    /* a layer with a branch, on a residual */
    graft_value A = stored(&t, GRAFT_DTYPE_F32, 2, 4, 0), B = stored(&t, GRAFT_DTYPE_F32, 4, 2, 0);
    graft_value branch = graft_linear(t.b, graft_linear(t.b, t.x, A), B);
    graft_value y = graft_add(t.b, graft_linear(t.b, t.x, t.w), branch);
    graph_keep(t.graph, graft_add(t.b, t.state, y));
    expect(t.graph, "matmul [matmul matmul add add]");
    store_destroy(t.store);

    /* gradients of two layers with branches, one after the other: each takes in what there is */
    t = begin();
    graft_value in = stored(&t, GRAFT_DTYPE_F32, 6, 2, 1),
                down = stored(&t, GRAFT_DTYPE_F32, 2, 4, 0);
    y = graft_matmul(t.b, t.x, t.w, 0, 0);
    y = graft_add(t.b, y, graft_matmul(t.b, in, down, 0, 0));
    y = graft_add(t.b, y, graft_matmul(t.b, t.state, t.w, 0, 0));
    y = graft_add(t.b, y, graft_matmul(t.b, in, down, 0, 0));
    graph_keep(t.graph, y);
    expect(t.graph, "[matmul matmul add] [matmul add matmul add]");
    store_destroy(t.store);

    /* not where somebody else reads the product, or what is added is repeated, or operands lie in
     * two ways */
    t = begin();
    y = graft_linear(t.b, t.x, t.w);
    graph_keep(t.graph, y);
    graph_keep(t.graph, graft_add(t.b, y, t.state));
    expect(t.graph, "matmul add");
    store_destroy(t.store);
    t = begin();
    y = graft_linear(t.b, t.x, t.w);
    graph_keep(t.graph, graft_unary(t.b, GRAFT_OP_SILU, y));
    graph_keep(t.graph, graft_add(t.b, y, t.state));
    expect(t.graph, "matmul silu add");
    store_destroy(t.store);
    t = begin();
    graph_keep(t.graph, graft_add(t.b, graft_linear(t.b, t.x, t.w), t.gain));
    expect(t.graph, "matmul add");
    store_destroy(t.store);
    t = begin();
    in = stored(&t, GRAFT_DTYPE_F32, 6, 2, 1), down = stored(&t, GRAFT_DTYPE_F32, 2, 4, 0);
    graph_keep(t.graph,
               graft_add(t.b, graft_linear(t.b, t.x, t.w), graft_matmul(t.b, in, down, 0, 0)));
    expect(t.graph, "matmul [matmul add]");
    store_destroy(t.store);

    /* a frozen layer is not the small one, whatever its size */
    t = begin();
    graft_value frozen[2];
    for (int i = 0; i < 2; i++)
        frozen[i] = graph_stored(t.graph, store_add(t.store, STORE_BASE, i == 0 ? "up" : "gate",
                                                    GRAFT_DTYPE_F32, graft_shape2(4, 4), 0));
    graph_keep(t.graph, graft_add(t.b, graft_linear(t.b, t.x, frozen[0]),
                                  graft_linear(t.b, t.state, frozen[1])));
    expect(t.graph, "matmul [matmul add]");
    store_destroy(t.store);
}

/* One layer of random numbers with what is added to it, as a sum and one by one. */
struct layer {
    int32_t dtype;
    int64_t m, n, k, r; /* r 0: no second product */
    int turned, value;  /* value: 1 added first, 2 last */
};

static void fill(struct stored *s, const struct backend *backend)
{
    struct error e = {0};
    uint8_t *bytes = malloc(s->bytes);
    float *x = malloc((size_t)graft_shape_count(s->shape) * sizeof *x);
    for (int64_t i = 0; i < graft_shape_count(s->shape); i++)
        x[i] = (float)draw(2001) / 1000.0f - 1.0f;
    assert_true(quantize_row(s->dtype, x, bytes, graft_shape_count(s->shape)));
    assert_ok(stored_write(s, backend, bytes, s->bytes, &e), &e);
    free(bytes);
    free(x);
}

static void run_layer(const struct layer *c, const struct backend *backend, float *out)
{
    const int64_t live[GRAFT_ROWS_KINDS] = {0, c->m, 0};
    struct bench t = begin();
    struct plan *plan = NULL;
    struct program *program = NULL;
    struct graft_buffer *transient = NULL;
    struct error e = {0};
    graft_value x = stored(&t, GRAFT_DTYPE_F32, c->m + 3, c->k, 1);
    graft_value w = stored(&t, c->dtype, c->turned ? c->n : c->k, c->turned ? c->k : c->n, 0);
    /* its memory is free from the sum on */
    graft_value value = graft_affine(t.b, stored(&t, GRAFT_DTYPE_F32, c->m + 3, c->n, 1), 2.0, 0.0);
    graft_value y = graft_matmul(t.b, x, w, 0, c->turned);
    if (c->value == 1) y = graft_add(t.b, value, y);
    if (c->r != 0) {
        graft_value u = stored(&t, GRAFT_DTYPE_F32, c->m + 3, c->r, 1);
        graft_value v =
            stored(&t, GRAFT_DTYPE_F32, c->turned ? c->n : c->r, c->turned ? c->r : c->n, 0);
        y = graft_add(t.b, y, graft_matmul(t.b, u, v, 0, c->turned));
    }
    if (c->value == 2) y = graft_add(t.b, value, y);
    graph_keep(t.graph, y);
    assert_ok(plan_create(t.graph, &plan, &e), &e);
    assert_int_equal(swept(plan), 1 + 2 * (c->r != 0) + (c->value != 0));
    assert_ok(store_allocate(t.store, STORE_INPUT, backend, &e), &e);
    seed = 3;
    for (const struct stored *s = store_first(t.store, STORE_INPUT); s != NULL; s = s->next)
        fill((struct stored *)(uintptr_t)s, backend);
    assert_int_equal(
        backend->api->buffer_create(backend->device, plan_transient(plan, backend) + 1, &transient),
        GRAFT_OK);
    assert_ok(program_create(plan, backend, transient, &program, &e), &e);
    assert_ok(program_run(program, live, &e), &e);
    assert_ok(program_read(program, y, out, (uint64_t)(c->m * c->n) * sizeof *out, &e), &e);
    program_destroy(program);
    backend->api->buffer_destroy(transient);
    plan_destroy(plan);
    graph_destroy(t.graph);
    store_destroy(t.store);
}

static void test_sums(void **state)
{
    static const struct layer layers[] = {
        {GRAFT_DTYPE_Q4_1, 600, 192, 576, 8, 1, 0},  {GRAFT_DTYPE_Q4_1, 600, 192, 576, 8, 1, 2},
        {GRAFT_DTYPE_Q4_1, 617, 576, 192, 8, 0, 1},  {GRAFT_DTYPE_Q4_1, 30, 100, 640, 256, 1, 2},
        {GRAFT_DTYPE_Q4_1, 16, 576, 320, 16, 1, 2},  {GRAFT_DTYPE_Q4_1, 1, 576, 320, 8, 1, 2},
        {GRAFT_DTYPE_Q4_1, 24, 48, 64, 1, 1, 1},     {GRAFT_DTYPE_Q4_1, 5, 64, 96, 3, 0, 2},
        {GRAFT_DTYPE_F32, 300, 100, 300, 7, 1, 1},   {GRAFT_DTYPE_F32, 20, 130, 700, 64, 0, 2},
        {GRAFT_DTYPE_F32, 300, 131, 257, 200, 0, 1}, {GRAFT_DTYPE_F32, 13, 8, 600, 8, 1, 0},
        {GRAFT_DTYPE_Q8_0, 1700, 96, 288, 8, 1, 2},  {GRAFT_DTYPE_Q8_0, 40, 96, 288, 0, 1, 1},
        {GRAFT_DTYPE_BF16, 200, 257, 300, 8, 0, 2},
    };
    struct device_request request = {.name = "cpu", .base_dir = ".", .threads = THREADS};
    struct device *device = NULL;
    struct error e = {0};
    (void)state;
    assert_ok(device_open(&request, &device, &e), &e);
    struct backend sums = *device_backend(device), single = sums;
    single.sweeps = false;
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        size_t bytes = (size_t)(layers[i].m * layers[i].n) * sizeof(float);
        float *found = malloc(bytes), *expected = malloc(bytes);
        run_layer(&layers[i], &sums, found);
        run_layer(&layers[i], &single, expected);
        if (memcmp(found, expected, bytes) != 0) fail_msg("layer %zu differs", i);
        free(found);
        free(expected);
    }
    device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_formed),
        cmocka_unit_test(test_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}

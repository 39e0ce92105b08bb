/* SPDX-License-Identifier: Apache-2.0
 *
 * What callers of the CPU backend rely on: absent outputs and zero live rows are fine, a row's bits
 * do not depend on its neighbours, refused allocations leak nothing, malformed programs are refused
 * with a text.
 */
#include "unit/cpu_nodes.h"

/* Every output of a node with several may be absent, alone and together. */
static void outputs_may_be_absent(void **state)
{
    (void)state;
    static const struct attention a = {9, 3, 64, 0, 0.0, 0};
    static const struct loss l = {GRAFT_DTYPE_Q4_1, 150, 500, 96};
    static const int32_t swiglu = GRAFT_OP_SWIGLU_BACKWARD;
    const struct {
        make_function *make;
        const void *argument;
    } cases[] = {{make_attention, &a},
                 {make_attention_backward, &a},
                 {make_head_loss, &l},
                 {make_cross_entropy, &l},
                 {make_block, &swiglu}};
    struct program_host host;
    assert_true(program_host_init(&host, 2));
    float *full = malloc(MAX_BYTES), *some = malloc(MAX_BYTES);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture all, part;
        fixture_init(&all, &host, cases[i].make, cases[i].argument);
        uint32_t outputs = all.p.nodes[0].output_count;
        assert_int_equal(program_build(&all.p), GRAFT_OK);
        assert_int_equal(program_run(&all.p, 0, 0), GRAFT_OK);
        for (uint32_t mask = 0; mask < 1u << outputs; mask++) {
            fixture_init(&part, &host, cases[i].make, cases[i].argument);
            struct graft_node *n = &part.p.nodes[0];
            for (uint32_t k = 0; k < outputs; k++)
                if (!(mask >> k & 1)) n->output[k] = GRAFT_ABSENT;
            assert_int_equal(program_build(&part.p), GRAFT_OK);
            assert_int_equal(program_run(&part.p, 0, 0), GRAFT_OK);
            for (uint32_t k = 0; k < outputs; k++) {
                uint32_t t = all.p.nodes[0].output[k];
                assert_int_equal(program_read(&part.p, t, some), GRAFT_OK);
                assert_int_equal(program_read(&all.p, t, full), GRAFT_OK);
                if (!(mask >> k & 1)) memset(full, 0xFF, all.p.sizes[t]); /* still poisoned */
                assert_memory_equal(some, full, all.p.sizes[t]);
            }
            fixture_fini(&part);
        }
        fixture_fini(&all);
    }
    free(full);
    free(some);
    program_host_fini(&host);
}

/* With live rows the rest of an output is not touched; none at all is legal. */
static void live_rows_bound_the_work(void **state)
{
    (void)state;
    static const int64_t lives[] = {0, 1, 77};
    struct program_host host;
    assert_true(program_host_init(&host, 2));
    float *out = malloc(MAX_BYTES);
    for (size_t i = 0; i < sizeof lives / sizeof lives[0]; i++) {
        static const struct product c = {GRAFT_DTYPE_Q4_1, 0, TOKENS, 64, 96, 0, 1};
        static const struct attention a = {9, 3, 64, 0, 0.0, 0};
        static const struct loss l = {GRAFT_DTYPE_Q4_1, TOKENS, 200, 96};
        make_function *const make[] = {make_matmul, make_attention, make_attention_backward,
                                       make_head_loss};
        const void *const argument[] = {&c, &a, &a, &l};
        for (int k = 0; k < 4; k++) {
            struct fixture f;
            fixture_init(&f, &host, make[k], argument[k]);
            for (uint32_t t = 0; t < f.p.tensor_count; t++)
                if (f.p.tensors[t].shape.dim[0] == TOKENS) f.p.tensors[t].rows = GRAFT_ROWS_TOKENS;
            assert_int_equal(program_build(&f.p), GRAFT_OK);
            assert_int_equal(program_run(&f.p, lives[i], 0), GRAFT_OK);
            for (uint32_t o = 0; o < f.p.nodes[0].output_count; o++) {
                uint32_t t = f.p.nodes[0].output[o];
                int64_t width = graft_shape_count(f.p.tensors[t].shape) / TOKENS;
                assert_int_equal(program_read(&f.p, t, out), GRAFT_OK);
                for (int64_t n = 0; n < TOKENS * width; n++) {
                    uint32_t bits;
                    memcpy(&bits, &out[n], sizeof bits);
                    assert_int_equal(bits == 0xFFFFFFFFu, n >= lives[i] * width);
                }
            }
            assert_int_equal(program_run(&f.p, TOKENS + 1, 0), GRAFT_E_INVALID);
            assert_non_null(strstr(host.error, "0 to 150"));
            fixture_fini(&f);
        }
    }
    free(out);
    program_host_fini(&host);
}

/* So a batch, its split, its recomputation and a decoding step agree to the bit in every product.
 */
static void rows_do_not_depend_on_their_neighbours(void **state)
{
    (void)state;
    static const struct product cases[] = {
        {GRAFT_DTYPE_Q4_1, 0, TOKENS, 100, 320, 0, 1},
        {GRAFT_DTYPE_Q4_0, 0, TOKENS, 100, 320, 0, 1},
        {GRAFT_DTYPE_Q8_0, 0, TOKENS, 100, 320, 0, 1},
        {GRAFT_DTYPE_NF4, 0, TOKENS, 100, 320, 0, 1},
        {GRAFT_DTYPE_BF16, 0, TOKENS, 100, 320, 0, 1},
        {GRAFT_DTYPE_F16, 0, TOKENS, 100, 320, 0, 1},
        {GRAFT_DTYPE_BF16, 0, TOKENS, 100, 333, 0, 1}, /* no whole blocks of 32 columns */
        {GRAFT_DTYPE_Q6_K, 0, TOKENS, 100, 768, 0, 1},
        {GRAFT_DTYPE_Q4_1, 0, TOKENS, 96, 300, 0, 0},
        {GRAFT_DTYPE_F32, 0, TOKENS, 8, 576, 0, 1},
        {GRAFT_DTYPE_F32, 0, TOKENS, 576, 8, 0, 1},
        {GRAFT_DTYPE_F32, 0, TOKENS, 577, 300, 0, 0}};
    static const int64_t lives[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  12,
                                    13, 16, 17, 20, 24, 25, 48, 49, 113};
    struct program_host host;
    float *all = malloc(MAX_BYTES), *some = malloc(MAX_BYTES);
    assert_true(program_host_init(&host, 2));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        fixture_init(&f, &host, make_matmul, &cases[i]);
        f.p.tensors[0].rows = f.p.tensors[2].rows = GRAFT_ROWS_TOKENS;
        assert_int_equal(program_build(&f.p), GRAFT_OK);
        assert_int_equal(program_run(&f.p, TOKENS, 0), GRAFT_OK);
        assert_int_equal(program_read(&f.p, 2, all), GRAFT_OK);
        for (size_t l = 0; l < sizeof lives / sizeof lives[0]; l++) {
            assert_int_equal(program_run(&f.p, lives[l], 0), GRAFT_OK);
            assert_int_equal(program_read(&f.p, 2, some), GRAFT_OK);
            assert_memory_equal(some, all, (size_t)(lives[l] * cases[i].n) * sizeof *all);
        }
        fixture_fini(&f);
    }
    free(all);
    free(some);
    program_host_fini(&host);
}

/* The same of attention: a decoding step goes another way than a prompt. */
static void queries_do_not_depend_on_their_neighbours(void **state)
{
    (void)state;
    static const struct attention cases[] = {
        {9, 3, 64, 0, 0.0, 3}, {4, 2, 12, 0, 1.5, 3}, {2, 1, 300, 0, 0.0, 3}};
    static const int64_t lives[] = {1, 2, 3, 9};
    struct program_host host;
    float *all = malloc(MAX_BYTES), *some = malloc(MAX_BYTES);
    assert_true(program_host_init(&host, 2));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct attention *c = &cases[i];
        struct fixture f;
        fixture_init(&f, &host, make_attention, c);
        static const uint32_t live_tensors[] = {0, 3, 4, 5, 6};
        for (int t = 0; t < 5; t++) f.p.tensors[live_tensors[t]].rows = GRAFT_ROWS_TOKENS;
        assert_int_equal(program_build(&f.p), GRAFT_OK);
        for (uint32_t out = 5; out <= 6; out++) {
            int64_t width = out == 5 ? c->heads * c->size : c->heads;
            assert_int_equal(program_run(&f.p, TOKENS, 0), GRAFT_OK);
            assert_int_equal(program_read(&f.p, out, all), GRAFT_OK);
            for (size_t l = 0; l < sizeof lives / sizeof lives[0]; l++) {
                assert_int_equal(program_run(&f.p, lives[l], 0), GRAFT_OK);
                assert_int_equal(program_read(&f.p, out, some), GRAFT_OK);
                assert_memory_equal(some, all, (size_t)(lives[l] * width) * sizeof *all);
            }
        }
        fixture_fini(&f);
    }
    free(all);
    free(some);
    program_host_fini(&host);
}

/* Attention leaves out what is not seen: what an op before it left there, NaN of a weight's panels,
 * shows in no gradient. The head size lays the scores where the panels lay, the steps of what is
 * seen do not fit those of the registers. */
static void scratch_may_hold_anything(void **state)
{
    (void)state;
    static const struct attention c = {2, 1, 205, 0, 0.0, 2};
    enum { M = 64, K = 256, N = 600, STEP = 7 };
    struct program_host host;
    struct fixture f;
    float *clean[3], *next = malloc(MAX_BYTES);
    assert_true(program_host_init(&host, 1));
    fixture_init(&f, &host, make_attention_backward, &c);
    int32_t *last = f.owned[4];
    for (int32_t t = 0; t < TOKENS; t++) last[t] -= last[t] % STEP;
    uint32_t outputs[3];
    memcpy(outputs, f.p.nodes[0].output, sizeof outputs);
    uint32_t x = add_floats(&f, graft_shape2(M, K), 1.0),
             w = add_floats(&f, graft_shape2(N, K), 1.0);
    for (int i = 0; i < N * K; i++) ((float *)f.owned[f.owned_count - 1])[i] = NAN;
    uint32_t y = add_output(&f, GRAFT_DTYPE_F32, graft_shape2(M, N));
    struct graft_node *n = program_node(&f.p, GRAFT_OP_MATMUL, LIST(x, w), LIST(y));
    n->params.matmul.transpose_b = 1;
    assert_int_equal(program_build(&f.p), GRAFT_OK);
    for (int run = 0; run < 2; run++) {
        assert_int_equal(program_run(&f.p, TOKENS, 0), GRAFT_OK);
        for (int i = 0; i < 3; i++) {
            if (run == 0) clean[i] = malloc(MAX_BYTES);
            assert_int_equal(program_read(&f.p, outputs[i], run == 0 ? clean[i] : next), GRAFT_OK);
            if (run == 1) assert_memory_equal(next, clean[i], f.p.sizes[outputs[i]]);
        }
    }
    for (int i = 0; i < 3; i++) free(clean[i]);
    free(next);
    fixture_fini(&f);
    program_host_fini(&host);
}

static void refused_memory_is_a_status(void **state)
{
    (void)state;
    static const struct product c = {GRAFT_DTYPE_F32, 0, 4, 4, 4, 0, 1};
    struct program_host host;
    assert_true(program_host_init(&host, 1));
    for (long grants = 0;; grants++) {
        struct fixture f;
        memset(&f, 0, sizeof f);
        host.grants = grants;
        int32_t status = program_init(&f.p, &host, backend) ? GRAFT_OK : GRAFT_E_MEMORY;
        if (status == GRAFT_OK) {
            make_matmul(&f, &c);
            status = program_build(&f.p);
        }
        host.grants = -1;
        fixture_fini(&f);
        assert_int_equal(host.held, 0);
        if (status == GRAFT_OK) break;
        assert_int_equal(status, GRAFT_E_MEMORY);
        assert_non_null(strstr(host.error, "memory"));
        assert_true(grants < 100);
    }
    assert_int_equal(backend->open(&host.table, 1, &(struct graft_device *){NULL}),
                     GRAFT_E_INVALID);
    program_host_fini(&host);
}

static uint32_t most_tasks;

static void count_tasks(void *context, uint32_t tasks, graft_task *task, void *argument)
{
    if (tasks > most_tasks) most_tasks = tasks;
    program_parallel(context, tasks, task, argument);
}

/* A product of few columns has work for eight threads, and is not cut for one. */
static void products_are_cut_for_the_threads(void **state)
{
    (void)state;
    static const struct product cases[] = {{GRAFT_DTYPE_Q4_1, 0, 600, 192, 576, 0, 1},
                                           {GRAFT_DTYPE_Q4_1, 0, 600, 192, 576, 0, 0},
                                           {GRAFT_DTYPE_F32, 0, 600, 8, 576, 0, 1},
                                           {GRAFT_DTYPE_F32, 0, 576, 576, 600, 1, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (uint32_t threads = 1; threads <= 8; threads += 7) {
            struct program_host host;
            struct fixture f;
            assert_true(program_host_init(&host, threads));
            host.table.parallel = count_tasks;
            most_tasks = 1;
            fixture_init(&f, &host, make_matmul, &cases[i]);
            assert_int_equal(program_build(&f.p), GRAFT_OK);
            assert_int_equal(program_run(&f.p, TOKENS, TOKENS), GRAFT_OK);
            assert_in_range(most_tasks, threads, 3 * threads);
            fixture_fini(&f);
            program_host_fini(&host);
        }
    }
}

/* One change to a legal product, and a word of the refusal. */
static void malformed_programs_are_refused(void **state)
{
    (void)state;
    static const struct product c = {GRAFT_DTYPE_Q4_1, 0, 8, 64, 96, 0, 1};
    static const char *const words[] = {
        "no such op",     "absent",          "there are only", "expected F32", "do not fit",
        "make a block",   "multiples of 64", "ends inside",    "rank 5",       "no such thing",
        "does not exist", "has 1",           "dimension 0",    "at most 10"};
    struct program_host host;
    assert_true(program_host_init(&host, 1));
    for (int i = 0; i < (int)(sizeof words / sizeof words[0]); i++) {
        struct fixture f;
        fixture_init(&f, &host, make_matmul, &c);
        struct graft_node *n = &f.p.nodes[0];
        struct graft_tensor *x = &f.p.tensors[0], *w = &f.p.tensors[1];
        if (i == 0) n->op = 999;
        if (i == 1) n->input[1] = GRAFT_ABSENT;
        if (i == 2) n->input[2] = n->input[0], n->input_count = 3;
        if (i == 3) x->dtype = GRAFT_DTYPE_I32;
        if (i == 4) n->params.matmul.transpose_a = 1;
        if (i == 5) w->shape.dim[1] = 95;
        if (i == 6) x->offset = 4;
        if (i == 7) x->shape.dim[0] = 1 << 20;
        if (i == 8) x->shape.rank = 5;
        if (i == 9) x->dtype = 77;
        if (i == 10) n->input[0] = 3;
        if (i == 11) x->buffer = 1;
        if (i == 12) x->shape.dim[0] = 0;
        if (i == 13) n->input_count = 11;
        assert_int_equal(program_build(&f.p), GRAFT_E_INVALID);
        if (strstr(host.error, words[i]) == NULL || strstr(host.error, "node 0") == NULL)
            fail_msg("case %d: \"%s\" lacks \"%s\"", i, host.error, words[i]);
        fixture_fini(&f);
        assert_int_equal(host.held, 0);
    }
    program_host_fini(&host);
}

/* z = (x + y) + row, a sum that has no memory of its own. */
static void make_sweep(struct fixture *f, const void *unused)
{
    (void)unused;
    struct program *p = &f->p;
    struct graft_shape shape = graft_shape2(8, 16);
    uint32_t x = add_floats(f, shape, 1.0);
    uint32_t y = add_floats(f, shape, 1.0);
    uint32_t row = add_floats(f, graft_shape1(16), 1.0);
    uint32_t sum = program_tensor(p, GRAFT_DTYPE_F32, shape, NULL);
    uint32_t z = program_tensor(p, GRAFT_DTYPE_F32, shape, NULL);
    struct graft_node *first = program_node(p, GRAFT_OP_ADD, LIST(x, y), LIST(sum));
    first->sweep = 2;
    first->by_row = 3;
    program_node(p, GRAFT_OP_ADD, LIST(sum, row), LIST(z))->by_row = 1;
    p->tensors[sum].inner = 7;
}

/* z = x wᵀ + u vᵀ + y, of which the sums before the last have no memory. */
static void make_sum(struct fixture *f, const void *unused)
{
    (void)unused;
    struct program *p = &f->p;
    struct graft_shape shape = graft_shape2(8, 16);
    uint32_t x = add_floats(f, graft_shape2(8, 64), 1.0),
             w = add_floats(f, graft_shape2(16, 64), 1.0);
    uint32_t u = add_floats(f, graft_shape2(8, 4), 1.0),
             v = add_floats(f, graft_shape2(16, 4), 1.0);
    uint32_t y = add_floats(f, shape, 1.0), made[4];
    for (uint32_t i = 0; i < 4; i++) {
        made[i] = program_tensor(p, GRAFT_DTYPE_F32, shape, NULL);
        if (i < 3) p->tensors[made[i]].inner = 20 + i;
    }
    struct graft_node *first = program_node(p, GRAFT_OP_MATMUL, LIST(x, w), LIST(made[0]));
    first->params.matmul.transpose_b = 1;
    first->sweep = 4;
    first->by_row = 1;
    program_node(p, GRAFT_OP_MATMUL, LIST(u, v), LIST(made[1]))->params = first->params;
    program_node(p, GRAFT_OP_ADD, LIST(made[0], made[1]), LIST(made[2]))->by_row = 3;
    program_node(p, GRAFT_OP_ADD, LIST(made[2], y), LIST(made[3]))->by_row = 3;
}

static void refused_as_a_sweep(struct fixture *f, const struct program_host *host, const char *what)
{
    assert_int_equal(program_build(&f->p), GRAFT_E_INVALID);
    if (strstr(host->error, "sweep") == NULL) fail_msg("%s: \"%s\"", what, host->error);
    fixture_fini(f);
    assert_int_equal(host->held, 0);
}

static void malformed_sweeps_are_refused(void **state)
{
    (void)state;
    struct program_host host;
    struct fixture f;
    float z[128];
    assert_true(program_host_init(&host, 1));
    fixture_init(&f, &host, make_sweep, NULL);
    assert_int_equal(program_build(&f.p), GRAFT_OK);
    assert_int_equal(program_run(&f.p, 0, 0), GRAFT_OK);
    assert_int_equal(program_read(&f.p, 4, z), GRAFT_OK);
    for (int k = 0; k < 128; k++) {
        float sum = ((const float *)f.p.data[0])[k] + ((const float *)f.p.data[1])[k];
        assert_true(z[k] == sum + ((const float *)f.p.data[2])[k % 16]);
    }
    fixture_fini(&f);
    for (int i = 0; i < 5; i++) {
        static const char *const what[] = {"one node more than there are", "a row that has no 8",
                                           "what has no memory, whole", "other rows are live",
                                           "inner of nothing"};
        fixture_init(&f, &host, make_sweep, NULL);
        struct graft_node *n = f.p.nodes;
        if (i == 0) n[0].sweep = 3;
        if (i == 1) n[1].by_row = 3;
        if (i == 2) n[1].by_row = 0;
        if (i == 3) f.p.tensors[4].rows = GRAFT_ROWS_TOKENS;
        if (i == 4) n[0].sweep = 0;
        refused_as_a_sweep(&f, &host, what[i]);
    }
    program_host_fini(&host);
}

static void malformed_sums_are_refused(void **state)
{
    (void)state;
    struct program_host host;
    struct fixture f;
    assert_true(program_host_init(&host, 1));
    fixture_init(&f, &host, make_sum, NULL);
    assert_int_equal(program_build(&f.p), GRAFT_OK);
    fixture_fini(&f);
    for (int i = 0; i < 5; i++) {
        static const char *const what[] = {"one node more than there are",
                                           "a product that nobody adds", "added twice",
                                           "added to something else", "a sum without memory"};
        fixture_init(&f, &host, make_sum, NULL);
        struct graft_node *n = f.p.nodes;
        if (i == 0) n[0].sweep = 5;
        if (i == 1) n[2].input[1] = 4;
        if (i == 2) n[3].input[1] = 6;
        if (i == 3) n[2].input[0] = 4;
        if (i == 4) f.p.tensors[8].inner = 9;
        refused_as_a_sweep(&f, &host, what[i]);
    }
    program_host_fini(&host);
}

static void buffers_keep_their_bounds(void **state)
{
    (void)state;
    struct program_host host;
    struct graft_device *device;
    struct graft_buffer *b;
    static const uint8_t page[256] = {1, 2, 3};
    uint8_t back[256];
    assert_true(program_host_init(&host, 1));
    assert_int_equal(backend->open(&host.table, 0, &device), GRAFT_OK);
    for (uint64_t bytes = 0; bytes <= 3 << 20; bytes = bytes * 3 + 200) {
        assert_int_equal(backend->buffer_create(device, bytes, &b), GRAFT_OK);
        for (uint64_t at = 0; at + 256 <= bytes; at += 256) {
            assert_int_equal(backend->buffer_read(b, at, back, 256), GRAFT_OK);
            for (int i = 0; i < 256; i++) assert_int_equal(back[i], 0);
        }
        assert_int_equal(backend->buffer_write(b, bytes, page, 1), GRAFT_E_INVALID);
        assert_int_equal(backend->buffer_read(b, UINT64_MAX, back, 2), GRAFT_E_INVALID);
        backend->buffer_destroy(b);
    }
    assert_int_equal(backend->buffer_import(device, page, sizeof page, &b), GRAFT_OK);
    assert_int_equal(backend->buffer_read(b, 0, back, sizeof page), GRAFT_OK);
    assert_memory_equal(back, page, sizeof page);
    assert_int_equal(backend->buffer_write(b, 0, page, 1), GRAFT_E_INVALID);
    backend->buffer_destroy(b);
    struct graft_device_info info = {.struct_size = sizeof info};
    assert_int_equal(backend->device_info(&host.table, 0, &info), 1);
    assert_true(info.usable == 1 && strstr(info.name, "1 thread,") != NULL);
    assert_int_equal(backend->device_info(&host.table, 1, &info), 0);
    backend->close(device);
    assert_int_equal(host.held, 0);
    program_host_fini(&host);
}

int main(void)
{
    const struct graft_plugin *plugin = program_plugin("cpu");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_may_be_absent),
        cmocka_unit_test(live_rows_bound_the_work),
        cmocka_unit_test(rows_do_not_depend_on_their_neighbours),
        cmocka_unit_test(queries_do_not_depend_on_their_neighbours),
        cmocka_unit_test(scratch_may_hold_anything),
        cmocka_unit_test(refused_memory_is_a_status),
        cmocka_unit_test(products_are_cut_for_the_threads),
        cmocka_unit_test(malformed_programs_are_refused),
        cmocka_unit_test(malformed_sweeps_are_refused),
        cmocka_unit_test(malformed_sums_are_refused),
        cmocka_unit_test(buffers_keep_their_bounds),
    };
    if (plugin == NULL) {
        fprintf(stderr, "backend-cpu.so is not in %s: %s\n", GRAFT_BUILD_DIR, dlerror());
        return 1;
    }
    backend = plugin->functions;
    return TEST_MAIN(tests);
}

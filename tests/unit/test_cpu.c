/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU backend through its plugin: every op equals the reference and is bit-equal at any number
 * of threads.
 */
#include "unit/cpu_nodes.h"

/* The made node equals the reference, and at 1, 2 and 3 threads its bits are the same. */
static void check(make_function *make, const void *argument)
{
    void *first[GRAFT_MAX_OUTPUTS], *next = malloc(MAX_BYTES), *want[GRAFT_MAX_OUTPUTS];
    for (int i = 0; i < GRAFT_MAX_OUTPUTS; i++) {
        first[i] = malloc(MAX_BYTES);
        want[i] = malloc(MAX_BYTES);
    }
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct program_host host;
        struct fixture f;
        assert_true(program_host_init(&host, threads));
        fixture_init(&f, &host, make, argument);
        const struct graft_node *n = &f.p.nodes[0];
        if (program_build(&f.p) != GRAFT_OK) fail_msg("%s", host.error);
        assert_int_equal(program_run(&f.p, TOKENS, TOKENS), GRAFT_OK);
        if (threads == 1) reference(&f.p, want);
        for (uint32_t i = 0; i < n->output_count; i++) {
            uint32_t t = n->output[i];
            if (t == GRAFT_ABSENT) continue;
            assert_true(f.p.sizes[t] <= MAX_BYTES);
            assert_int_equal(program_read(&f.p, t, threads == 1 ? first[i] : next), GRAFT_OK);
            if (threads == 1)
                compare(&f.p, t, first[i], want[i]);
            else
                assert_memory_equal(next, first[i], f.p.sizes[t]);
        }
        fixture_fini(&f);
        assert_int_equal(host.held, 0);
        program_host_fini(&host);
    }
    for (int i = 0; i < GRAFT_MAX_OUTPUTS; i++) {
        free(first[i]);
        free(want[i]);
    }
    free(next);
}

static void matmul_is_the_reference(void **state)
{
    (void)state;
    static const struct product cases[] = {
        {GRAFT_DTYPE_F32, 0, 1, 1, 1, 0, 0},      {GRAFT_DTYPE_F32, 0, 150, 8, 576, 0, 1},
        {GRAFT_DTYPE_F32, 0, 150, 576, 8, 0, 1},  {GRAFT_DTYPE_F32, 0, 8, 576, 150, 1, 0},
        {GRAFT_DTYPE_F32, 0, 576, 8, 150, 1, 0},  {GRAFT_DTYPE_F32, 0, 150, 577, 300, 0, 0},
        {GRAFT_DTYPE_F32, 0, 37, 53, 41, 1, 1},   {GRAFT_DTYPE_F32, 0, 600, 260, 257, 0, 1},
        {GRAFT_DTYPE_F32, 0, 3, 200, 2100, 0, 1}, {GRAFT_DTYPE_F32, 0, 2, 97, 65, 1, 0},
        {GRAFT_DTYPE_F32, 5, 17, 33, 19, 0, 0},   {GRAFT_DTYPE_F32, 3, 30, 9, 70, 1, 1},
        {GRAFT_DTYPE_F32, 4, 7, 64, 12, 0, 1},    {GRAFT_DTYPE_F32, 0, 300, 1100, 40, 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check(make_matmul, &cases[i]);
}

static void matmul_takes_every_type(void **state)
{
    (void)state;
    for (int32_t dtype = GRAFT_DTYPE_F16; dtype <= GRAFT_DTYPE_NF4; dtype++) {
        if (!quant_is_weight(dtype)) continue;
        const struct product cases[] = {{dtype, 0, 150, 256, 512, 0, 1},
                                        {dtype, 0, 150, 512, 200, 0, 0},
                                        {dtype, 0, 2, 256, 2304, 0, 1}};
        for (int i = 0; i < 3; i++) check(make_matmul, &cases[i]);
    }
}

struct elementwise {
    int32_t op;
    struct graft_shape a, b, out;
};

static void make_binary(struct fixture *f, const void *argument)
{
    const struct elementwise *c = argument;
    uint32_t a = add_floats(f, c->a, 2.0), b = add_floats(f, c->b, 2.0);
    program_node(&f->p, c->op, LIST(a, b), LIST(add_output(f, GRAFT_DTYPE_F32, c->out)));
}

static void make_unary(struct fixture *f, const void *argument)
{
    const struct elementwise *c = argument;
    uint32_t a = add_floats(f, c->a, 8.0);
    struct graft_node *n =
        program_node(&f->p, c->op, LIST(a), LIST(add_output(f, GRAFT_DTYPE_F32, c->out)));
    if (c->op == GRAFT_OP_AFFINE) {
        n->params.affine.scale = 0.9;
        n->params.affine.shift = -0.25;
    }
    float *x = f->owned[0];
    for (int i = 0; c->op == GRAFT_OP_SQRT && i < graft_shape_count(c->a); i++) x[i] = fabsf(x[i]);
    if (c->op == GRAFT_OP_FINITE) {
        x[3] = INFINITY;
        x[5] = NAN;
    }
}

static void make_broadcast(struct fixture *f, const void *argument)
{
    const struct elementwise *c = argument;
    uint32_t a = add_floats(f, c->a, 2.0);
    struct graft_node *n =
        program_node(&f->p, c->op, LIST(a), LIST(add_output(f, GRAFT_DTYPE_F32, c->out)));
    n->params.shape = c->out;
}

static void elementwise_is_the_reference(void **state)
{
    (void)state;
    struct graft_shape flat = graft_shape1(100003), tc = graft_shape2(TOKENS, 576);
    const struct elementwise binary[] = {
        {0, flat, flat, flat},
        {0, flat, graft_shape1(1), flat},
        {0, graft_shape1(1), tc, tc},
        {0, tc, graft_shape2(TOKENS, 1), tc},
        {0, graft_shape1(576), tc, tc},
        {0, graft_shape2(TOKENS, 1), graft_shape2(1, 7), graft_shape2(TOKENS, 7)},
        {0, graft_shape3(9, 1, 11), graft_shape4(4, 1, 5, 1), graft_shape4(4, 9, 5, 11)},
    };
    for (int32_t op = GRAFT_OP_ADD; op <= GRAFT_OP_DIV; op++)
        for (size_t i = 0; i < sizeof binary / sizeof binary[0]; i++) {
            struct elementwise c = binary[i];
            c.op = op;
            check(make_binary, &c);
            c.op = GRAFT_OP_MINIMUM;
            if (op == GRAFT_OP_ADD) check(make_binary, &c);
        }
    for (int32_t op = GRAFT_OP_AFFINE; op <= GRAFT_OP_FINITE; op++) {
        struct elementwise c = {op, flat, flat, flat};
        check(make_unary, &c);
    }
    const struct elementwise repeat[] = {
        {GRAFT_OP_BROADCAST, graft_shape1(1), flat, flat},
        {GRAFT_OP_BROADCAST, graft_shape2(TOKENS, 1), tc, tc},
        {GRAFT_OP_BROADCAST, graft_shape2(1, 576), tc, tc},
        {GRAFT_OP_RESHAPE, tc, tc, graft_shape3(TOKENS, 9, 64)},
    };
    for (size_t i = 0; i < sizeof repeat / sizeof repeat[0]; i++) check(make_broadcast, &repeat[i]);
}

static void make_sum(struct fixture *f, const void *argument)
{
    const struct elementwise *c = argument;
    uint32_t a = add_floats(f, c->a, 1.0);
    struct graft_shape out = c->a;
    float *x = f->owned[0]; /* no cancellation: the budget is relative to the sum */
    for (int64_t i = 0; i < graft_shape_count(c->a); i++) x[i] = fabsf(x[i]);
    for (int32_t i = 0; i < out.rank; i++)
        if (c->op >> i & 1) out.dim[i] = 1;
    struct graft_node *n =
        program_node(&f->p, GRAFT_OP_SUM, LIST(a), LIST(add_output(f, GRAFT_DTYPE_F32, out)));
    n->params.sum.axes = c->op;
}

static void sums_are_the_reference(void **state)
{
    (void)state;
    const struct graft_shape shapes[] = {graft_shape1(70000), graft_shape2(TOKENS, 576),
                                         graft_shape3(7, 20000, 3), graft_shape4(3, 5, 70, 9),
                                         graft_shape2(2, 40000)};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int32_t axes = 0; axes < 1 << shapes[i].rank; axes++) {
            struct elementwise c = {axes, shapes[i], shapes[i], shapes[i]};
            check(make_sum, &c);
        }
}

static void make_embedding(struct fixture *f, const void *argument)
{
    uint32_t ids = add_ints(f, TOKENS, 0, 99);
    uint32_t table = add_weight(f, *(const int32_t *)argument, 99, 512);
    uint32_t y = add_output(f, GRAFT_DTYPE_F32, graft_shape2(TOKENS, 512));
    program_node(&f->p, GRAFT_OP_EMBEDDING, LIST(ids, table), LIST(y));
}

/* op: GATHER_ROWS, SCATTER_ROWS or WRITE_ROWS, on 70 rows of 150. */
static void make_rows(struct fixture *f, const void *argument)
{
    int32_t op = *(const int32_t *)argument, index[TOKENS];
    for (int32_t i = 0; i < TOKENS; i++) index[i] = i;
    for (int32_t i = TOKENS - 1; i > 0; i--) {
        int32_t j = (int32_t)(uniform() * (i + 1)), swap = index[i];
        index[i] = index[j];
        index[j] = swap;
    }
    bool gather = op == GRAFT_OP_GATHER_ROWS;
    uint32_t x = add_floats(f, graft_shape2(gather ? TOKENS : 70, 333), 1.0);
    uint32_t at = add_ints(f, 70, 0, 1);
    memcpy(f->owned[1], index, 70 * sizeof *index);
    struct graft_shape all = graft_shape2(TOKENS, 333);
    if (op == GRAFT_OP_WRITE_ROWS) {
        uint32_t to = add_floats(f, all, 1.0);
        program_node(&f->p, op, LIST(to, x, at), LIST(to));
        return;
    }
    uint32_t y = add_output(f, GRAFT_DTYPE_F32, gather ? graft_shape2(70, 333) : all);
    struct graft_node *n = program_node(&f->p, op, LIST(x, at), LIST(y));
    if (!gather) n->params.rows.capacity = TOKENS;
}

/* argument: 0 assign, 1 with guard, 2 accumulate */
static void make_assign(struct fixture *f, const void *argument)
{
    int kind = *(const int *)argument;
    struct graft_shape s = graft_shape2(TOKENS, 333);
    uint32_t to = add_floats(f, s, 1.0), from = add_floats(f, s, 1.0);
    uint32_t guard = kind == 1 ? add_floats(f, graft_shape1(1), 0.0) : GRAFT_ABSENT;
    if (kind == 2)
        program_node(&f->p, GRAFT_OP_ACCUMULATE, LIST(to, from), LIST(to));
    else
        program_node(&f->p, GRAFT_OP_ASSIGN, LIST(to, from, guard), LIST(to));
}

static void rows_and_writes_are_the_reference(void **state)
{
    (void)state;
    static const int32_t ops[] = {GRAFT_OP_GATHER_ROWS, GRAFT_OP_SCATTER_ROWS, GRAFT_OP_WRITE_ROWS};
    for (int i = 0; i < 3; i++) check(make_rows, &ops[i]);
    for (int i = 0; i < 3; i++) check(make_assign, &i);
    for (int32_t dtype = 0; dtype <= GRAFT_DTYPE_NF4; dtype++)
        if (quant_is_weight(dtype)) check(make_embedding, &dtype);
}

/* argument: rotary, interleaved, inverse */
static void make_rope(struct fixture *f, const void *argument)
{
    const int32_t *c = argument;
    uint32_t x = add_floats(f, graft_shape2(TOKENS, 576), 1.0);
    uint32_t table = add_floats(f, graft_shape2(TOKENS, c[0]), 1.0);
    uint32_t y = add_output(f, GRAFT_DTYPE_F32, graft_shape2(TOKENS, 576));
    struct graft_node *n = program_node(&f->p, GRAFT_OP_ROPE, LIST(x, table), LIST(y));
    n->params.rope.head_size = 64;
    n->params.rope.rotary = c[0];
    n->params.rope.interleaved = c[1];
    n->params.rope.inverse = c[2];
}

static void make_rope_table(struct fixture *f, const void *argument)
{
    (void)argument;
    uint32_t positions = add_ints(f, TOKENS, 0, 100000);
    uint32_t frequency = add_floats(f, graft_shape1(32), 1.0);
    uint32_t y = add_output(f, GRAFT_DTYPE_F32, graft_shape2(TOKENS, 64));
    struct graft_node *n =
        program_node(&f->p, GRAFT_OP_ROPE_TABLE, LIST(positions, frequency), LIST(y));
    n->params.rope.factor = 1.25;
}

static void make_dropout(struct fixture *f, const void *argument)
{
    int64_t channels = *(const int64_t *)argument;
    uint32_t x = add_floats(f, graft_shape2(TOKENS, channels), 1.0);
    uint32_t row = add_ints(f, TOKENS, 0, 50), token = add_ints(f, TOKENS, 0, 500);
    uint32_t step = add_ints(f, 1, 7, 8);
    uint32_t y = add_output(f, GRAFT_DTYPE_F32, graft_shape2(TOKENS, channels));
    struct graft_node *n =
        program_node(&f->p, GRAFT_OP_DROPOUT, LIST(x, row, token, step), LIST(y));
    n->params.dropout.rate = 0.1;
    n->params.dropout.key[0] = 17;
    n->params.dropout.key[1] = 0xDEADBEEF;
}

static void blocks_are_the_reference(void **state)
{
    (void)state;
    static const int32_t ops[] = {GRAFT_OP_RMS_NORM, GRAFT_OP_RMS_NORM_BACKWARD, GRAFT_OP_SWIGLU,
                                  GRAFT_OP_SWIGLU_BACKWARD};
    static const int32_t ropes[][3] = {{64, 0, 0}, {64, 1, 0}, {64, 0, 1}, {32, 0, 0}, {16, 1, 1}};
    for (int i = 0; i < 4; i++) check(make_block, &ops[i]);
    for (int i = 0; i < 5; i++) check(make_rope, ropes[i]);
    check(make_rope_table, NULL);
    for (int64_t c = 575; c <= 576; c++) check(make_dropout, &c);
}

static void attention_is_the_reference(void **state)
{
    (void)state;
    static const struct attention cases[] = {
        {9, 3, 64, 0, 0.0, 0},  {4, 4, 16, 0, 0.0, 0},  {6, 1, 20, 13, 0.0, 0},
        {2, 1, 300, 0, 5.0, 0}, {70, 1, 8, 30, 2.0, 0}, {9, 3, 64, 0, 0.0, 1},
        {4, 2, 12, 20, 1.5, 1}, {4, 2, 32, 0, 0.0, 2},  {2, 2, 16, 135, 3.0, 2},
        {4, 2, 12, 20, 1.5, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check(make_attention, &cases[i]);
        if (cases[i].cache % 2 == 0) check(make_attention_backward, &cases[i]);
    }
}

static void make_cross_entropy_backward(struct fixture *f, const void *argument)
{
    const struct loss *c = argument;
    make_cross_entropy(f, argument);
    struct graft_node n = f->p.nodes[0];
    uint32_t d = add_floats(f, graft_shape1(c->rows), 1.0);
    uint32_t dz = add_output(f, GRAFT_DTYPE_F32, graft_shape2(c->rows, c->vocabulary));
    f->p.node_count = 0;
    program_node(&f->p, GRAFT_OP_CROSS_ENTROPY_BACKWARD, LIST(n.input[0], n.input[1], d), LIST(dz));
}

static void losses_are_the_reference(void **state)
{
    (void)state;
    static const struct loss cases[] = {
        {GRAFT_DTYPE_F32, 150, 1000, 64},  {GRAFT_DTYPE_F32, 300, 515, 300},
        {GRAFT_DTYPE_Q4_1, 150, 1001, 96}, {GRAFT_DTYPE_F32, 1, 3, 5},
        {GRAFT_DTYPE_F32, 20, 2600, 64},   {GRAFT_DTYPE_Q8_0, 700, 130, 32},
        {GRAFT_DTYPE_BF16, 2100, 40, 8}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check(make_head_loss, &cases[i]);
        check(make_cross_entropy, &cases[i]);
        check(make_cross_entropy_backward, &cases[i]);
    }
}

int main(void)
{
    const struct graft_plugin *plugin = program_plugin("cpu");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matmul_is_the_reference),
        cmocka_unit_test(matmul_takes_every_type),
        cmocka_unit_test(elementwise_is_the_reference),
        cmocka_unit_test(sums_are_the_reference),
        cmocka_unit_test(rows_and_writes_are_the_reference),
        cmocka_unit_test(blocks_are_the_reference),
        cmocka_unit_test(attention_is_the_reference),
        cmocka_unit_test(losses_are_the_reference),
    };
    if (plugin == NULL) {
        fprintf(stderr, "backend-cpu.so is not in %s: %s\n", GRAFT_BUILD_DIR, dlerror());
        return 1;
    }
    backend = plugin->functions;
    return TEST_MAIN(tests);
}

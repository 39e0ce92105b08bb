/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU backend through its plugin: every op equals the reference and is bit-equal at any number
 * of threads, absent outputs and zero live rows are fine, refused allocations leak nothing, and
 * malformed programs are refused with a text. Inputs come from a fixed seed.
 */
#include "unit/test.h"

#include "bench/program.h"
#include "ref/ref.h"

#include <math.h>

enum { TOKENS = 150, MAX_BYTES = 1 << 23 };
#define LIST(...) ((const uint32_t[]){__VA_ARGS__, PROGRAM_END})

static const struct graft_backend *backend;
static uint64_t seed = 12345;

static double uniform(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 40) / 16777216.0;
}

static float *floats(int64_t n, double scale)
{
    float *x = malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++) x[i] = (float)(scale * (2.0 * uniform() - 1.0));
    return x;
}

/* A weight [rows, columns] of any type. */
static void *weight(int32_t dtype, int64_t rows, int64_t columns, uint64_t *bytes)
{
    float *x = floats(rows * columns, 0.3);
    if (dtype == GRAFT_DTYPE_F32) {
        *bytes = (uint64_t)(rows * columns) * sizeof *x;
        return x;
    }
    uint8_t *w;
    if (dtype == GRAFT_DTYPE_NF4) {
        float *absmax = malloc((size_t)(rows * columns) * sizeof *absmax);
        *bytes = nf4_bytes(rows * columns, 64, true);
        w = malloc(*bytes);
        nf4_init((void *)w, rows * columns, 64, true);
        quantize_nf4(x, 0, rows * columns, (void *)w, absmax);
        quantize_nf4_scales(absmax, (void *)w);
        free(absmax);
    } else {
        *bytes = (uint64_t)rows * quant_row_bytes(dtype, columns);
        w = malloc(*bytes);
        /* K-quants have no quantizer here: any bytes are codes, the scales are made small. */
        if (!quantize_row(dtype, x, w, rows * columns)) {
            size_t size = quant_row_bytes(dtype, 256);
            for (uint64_t i = 0; i < *bytes; i++) w[i] = (uint8_t)(uniform() * 256.0);
            for (uint64_t i = 0; i < *bytes; i += size) {
                uint16_t small = 0x0C00; /* 2^-12 */
                memcpy(w + i + (dtype == GRAFT_DTYPE_Q6_K ? 208 : 0), &small, 2);
                if (dtype != GRAFT_DTYPE_Q6_K) memcpy(w + i + 2, &small, 2);
            }
        }
    }
    free(x);
    return w;
}

/* What one test makes and frees. */
struct fixture {
    struct program p;
    void *owned[PROGRAM_TENSORS];
    uint32_t owned_count;
};

static uint32_t add_floats(struct fixture *f, struct graft_shape shape, double scale)
{
    float *x = floats(graft_shape_count(shape), scale);
    f->owned[f->owned_count++] = x;
    return program_tensor(&f->p, GRAFT_DTYPE_F32, shape, x);
}

static uint32_t add_ints(struct fixture *f, int64_t n, int32_t from, int32_t below)
{
    int32_t *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = from + (int32_t)(uniform() * (below - from));
    f->owned[f->owned_count++] = x;
    return program_tensor(&f->p, GRAFT_DTYPE_I32, graft_shape1(n), x);
}

static uint32_t add_weight(struct fixture *f, int32_t dtype, int64_t rows, int64_t columns)
{
    uint64_t bytes;
    void *w = weight(dtype, rows, columns, &bytes);
    f->owned[f->owned_count++] = w;
    return program_sized(&f->p, dtype, graft_shape2(rows, columns), w, bytes);
}

static uint32_t add_output(struct fixture *f, int32_t dtype, struct graft_shape shape)
{
    return program_tensor(&f->p, dtype, shape, NULL);
}

/* Node 0 by the reference, on copies; outputs into `out`. */
static void reference(const struct program *p, void *out[GRAFT_MAX_OUTPUTS])
{
    const struct graft_node *n = &p->nodes[0];
    struct kernel_call call = {.op = n->op, .params = n->params};
    void *copies[GRAFT_MAX_INPUTS] = {NULL};
    for (uint32_t i = 0; i < n->input_count; i++) {
        if (n->input[i] == GRAFT_ABSENT) continue;
        uint32_t t = n->input[i];
        copies[i] = malloc(p->sizes[t]);
        memcpy(copies[i], p->data[t], p->sizes[t]);
        call.in[i] = (struct kernel_tensor){copies[i], p->tensors[t].dtype, p->tensors[t].shape};
    }
    for (uint32_t i = 0; i < n->output_count; i++) {
        if (n->output[i] == GRAFT_ABSENT) continue;
        uint32_t t = n->output[i];
        for (uint32_t k = 0; k < n->input_count; k++)
            if (n->input[k] == t) memcpy(out[i], p->data[t], p->sizes[t]);
        call.out[i] = (struct kernel_tensor){out[i], p->tensors[t].dtype, p->tensors[t].shape};
    }
    kernel_function *kernel = ref_kernel(n->op);
    assert_non_null(kernel);
    kernel(&call);
    for (uint32_t i = 0; i < n->input_count; i++) {
        if (n->output_count == 1 && n->input[i] == n->output[0])
            memcpy(out[0], copies[i], p->sizes[n->input[i]]);
        free(copies[i]);
    }
}

static void compare(const struct program *p, uint32_t tensor, const void *got, const void *want)
{
    if (p->tensors[tensor].dtype != GRAFT_DTYPE_F32) {
        assert_memory_equal(got, want, p->sizes[tensor]);
        return;
    }
    const float *a = got, *b = want;
    size_t n = p->sizes[tensor] / sizeof *a;
    double scale = 1e-30;
    for (size_t i = 0; i < n; i++) scale = isfinite(b[i]) ? fmax(scale, fabs(b[i])) : scale;
    for (size_t i = 0; i < n; i++) {
        if (isinf(b[i]) && a[i] == b[i]) continue;
        /* f32 sums of up to 2,000 terms against double ones; elementwise ops need far less. */
        if (!(fabs((double)a[i] - b[i]) <= 2e-6 * scale + 2e-6 * fabs(b[i])))
            fail_msg("op %d, output at %zu of %zu: %.9g, reference %.9g", p->nodes[0].op, i, n,
                     (double)a[i], (double)b[i]);
    }
}

typedef void make_function(struct fixture *f, const void *argument);

static void fixture_init(struct fixture *f, struct program_host *host, make_function *make,
                         const void *argument)
{
    memset(f, 0, sizeof *f);
    seed = 12345;
    assert_true(program_init(&f->p, host, backend));
    make(f, argument);
}

static void fixture_fini(struct fixture *f)
{
    program_fini(&f->p);
    for (uint32_t i = 0; i < f->owned_count; i++) free(f->owned[i]);
}

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

struct product {
    int32_t dtype;
    int64_t batch, m, n, k; /* batch 0: rank 2 */
    int32_t ta, tb;
};

static void make_matmul(struct fixture *f, const void *argument)
{
    const struct product *c = argument;
    int64_t a[2] = {c->ta ? c->k : c->m, c->ta ? c->m : c->k};
    int64_t b[2] = {c->tb ? c->n : c->k, c->tb ? c->k : c->n};
    uint32_t x, w, y;
    if (c->batch > 0) {
        x = add_floats(f, graft_shape3(c->batch, a[0], a[1]), 1.0);
        w = add_floats(f, graft_shape3(c->batch, b[0], b[1]), 1.0);
        y = add_output(f, GRAFT_DTYPE_F32, graft_shape3(c->batch, c->m, c->n));
    } else {
        x = add_floats(f, graft_shape2(a[0], a[1]), 1.0);
        w = add_weight(f, c->dtype, b[0], b[1]);
        y = add_output(f, GRAFT_DTYPE_F32, graft_shape2(c->m, c->n));
    }
    struct graft_node *n = program_node(&f->p, GRAFT_OP_MATMUL, LIST(x, w), LIST(y));
    n->params.matmul.transpose_a = c->ta;
    n->params.matmul.transpose_b = c->tb;
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
        {GRAFT_DTYPE_F32, 4, 7, 64, 12, 0, 1},
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

/* argument: an op of rows [T, C] with C = 576 */
static void make_block(struct fixture *f, const void *argument)
{
    int32_t op = *(const int32_t *)argument;
    struct graft_shape s = graft_shape2(TOKENS, 576);
    uint32_t x = add_floats(f, s, 3.0), y = add_floats(f, s, 3.0), z = add_floats(f, s, 3.0);
    uint32_t w = add_floats(f, graft_shape1(576), 1.0);
    uint32_t out = add_output(f, GRAFT_DTYPE_F32, s), out2 = add_output(f, GRAFT_DTYPE_F32, s);
    if (op == GRAFT_OP_RMS_NORM)
        program_node(&f->p, op, LIST(x, w), LIST(out))->params.norm.eps = 1e-5;
    else if (op == GRAFT_OP_RMS_NORM_BACKWARD)
        program_node(&f->p, op, LIST(x, y, w), LIST(out))->params.norm.eps = 1e-5;
    else if (op == GRAFT_OP_SWIGLU)
        program_node(&f->p, op, LIST(x, y), LIST(out));
    else
        program_node(&f->p, op, LIST(x, y, z), LIST(out, out2));
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

struct attention {
    int32_t heads, kv_heads, size, window;
    double softcap;
    /* 1: queries that see ranges anywhere in 400 keys, one sees none; 2: one document; 3: one of
     * 400 keys, of which they see half */
    int cache;
};

static void make_attention(struct fixture *f, const void *argument)
{
    const struct attention *c = argument;
    int64_t keys = c->cache % 2 == 1 ? 400 : TOKENS, queries = c->cache == 1 ? 5 : TOKENS;
    uint32_t q = add_floats(f, graft_shape2(queries, c->heads * c->size), 1.0);
    uint32_t k = add_floats(f, graft_shape2(keys, c->kv_heads * c->size), 1.0);
    uint32_t v = add_floats(f, graft_shape2(keys, c->kv_heads * c->size), 1.0);
    uint32_t first = add_ints(f, queries, 0, 1), last = add_ints(f, queries, 0, 1);
    int32_t *from = f->owned[3], *to = f->owned[4];
    for (int32_t t = 0; t < queries; t++) { /* documents of 1, 9, 70 and 70 tokens */
        from[t] = t < 1 ? 0 : t < 10 ? 1 : t < 80 ? 10 : 80;
        to[t] = t;
        if (c->cache == 2) from[t] = 0;
        if (c->cache == 3) from[t] = 7;
        if (c->cache == 3) to[t] = 200 + t;
        if (c->cache == 1) from[t] = t * 80;
        if (c->cache == 1) to[t] = t == 2 ? t * 80 - 1 : t * 80 + 17 * t;
    }
    uint32_t o = add_output(f, GRAFT_DTYPE_F32, graft_shape2(queries, c->heads * c->size));
    uint32_t lse = add_output(f, GRAFT_DTYPE_F32, graft_shape2(queries, c->heads));
    struct graft_node *n =
        program_node(&f->p, GRAFT_OP_ATTENTION, LIST(q, k, v, first, last), LIST(o, lse));
    n->params.attention.heads = c->heads;
    n->params.attention.kv_heads = c->kv_heads;
    n->params.attention.head_size = c->size;
    n->params.attention.window = c->window;
    n->params.attention.scale = 0.7;
    n->params.attention.softcap = c->softcap;
}

/* The forward's inputs, its outputs by the reference, and a gradient. */
static void make_attention_backward(struct fixture *f, const void *argument)
{
    const struct attention *c = argument;
    make_attention(f, argument);
    struct graft_node n = f->p.nodes[0];
    void *out[GRAFT_MAX_OUTPUTS] = {malloc(MAX_BYTES), malloc(MAX_BYTES), NULL, NULL};
    reference(&f->p, out);
    f->owned[f->owned_count++] = out[0];
    f->owned[f->owned_count++] = out[1];
    f->p.data[n.output[0]] = out[0];
    f->p.data[n.output[1]] = out[1];
    struct graft_shape qs = graft_shape2(TOKENS, c->heads * c->size);
    struct graft_shape ks = graft_shape2(TOKENS, c->kv_heads * c->size);
    uint32_t d = add_floats(f, qs, 1.0), dq = add_output(f, GRAFT_DTYPE_F32, qs);
    uint32_t dk = add_output(f, GRAFT_DTYPE_F32, ks), dv = add_output(f, GRAFT_DTYPE_F32, ks);
    f->p.node_count = 0;
    struct graft_node *b = program_node(&f->p, GRAFT_OP_ATTENTION_BACKWARD,
                                        LIST(n.input[0], n.input[1], n.input[2], n.input[3],
                                             n.input[4], n.output[0], n.output[1], d),
                                        LIST(dq, dk, dv));
    b->params = n.params;
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

struct loss {
    int32_t dtype;
    int64_t rows, vocabulary, channels;
};

static void make_cross_entropy(struct fixture *f, const void *argument)
{
    const struct loss *c = argument;
    uint32_t z = add_floats(f, graft_shape2(c->rows, c->vocabulary), 5.0);
    uint32_t target = add_ints(f, c->rows, 0, (int32_t)c->vocabulary);
    ((int32_t *)f->owned[1])[0] = -1;
    uint32_t nll = add_output(f, GRAFT_DTYPE_F32, graft_shape1(c->rows));
    uint32_t best = add_output(f, GRAFT_DTYPE_I32, graft_shape1(c->rows));
    program_node(&f->p, GRAFT_OP_CROSS_ENTROPY, LIST(z, target), LIST(nll, best));
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

static void make_head_loss(struct fixture *f, const void *argument)
{
    const struct loss *c = argument;
    uint32_t x = add_floats(f, graft_shape2(c->rows, c->channels), 1.0);
    uint32_t w = add_weight(f, c->dtype, c->vocabulary, c->channels);
    uint32_t target = add_ints(f, c->rows, 0, (int32_t)c->vocabulary);
    ((int32_t *)f->owned[2])[c->rows / 2] = -100;
    uint32_t nll = add_output(f, GRAFT_DTYPE_F32, graft_shape1(c->rows));
    uint32_t best = add_output(f, GRAFT_DTYPE_I32, graft_shape1(c->rows));
    uint32_t g = add_output(f, GRAFT_DTYPE_F32, graft_shape2(c->rows, c->channels));
    program_node(&f->p, GRAFT_OP_HEAD_LOSS, LIST(x, w, target), LIST(nll, best, g));
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
    static const int64_t lives[] = {1, 2, 3, 4, 5, 6, 7, 13, 16, 24, 25, 48, 49, 113};
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
    const struct graft_plugin *plugin = program_plugin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matmul_is_the_reference),
        cmocka_unit_test(matmul_takes_every_type),
        cmocka_unit_test(elementwise_is_the_reference),
        cmocka_unit_test(sums_are_the_reference),
        cmocka_unit_test(rows_and_writes_are_the_reference),
        cmocka_unit_test(blocks_are_the_reference),
        cmocka_unit_test(attention_is_the_reference),
        cmocka_unit_test(losses_are_the_reference),
        cmocka_unit_test(outputs_may_be_absent),
        cmocka_unit_test(live_rows_bound_the_work),
        cmocka_unit_test(rows_do_not_depend_on_their_neighbours),
        cmocka_unit_test(queries_do_not_depend_on_their_neighbours),
        cmocka_unit_test(refused_memory_is_a_status),
        cmocka_unit_test(malformed_programs_are_refused),
        cmocka_unit_test(buffers_keep_their_bounds),
    };
    if (plugin == NULL) {
        fprintf(stderr, "backend-cpu.so is not in %s: %s\n", GRAFT_BUILD_DIR, dlerror());
        return 1;
    }
    backend = plugin->functions;
    return TEST_MAIN(tests);
}

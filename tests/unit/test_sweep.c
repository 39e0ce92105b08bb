/* SPDX-License-Identifier: Apache-2.0
 *
 * Random graphs of ops that work by rows, with others between them, on the CPU: as sweeps, and on a
 * backend that says it runs none. Both give, bit for bit, what a loop over the nodes gives that
 * knows neither order nor memory. And which nodes a sweep takes in, by hand.
 */
#include "unit/sweep_plans.h"

#include <math.h>

enum { INPUTS = 3, STATES = 4, NUMBERS = 40, MOST = NUMBERS + 2, KEPT = 5, GRAPHS = 100 };

enum form {
    WHOLE,  /* [T, C] */
    CUBE,   /* a view of one: [T, C / 4, 4] */
    VECTOR, /* [C] */
    COLUMN, /* [T, 1] */
    ONE     /* [1] */
};

struct number {
    graft_value v;
    enum form form;
    float *now; /* what the loop made of it: live rows; a state's: before the run */
};

struct made {
    struct store *store;
    struct graph *graph;
    struct graft_builder *b;
    int64_t channels, capacity, live;
    struct number numbers[MOST];
    size_t count;
    struct stored *entry[INPUTS + STATES + 4];
    float *content[INPUTS + STATES + 4]; /* before the run */
    size_t entries;
    float *after[STATES]; /* by the loop; NULL: not assigned */
    int32_t *index;       /* of gathered rows */
    struct stored *indices;
    const struct number *kept[KEPT];
};

static int64_t count_of(const struct made *m, enum form form, int64_t rows)
{
    switch (form) {
    case VECTOR: return m->channels;
    case COLUMN: return rows;
    case ONE: return 1;
    default: return rows * m->channels;
    }
}

static struct graft_shape shape_of(const struct made *m, enum form form)
{
    switch (form) {
    case WHOLE:
        return m->channels == 1 ? graft_shape1(m->capacity)
                                : graft_shape2(m->capacity, m->channels);
    case CUBE: return graft_shape3(m->capacity, m->channels / 4, 4);
    case VECTOR: return graft_shape1(m->channels);
    case COLUMN: return graft_shape2(m->capacity, 1);
    default: return graft_shape1(1);
    }
}

static struct number *push(struct made *m, graft_value v, enum form form)
{
    struct number *n = &m->numbers[m->count++];
    *n = (struct number){.v = v, .form = form};
    n->now = malloc((size_t)count_of(m, form, m->live) * sizeof *n->now);
    return n;
}

static int32_t rows_of(enum form form)
{
    return form == VECTOR || form == ONE ? GRAFT_ROWS_FIXED : GRAFT_ROWS_TOKENS;
}

static struct number *add_entry(struct made *m, enum store_class kind, enum form form)
{
    char name[32];
    snprintf(name, sizeof name, "entry %zu", m->entries);
    struct stored *s =
        store_add(m->store, kind, name, GRAFT_DTYPE_F32, shape_of(m, form), rows_of(form));
    int64_t all = count_of(m, form, m->capacity);
    float *content = malloc((size_t)all * sizeof *content);
    for (int64_t i = 0; i < all; i++) content[i] = (float)draw(2001) / 1000.0f - 1.0f;
    struct number *n = push(m, graph_stored(m->graph, s), form);
    memcpy(n->now, content, (size_t)count_of(m, form, m->live) * sizeof *content);
    m->entry[m->entries] = s;
    m->content[m->entries++] = content;
    return n;
}

/* Entry i of `from` for entry i of a value of form `to`. */
static int64_t place_in(const struct made *m, enum form from, enum form to, int64_t i)
{
    switch (from) {
    case VECTOR: return i % m->channels;
    case COLUMN: return to == COLUMN ? i : i / m->channels;
    case ONE: return 0;
    default: return i;
    }
}

static float apply(enum graft_op op, float a, float b)
{
    switch (op) {
    case GRAFT_OP_ADD: return a + b;
    case GRAFT_OP_SUB: return a - b;
    case GRAFT_OP_MUL: return a * b;
    default: return a > b ? a : b;
    }
}

static const struct number *pick(const struct made *m, enum form form)
{
    for (;;) {
        /* late ones more often: long chains */
        uint32_t most = (uint32_t)m->count, back = draw(draw(2) != 0 && most > 6 ? 6 : most);
        if (m->numbers[most - 1 - back].form == form) return &m->numbers[most - 1 - back];
    }
}

static bool has(const struct made *m, enum form form)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->numbers[i].form == form) return true;
    return false;
}

static bool value_is_made(const struct made *m, graft_value v)
{
    return graph_value(m->graph, v)->node != UINT32_MAX;
}

static void add_binary(struct made *m)
{
    static const enum graft_op ops[] = {GRAFT_OP_ADD, GRAFT_OP_SUB, GRAFT_OP_MUL, GRAFT_OP_MAXIMUM};
    enum form form = draw(8) == 0 && has(m, COLUMN) ? COLUMN : draw(8) == 0 ? ONE : WHOLE;
    enum form other = form;
    enum graft_op op = ops[draw(4)];
    if (form == WHOLE && draw(3) == 0)
        other = m->channels == 1 || draw(3) == 0 ? ONE : draw(2) == 0 ? VECTOR : COLUMN;
    if (form == COLUMN && draw(2) == 0) other = ONE;
    struct number a = *pick(m, form), b = *pick(m, other);
    if (draw(2) == 0 && other == form) {
        struct number swap = a;
        a = b;
        b = swap;
    }
    struct number *n = push(m, graft_binary(m->b, op, a.v, b.v), form);
    for (int64_t i = 0; i < count_of(m, form, m->live); i++)
        n->now[i] =
            apply(op, a.now[place_in(m, a.form, form, i)], b.now[place_in(m, b.form, form, i)]);
}

static void add_affine(struct made *m)
{
    enum form form = draw(5) == 0 ? ONE : WHOLE;
    struct number a = *pick(m, form);
    bool scales = draw(2) != 0; /* one of both, so that nothing depends on how they are rounded */
    float scale = scales ? 0.5f + (float)draw(100) / 128.0f : 1.0f;
    float shift = scales ? 0.0f : (float)draw(100) / 64.0f - 0.75f;
    struct number *n = push(m, graft_affine(m->b, a.v, (double)scale, (double)shift), form);
    for (int64_t i = 0; i < count_of(m, form, m->live); i++) n->now[i] = scale * a.now[i] + shift;
}

/* Rows in another order: not by rows. */
static void add_gather(struct made *m)
{
    struct number a = *pick(m, WHOLE);
    if (m->channels == 1) return;
    struct number *n =
        push(m, graft_binary(m->b, GRAFT_OP_GATHER_ROWS, a.v, graph_stored(m->graph, m->indices)),
             WHOLE);
    for (int64_t t = 0; t < m->live; t++)
        memcpy(n->now + t * m->channels, a.now + m->index[t] * m->channels,
               (size_t)m->channels * sizeof *n->now);
}

/* Through a view, with one of its parts turned off, and back. */
static void add_view(struct made *m)
{
    struct number a = *pick(m, WHOLE), scale = *pick(m, ONE);
    if (m->channels == 1) return;
    graft_value v = graft_reshape(m->b, a.v, shape_of(m, CUBE));
    v = graft_mul(m->b, v, scale.v);
    struct number *n = push(m, graft_reshape(m->b, v, shape_of(m, WHOLE)), WHOLE);
    for (int64_t i = 0; i < count_of(m, WHOLE, m->live); i++) n->now[i] = a.now[i] * scale.now[0];
}

static void add_cut(struct made *m)
{
    struct number a = *pick(m, WHOLE);
    if (m->channels == 1) return;
    int64_t half = m->channels / 2, begin = draw(2) ? half : 0;
    graft_value v = graft_slice(m->b, a.v, 1, half - begin, half);
    struct number *n = push(m, graft_place(m->b, v, 1, begin, m->channels), WHOLE);
    for (int64_t i = 0; i < count_of(m, WHOLE, m->live); i++) {
        int64_t c = i % m->channels - begin;
        n->now[i] = c >= 0 && c < half ? a.now[i - i % m->channels + half - begin + c] : 0.0f;
    }
}

static void add_assign(struct made *m)
{
    uint32_t state = draw(STATES);
    struct number from = *pick(m, WHOLE);
    /* a state that is assigned to another one is read when its turn comes, in either way */
    if (m->after[state] != NULL || !value_is_made(m, from.v)) return;
    graft_value inputs[3] = {graph_stored(m->graph, m->entry[INPUTS + state]), from.v,
                             graft_constant(m->b, 1.0)};
    m->b->api->op(m->b, GRAFT_OP_ASSIGN, inputs, 2 + draw(2), NULL);
    size_t bytes = (size_t)count_of(m, WHOLE, m->live) * sizeof(float);
    m->after[state] = malloc(bytes);
    memcpy(m->after[state], from.now, bytes);
}

static void make(struct made *m, uint64_t number)
{
    static const int64_t widths[] = {1, 8, 64, 48, 256};
    struct error e = {0};
    seed = 77 + number;
    *m = (struct made){.channels = widths[number % 5]};
    m->capacity = m->channels == 1 ? 50000 : 700;
    m->live = m->channels == 1 ? 49321 : 611;
    assert_ok(store_create(&m->store, &e), &e);
    assert_ok(graph_create(&m->graph, &e), &e);
    m->b = graph_builder(m->graph);
    for (int i = 0; i < INPUTS; i++) add_entry(m, STORE_INPUT, WHOLE);
    for (int i = 0; i < STATES; i++) add_entry(m, STORE_STATE, WHOLE);
    for (int i = 0; i < 2; i++) add_entry(m, STORE_INPUT, ONE);
    if (m->channels != 1) add_entry(m, STORE_INPUT, VECTOR);
    if (m->channels != 1) add_entry(m, STORE_INPUT, COLUMN);
    m->indices = store_add(m->store, STORE_INPUT, "index", GRAFT_DTYPE_I32,
                           graft_shape1(m->capacity), GRAFT_ROWS_TOKENS);
    m->index = malloc((size_t)m->capacity * sizeof *m->index);
    for (int64_t t = 0; t < m->capacity; t++)
        m->index[t] = (int32_t)(t < m->live ? m->live - 1 - t : t);
    while (m->count < NUMBERS) {
        switch (draw(10)) {
        case 0: add_gather(m); break;
        case 1: add_view(m); break;
        case 2: add_cut(m); break;
        case 3: add_assign(m); break;
        case 4:
        case 5: add_affine(m); break;
        default: add_binary(m); break;
        }
    }
    for (int i = 0; i < KEPT; i++) {
        m->kept[i] = pick(m, WHOLE);
        if (value_is_made(m, m->kept[i]->v)) graph_keep(m->graph, m->kept[i]->v);
    }
    assert_ok(graph_status(m->graph, &e), &e);
}

static void forget(struct made *m)
{
    for (size_t i = 0; i < m->count; i++) free(m->numbers[i].now);
    for (size_t i = 0; i < m->entries; i++) free(m->content[i]);
    for (int i = 0; i < STATES; i++) free(m->after[i]);
    free(m->index);
    graph_destroy(m->graph);
    store_destroy(m->store);
}

static void same(const struct made *m, const float *expected, const float *found, const char *what)
{
    for (int64_t i = 0; i < count_of(m, WHOLE, m->live); i++) {
        if (expected[i] == found[i] || (isnan(expected[i]) && isnan(found[i]))) continue;
        fail_msg("%s: number %lld of %lld channels is %.9g instead of %.9g", what, (long long)i,
                 (long long)m->channels, (double)found[i], (double)expected[i]);
    }
}

static void upload(const struct made *m, const struct backend *backend)
{
    struct error e = {0};
    for (size_t i = 0; i < m->entries; i++)
        assert_ok(stored_write(m->entry[i], backend, m->content[i], m->entry[i]->bytes, &e), &e);
    assert_ok(stored_write(m->indices, backend, m->index, m->indices->bytes, &e), &e);
}

static void compare(struct made *m, const struct plan *plan, const struct backend *backend)
{
    const int64_t live[GRAFT_ROWS_KINDS] = {0, m->live, 0};
    uint64_t bytes = (uint64_t)count_of(m, WHOLE, m->live) * sizeof(float);
    float *found = malloc(bytes);
    struct graft_buffer *transient = NULL;
    struct program *program = NULL;
    struct error e = {0};
    upload(m, backend);
    assert_int_equal(
        backend->api->buffer_create(backend->device, plan_transient(plan, backend) + 1, &transient),
        GRAFT_OK);
    assert_ok(program_create(plan, backend, transient, &program, &e), &e);
    assert_ok(program_run(program, live, &e), &e);
    for (int i = 0; i < KEPT; i++) {
        if (!value_is_made(m, m->kept[i]->v)) continue;
        assert_ok(program_read(program, m->kept[i]->v, found, bytes, &e), &e);
        same(m, m->kept[i]->now, found, backend->sweeps ? "kept, sweeps" : "kept, one by one");
    }
    for (int i = 0; i < STATES; i++) {
        assert_ok(stored_read(m->entry[INPUTS + i], backend, found, bytes, &e), &e);
        same(m, m->after[i] != NULL ? m->after[i] : m->content[INPUTS + i], found,
             backend->sweeps ? "state, sweeps" : "state, one by one");
    }
    program_destroy(program);
    backend->api->buffer_destroy(transient);
    free(found);
}

static void test_random(void **state)
{
    struct device_request request = {.name = "cpu", .base_dir = ".", .threads = THREADS};
    struct device *device = NULL;
    struct error e = {0};
    size_t in_sweeps = 0, nodes = 0;
    (void)state;
    assert_ok(device_open(&request, &device, &e), &e);
    struct backend sweeps = *device_backend(device), single = sweeps;
    assert_true(sweeps.sweeps);
    single.sweeps = false;
    for (uint64_t i = 0; i < GRAPHS; i++) {
        struct made m;
        struct plan *plan = NULL;
        make(&m, i);
        assert_ok(plan_create(m.graph, &plan, &e), &e);
        for (int kind = STORE_ADAPTER; kind < STORE_CLASSES; kind++)
            assert_ok(store_allocate(m.store, (enum store_class)kind, &sweeps, &e), &e);
        compare(&m, plan, &sweeps);
        compare(&m, plan, &single);
        in_sweeps += swept(plan);
        nodes += plan->node_count;
        plan_destroy(plan);
        forget(&m);
    }
    assert_true(2 * in_sweeps > nodes); /* else little was tried */
    device_close(device);
}

/* y = w v + (2 v), row by row: a value that one of a sweep's nodes reads whole dies at another. */
static void test_read_whole(void **state)
{
    enum { SIDE = 256 };
    struct device_request request = {.name = "cpu", .base_dir = ".", .threads = THREADS};
    const int64_t live[GRAFT_ROWS_KINDS] = {0};
    struct device *device = NULL;
    struct store *store = NULL;
    struct graph *graph = NULL;
    struct plan *plan = NULL;
    struct program *program = NULL;
    struct graft_buffer *transient = NULL;
    struct error e = {0};
    static float w[SIDE * SIDE], y[SIDE * SIDE], sum[SIDE];
    (void)state;
    assert_ok(device_open(&request, &device, &e), &e);
    const struct backend *backend = device_backend(device);
    assert_ok(store_create(&store, &e), &e);
    assert_ok(graph_create(&graph, &e), &e);
    struct graft_builder *b = graph_builder(graph);
    struct stored *entry = store_add(store, STORE_INPUT, "w", GRAFT_DTYPE_F32,
                                     graft_shape2(SIDE, SIDE), GRAFT_ROWS_FIXED);
    graft_value in = graph_stored(graph, entry);
    graft_value v = graft_reshape(b, graft_sum(b, in, 1), graft_shape1(SIDE));
    graft_value product = graft_mul(b, in, v), twice = graft_affine(b, v, 2.0, 0.0);
    graft_value out = graft_add(b, product, graft_reshape(b, twice, graft_shape2(SIDE, 1)));
    graph_keep(graph, out);
    assert_ok(plan_create(graph, &plan, &e), &e);
    assert_int_equal(swept(plan), 3);
    assert_ok(store_allocate(store, STORE_INPUT, backend, &e), &e);
    for (int i = 0; i < SIDE * SIDE; i++) {
        w[i] = (float)(i % 7 - 3);
        sum[i % SIDE] += w[i]; /* whole numbers: exact in any order */
    }
    assert_ok(stored_write(entry, backend, w, sizeof w, &e), &e);
    assert_int_equal(
        backend->api->buffer_create(backend->device, plan_transient(plan, backend), &transient),
        GRAFT_OK);
    assert_ok(program_create(plan, backend, transient, &program, &e), &e);
    assert_ok(program_run(program, live, &e), &e);
    assert_ok(program_read(program, out, y, sizeof y, &e), &e);
    for (int i = 0; i < SIDE * SIDE; i++)
        assert_true(y[i] == w[i] * sum[i % SIDE] + 2.0f * sum[i / SIDE]);
    program_destroy(program);
    backend->api->buffer_destroy(transient);
    plan_destroy(plan);
    graph_destroy(graph);
    store_destroy(store);
    device_close(device);
}

static void test_formed(void **state)
{
    (void)state;
    /* a gate and a norm after two products, of which one is made later than the first gate */
    struct bench t = begin();
    graft_value a = graft_matmul(t.b, t.x, t.w, 0, 1), sum;
    graft_value gate = graft_mul(t.b, a, t.x), b = graft_matmul(t.b, t.x, t.w, 0, 0);
    union graft_params eps = {.norm = {1e-5}};
    graft_value normed[2] = {graft_mul(t.b, gate, b), t.gain};
    graft_value y = t.b->api->op(t.b, GRAFT_OP_RMS_NORM, normed, 2, &eps);
    graph_keep(t.graph, graft_matmul(t.b, y, t.w, 0, 1));
    expect(t.graph, "matmul matmul [mul mul rms_norm] matmul");
    store_destroy(t.store);

    /* what reads rows of others, or one of a sweep as a whole, ends it */
    t = begin();
    a = graft_affine(t.b, t.x, 2.0, 0.0);
    sum = graft_sum(t.b, a, 1);
    graph_keep(t.graph, graft_mul(t.b, graft_unary(t.b, GRAFT_OP_SILU, a), sum));
    expect(t.graph, "[affine silu] sum mul");
    store_destroy(t.store);

    /* a vector with as many numbers as the rows that it scales the columns of */
    t = begin();
    a = graft_affine(t.b, t.gain, 2.0, 0.0);
    graph_keep(t.graph, graft_mul(t.b, t.w, a));
    expect(t.graph, "affine mul");
    store_destroy(t.store);

    /* an assignment joins; not where somebody outside reads the value before */
    t = begin();
    a = graft_affine(t.b, t.state, 2.0, 0.0);
    graft_binary(t.b, GRAFT_OP_ASSIGN, t.state, a);
    expect(t.graph, "[affine assign]");
    store_destroy(t.store);
    t = begin();
    a = graft_affine(t.b, t.state, 2.0, 0.0);
    graph_keep(t.graph, graft_matmul(t.b, t.state, t.w, 0, 1));
    graft_binary(t.b, GRAFT_OP_ASSIGN, t.state, a);
    expect(t.graph, "affine matmul assign");
    store_destroy(t.store);

    /* nor where a node inside would read it whole: that one goes before */
    t = begin();
    a = graft_affine(t.b, graft_reshape(t.b, graft_sum(t.b, t.w, 2), graft_shape1(4)), 2.0, 0.0);
    b = graft_mul(t.b, t.w, t.gain);
    graph_keep(t.graph, graft_add(t.b, b, graft_reshape(t.b, a, graft_shape2(4, 1))));
    graft_binary(t.b, GRAFT_OP_ASSIGN, t.gain, a);
    expect(t.graph, "sum mul [affine add assign]");
    store_destroy(t.store);

    /* memory that rows are added to is read when its turn comes */
    t = begin();
    a = graft_affine(t.b, t.x, 2.0, 0.0);
    graft_value before = graft_add(t.b, t.state, a);
    b = graft_affine(t.b, a, 3.0, 0.0);
    graft_binary(t.b, GRAFT_OP_ACCUMULATE, t.state, b);
    graph_keep(t.graph, before);
    expect(t.graph, "[affine affine] add accumulate");
    store_destroy(t.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_read_whole),
        cmocka_unit_test(test_formed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}

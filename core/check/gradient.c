/* SPDX-License-Identifier: Apache-2.0
 *
 * The gradient rules of core/graph, op by op: L = sum r * op(inputs) with random r, as a graph with
 * its backward pass. On the double reference, the slope of L along a random direction u of each
 * input is compared with gradient . u; the slope is a central difference of fourth order,
 * (4 D(h) - D(2h)) / 3. On a device the gradient itself is compared with the reference's.
 */
#include "check/reference.h"
#include "check/run.h"
#include "graph/plan.h"

#include <math.h>
#include <string.h>

/* Larger cases add time, not rules. */
enum { MAX_NUMBERS = 20000 };

struct graded {
    const struct check_data *d;
    struct backend backend;
    struct store *store;
    struct stored *in[GRAFT_MAX_INPUTS], *r, *loss;
    struct graft_buffer *weight[GRAFT_MAX_INPUTS], *transient;
    struct graph *graph;
    struct plan *plan;
    struct program *program;
    double largest; /* number of all its gradients, on the reference */
};

/* Mask of the inputs that have a gradient. */
static uint32_t source_mask(const struct check_case *c)
{
    switch (c->op) {
    case GRAFT_OP_ADD:
    case GRAFT_OP_SUB:
    case GRAFT_OP_MUL:
    case GRAFT_OP_DIV:
    case GRAFT_OP_RMS_NORM:
    case GRAFT_OP_SWIGLU: return 3;
    case GRAFT_OP_ATTENTION: {
        bool own = c->in[1].shape.rank != 0, prefix = c->input_count > 5;
        if (own && c->in[4].fill != FILL_COUNT) return 0;
        return 1u | (own ? 6u : 0u) | (prefix ? 96u : 0u);
    }
    /* Smooth only away from 0. */
    case GRAFT_OP_ABS:
    case GRAFT_OP_SIGN:
    case GRAFT_OP_RELU: return c->in[0].fill == FILL_AWAY;
    case GRAFT_OP_EMBEDDING: return c->in[1].dtype == GRAFT_DTYPE_F32 ? 2 : 0;
    /* Its gradient scatters, which needs distinct rows. */
    case GRAFT_OP_GATHER_ROWS: return c->in[1].fill == FILL_DISTINCT ? 1 : 0;
    case GRAFT_OP_MATMUL: return c->in[1].fill == FILL_WEIGHT ? 1 : 3;
    case GRAFT_OP_AFFINE:
    case GRAFT_OP_SQRT:
    case GRAFT_OP_EXP:
    case GRAFT_OP_EXPM1:
    case GRAFT_OP_TANH:
    case GRAFT_OP_SIGMOID:
    case GRAFT_OP_SILU:
    case GRAFT_OP_GELU:
    case GRAFT_OP_GELU_TANH:
    case GRAFT_OP_SLICE:
    case GRAFT_OP_PLACE:
    case GRAFT_OP_PERMUTE:
    case GRAFT_OP_SKEW:
    case GRAFT_OP_SKEW_BACKWARD:
    case GRAFT_OP_SUM:
    case GRAFT_OP_BROADCAST:
    case GRAFT_OP_RESHAPE:
    case GRAFT_OP_SCATTER_ROWS:
    case GRAFT_OP_ROPE:
    case GRAFT_OP_CROSS_ENTROPY:
    case GRAFT_OP_HEAD_LOSS:
    case GRAFT_OP_DROPOUT: return 1;
    default: return 0;
    }
}

static bool wanted(const struct check_case *c, const struct check_options *options)
{
    int64_t numbers = 0;
    if (options->op != NULL && strcmp(op_info(c->op)->name, options->op) != 0) return false;
    for (uint32_t i = 0; i < c->input_count; i++) numbers += graft_shape_count(c->in[i].shape);
    return source_mask(c) != 0 && c->absent == 0 && numbers <= MAX_NUMBERS;
}

static enum graft_status store_inputs(struct graded *g, struct error *e)
{
    static const char *const names[GRAFT_MAX_INPUTS] = {"a", "b", "c", "d", "e",
                                                        "f", "g", "h", "i", "j"};
    const struct check_data *d = g->d;
    for (uint32_t i = 0; i < d->c.input_count; i++) {
        const struct check_input *in = &d->c.in[i];
        bool source = source_mask(&d->c) >> i & 1;
        if (in->shape.rank == 0) continue;
        enum store_class kind = source                    ? STORE_ADAPTER
                                : in->fill == FILL_WEIGHT ? STORE_BASE
                                                          : STORE_INPUT;
        g->in[i] = store_add(g->store, kind, names[i], in->dtype, in->shape, in->rows);
        if (g->in[i] == NULL) return error_memory(e, "a stored value", 0);
        g->in[i]->bytes = d->in_bytes[i];
        if (source)
            g->in[i]->gradient =
                store_add(g->store, STORE_GRADIENT, names[i], in->dtype, in->shape, in->rows);
        if (source && g->in[i]->gradient == NULL) return error_memory(e, "a gradient", 0);
    }
    g->r = store_add(g->store, STORE_INPUT, "r", GRAFT_DTYPE_F32, d->out[0].shape, d->out[0].rows);
    g->loss = store_add(g->store, STORE_STATE, "loss", GRAFT_DTYPE_F32, graft_shape1(1),
                        GRAFT_ROWS_FIXED);
    return g->r != NULL && g->loss != NULL ? GRAFT_OK : error_memory(e, "a stored value", 0);
}

static enum graft_status allocate(struct graded *g, const struct bench *b, struct error *e)
{
    static const enum store_class kinds[] = {STORE_ADAPTER, STORE_GRADIENT, STORE_STATE,
                                             STORE_INPUT};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        enum graft_status status = store_allocate(g->store, kinds[i], &g->backend, e);
        if (status != GRAFT_OK) return status;
    }
    for (uint32_t i = 0; i < g->d->c.input_count; i++) {
        if (g->in[i] == NULL || g->in[i]->kind != STORE_BASE) continue;
        int32_t status = b->api->buffer_create(b->device, g->in[i]->bytes, &g->weight[i]);
        if (status != GRAFT_OK) return bench_failed(b, "buffer_create", status, e);
        g->in[i]->buffer = g->weight[i];
    }
    return GRAFT_OK;
}

/* L and its backward pass. */
static enum graft_status build(struct graded *g, struct error *e)
{
    const struct check_case *c = &g->d->c;
    graft_value inputs[GRAFT_MAX_INPUTS] = {{0}}, out;
    enum graft_status status = graph_create(&g->graph, e);
    if (status != GRAFT_OK) return status;
    struct graft_builder *b = graph_builder(g->graph);
    for (uint32_t i = 0; i < c->input_count; i++)
        if (g->in[i] != NULL) inputs[i] = graph_stored(g->graph, g->in[i]);
    if (c->op == GRAFT_OP_BROADCAST)
        out = graph_broadcast(g->graph, inputs[0], c->params.shape, g->d->out[0].rows);
    else
        out = b->api->op(b, c->op, inputs, c->input_count, &c->params);
    graft_value terms = graft_mul(b, out, graph_stored(g->graph, g->r));
    graft_value sum = graft_sum(b, terms, (1 << g->d->out[0].shape.rank) - 1);
    graft_value loss = graft_reshape(b, sum, graft_shape1(1));
    graft_binary(b, GRAFT_OP_ASSIGN, graph_stored(g->graph, g->loss), loss);
    graph_backward(g->graph, loss);
    return graph_status(g->graph, e);
}

static enum graft_status compile(struct graded *g, const struct bench *b, struct error *e)
{
    enum graft_status status = plan_create(g->graph, &g->plan, e);
    if (status != GRAFT_OK) return status;
    uint64_t bytes = plan_transient(g->plan, &g->backend);
    int32_t made = b->api->buffer_create(b->device, bytes, &g->transient);
    if (made != GRAFT_OK) return bench_failed(b, "buffer_create", made, e);
    return program_create(g->plan, &g->backend, g->transient, &g->program, e);
}

static enum graft_status upload(struct graded *g, uint64_t seed, struct error *e)
{
    const struct check_data *d = g->d;
    struct check_input r = {.dtype = GRAFT_DTYPE_F32, .shape = g->r->shape, .rows = g->r->rows};
    struct draw draw = {.key = random_key(seed, RANDOM_INIT, GRAFT_MAX_INPUTS + 1, d->c.name, 0)};
    struct arena arena = {NULL};
    float *data = arena_alloc(&arena, (size_t)graft_shape_count(r.shape) + 1, sizeof *data);
    if (data == NULL) return error_memory(e, "a functional", (size_t)g->r->bytes);
    memset(data, 0xFF, (size_t)g->r->bytes);
    fill_input(&r, graft_shape_count(d->call.out[0].shape), &draw, data, &arena);
    enum graft_status status = stored_write(g->r, &g->backend, data, g->r->bytes, e);
    arena_free(&arena);
    for (uint32_t i = 0; i < d->c.input_count && status == GRAFT_OK; i++)
        if (g->in[i] != NULL)
            status = stored_write(g->in[i], &g->backend, d->in[i], d->in_bytes[i], e);
    return status;
}

static enum graft_status graded_init(struct graded *g, const struct bench *b,
                                     const struct check_data *d, uint64_t seed, struct error *e)
{
    memset(g, 0, sizeof *g);
    g->d = d;
    g->backend = (struct backend){.api = b->api, .device = b->device, .error = &b->watch->error};
    enum graft_status status = store_create(&g->store, e);
    if (status == GRAFT_OK) status = store_inputs(g, e);
    if (status == GRAFT_OK) status = allocate(g, b, e);
    if (status == GRAFT_OK) status = build(g, e);
    if (status == GRAFT_OK) status = compile(g, b, e);
    if (status == GRAFT_OK) status = upload(g, seed, e);
    return status;
}

static void graded_fini(struct graded *g)
{
    program_destroy(g->program);
    plan_destroy(g->plan);
    graph_destroy(g->graph);
    if (g->backend.api != NULL) {
        g->backend.api->buffer_destroy(g->transient);
        for (uint32_t i = 0; i < GRAFT_MAX_INPUTS; i++)
            g->backend.api->buffer_destroy(g->weight[i]);
    }
    store_destroy(g->store);
}

/* L with what is stored now. */
static enum graft_status loss_at(struct graded *g, double *loss, struct error *e)
{
    enum graft_status status = program_run(g->program, g->d->c.live, e);
    if (status == GRAFT_OK) reference_read(g->loss->buffer, g->loss->offset, loss, 1);
    return status;
}

struct line {
    int64_t count;
    double *at, *u, *moved, *gradient;
    double step;
};

static enum graft_status along(struct graded *g, uint32_t input, const struct line *l, double step,
                               double *loss, struct error *e)
{
    for (int64_t i = 0; i < l->count; i++) l->moved[i] = l->at[i] + step * l->u[i];
    reference_write(g->in[input]->buffer, g->in[input]->offset, l->moved, l->count);
    return loss_at(g, loss, e);
}

static enum graft_status compare_slope(struct graded *g, uint32_t input, const struct line *l,
                                       struct error *e)
{
    static const double steps[4] = {1, -1, 2, -2};
    double loss[4], expected = 0.0, squares = 0.0, size = 0.0;
    for (int i = 0; i < 4; i++) {
        enum graft_status status = along(g, input, l, steps[i] * l->step, &loss[i], e);
        if (status != GRAFT_OK) return status;
        size += fabs(loss[i]);
    }
    reference_write(g->in[input]->buffer, g->in[input]->offset, l->at, l->count);
    double near = (loss[0] - loss[1]) / (2.0 * l->step);
    double slope = (4.0 * near - (loss[2] - loss[3]) / (4.0 * l->step)) / 3.0;
    for (int64_t i = 0; i < l->count; i++) {
        double term = l->gradient[i] * l->u[i];
        expected += term;
        squares += term * term;
    }
    /* Truncation and a wrong rule show in the first term, rounding of L stays in the second. */
    double budget = 1e-6 * sqrt(squares) + 1e-10 * (1.0 + size);
    if (fabs(slope - expected) <= budget) return GRAFT_OK;
    return error_set(e, GRAFT_E_FAILED,
                     "gradient of input %u: slope %.12g, gradient . direction %.12g, budget %.3g",
                     input, slope, expected, budget);
}

/* One direction of one input; `gradient` [live count] is the reference's. */
static enum graft_status check_slope(struct graded *g, uint32_t input, const double *gradient,
                                     uint64_t seed, struct error *e)
{
    const struct check_data *d = g->d;
    double scale = d->c.in[input].scale;
    struct arena arena = {NULL};
    struct line l = {.count = graft_shape_count(d->call.in[input].shape), .step = 1e-3};
    struct draw draw = {
        .key = random_key(seed, RANDOM_INIT, GRAFT_MAX_INPUTS + 2 + input, d->c.name, 0)};
    if (scale > 0.0 && scale < 1.0) l.step *= scale;
    l.at = arena_alloc(&arena, (size_t)l.count + 1, sizeof *l.at);
    l.u = arena_alloc(&arena, (size_t)l.count + 1, sizeof *l.u);
    l.moved = arena_alloc(&arena, (size_t)l.count + 1, sizeof *l.moved);
    l.gradient = arena_alloc(&arena, (size_t)l.count + 1, sizeof *l.gradient);
    enum graft_status status = GRAFT_OK;
    if (l.at == NULL || l.u == NULL || l.moved == NULL || l.gradient == NULL) {
        status = error_memory(e, "a direction", (size_t)l.count * sizeof(double));
    } else {
        for (int64_t i = 0; i < l.count; i++) {
            l.at[i] = f64_in(d, input)[i];
            l.gradient[i] = gradient[i];
            l.u[i] = draw_normal(&draw);
        }
        status = compare_slope(g, input, &l, e);
    }
    arena_free(&arena);
    return status;
}

/* The device's gradient may be off by 1e-4 of this input's largest: hundreds of roundings. Where
 * terms cancel (a query that sees one key, a probability near 1), 64 roundings of what the terms
 * are stay: of the case's largest gradient, or of 1, since inputs and r are drawn near 1. What each
 * op may be off by itself is measured in check_backend. */
static enum graft_status check_device(struct graded *g, uint32_t input, const double *gradient,
                                      struct error *e)
{
    const struct stored *s = g->in[input]->gradient;
    int64_t count = graft_shape_count(g->d->call.in[input].shape);
    float *found = mem_alloc((size_t)s->bytes);
    double largest = 0.0;
    if (found == NULL) return error_memory(e, "a gradient", (size_t)s->bytes);
    enum graft_status status = stored_read(s, &g->backend, found, s->bytes, e);
    for (int64_t i = 0; i < count; i++) largest = fmax(largest, fabs(gradient[i]));
    for (int64_t i = 0; i < count && status == GRAFT_OK; i++)
        if (!(fabs(found[i] - gradient[i]) <=
              1e-4 * largest + 64 * 0x1p-24 * fmax(1.0, g->largest)))
            status = error_set(
                e, GRAFT_E_FAILED,
                "gradient of input %u on the device, element %lld: expected %.9g, found %.9g",
                input, (long long)i, gradient[i], found[i]);
    mem_free(found);
    return status;
}

static enum graft_status check_input(struct graded *reference, struct graded *device,
                                     uint32_t input, uint64_t seed, struct error *e)
{
    const struct stored *s = reference->in[input]->gradient;
    int64_t count = graft_shape_count(reference->d->call.in[input].shape);
    double *gradient = mem_zalloc((size_t)count + 1, sizeof *gradient);
    if (gradient == NULL) return error_memory(e, "a gradient", (size_t)count * sizeof(double));
    reference_read(s->buffer, s->offset, gradient, count);
    enum graft_status status = check_slope(reference, input, gradient, seed, e);
    if (status == GRAFT_OK && device != NULL) status = check_device(device, input, gradient, e);
    mem_free(gradient);
    return status;
}

/* Gradients add: each slope runs the program again, so the reference's are cleared between. */
static enum graft_status run_cleared(struct graded *g, struct error *e)
{
    uint64_t bytes = store_bytes(g->store, STORE_GRADIENT);
    const struct stored *first = store_first(g->store, STORE_GRADIENT);
    void *zeros = mem_zalloc((size_t)bytes, 1);
    if (zeros == NULL) return error_memory(e, "zeros", (size_t)bytes);
    int32_t status = g->backend.api->buffer_write(first->buffer, 0, zeros, bytes);
    mem_free(zeros);
    if (status != GRAFT_OK) return error_set(e, GRAFT_E_FAILED, "%s", g->backend.error->text);
    return program_run(g->program, g->d->c.live, e);
}

static enum graft_status largest_gradient(const struct graded *g, double *largest, struct error *e)
{
    *largest = 0.0;
    for (uint32_t i = 0; i < g->d->c.input_count; i++) {
        if (!(source_mask(&g->d->c) >> i & 1)) continue;
        const struct stored *s = g->in[i]->gradient;
        int64_t count = graft_shape_count(g->d->call.in[i].shape);
        double *gradient = mem_zalloc((size_t)count + 1, sizeof *gradient);
        if (gradient == NULL) return error_memory(e, "a gradient", (size_t)s->bytes);
        reference_read(s->buffer, s->offset, gradient, count);
        for (int64_t k = 0; k < count; k++) *largest = fmax(*largest, fabs(gradient[k]));
        mem_free(gradient);
    }
    return GRAFT_OK;
}

static enum graft_status check_case(const struct bench *reference, const struct bench *device,
                                    const struct check_data *d, uint64_t seed, struct error *e)
{
    struct graded oracle, tested = {0};
    enum graft_status status = graded_init(&oracle, reference, d, seed, e);
    if (status == GRAFT_OK && device != NULL) {
        status = graded_init(&tested, device, d, seed, e);
        if (status == GRAFT_OK) status = run_cleared(&oracle, e);
        if (status == GRAFT_OK) status = largest_gradient(&oracle, &tested.largest, e);
        if (status == GRAFT_OK) status = run_cleared(&tested, e);
    }
    for (uint32_t i = 0; i < d->c.input_count && status == GRAFT_OK; i++) {
        if (!(source_mask(&d->c) >> i & 1)) continue;
        status = run_cleared(&oracle, e);
        if (status == GRAFT_OK)
            status = check_input(&oracle, device != NULL ? &tested : NULL, i, seed, e);
    }
    graded_fini(&tested);
    graded_fini(&oracle);
    return status;
}

static enum graft_status check_all(const struct bench *reference, const struct bench *device,
                                   const struct check_options *options, struct check_report *report,
                                   struct error *e)
{
    for (size_t f = 0; check_families[f] != NULL; f++)
        for (uint32_t i = 0; i < check_families[f]->count; i++) {
            struct check_case c;
            struct check_data d;
            struct error found = {0};
            if (!case_make(check_families[f], i, GRAFT_DTYPE_F32, &c) || !wanted(&c, options))
                continue;
            if (check_passed_over(options, report, &c)) continue;
            enum graft_status status = check_data_init(&d, check_families[f], &c, options->seed, e);
            if (status == GRAFT_OK)
                check_record(report, &d, options->seed,
                             check_case(reference, device, &d, options->seed, &found), &found, e);
            check_data_fini(&d);
            if (status != GRAFT_OK) return status;
        }
    return GRAFT_OK;
}

enum graft_status check_gradients(const struct graft_backend *backend,
                                  const struct graft_host *host, uint32_t device,
                                  const struct check_options *options, struct check_report *report,
                                  struct error *e)
{
    struct bench reference, tested = {0};
    enum graft_status status = bench_open(&reference, reference_backend(true), host, 0, e);
    if (status != GRAFT_OK) return status;
    if (backend != NULL) status = bench_open(&tested, backend, host, device, e);
    if (status == GRAFT_OK)
        status = check_all(&reference, backend != NULL ? &tested : NULL, options, report, e);
    struct error leak = {0};
    enum graft_status closed = bench_close(&tested, &leak);
    if (bench_close(&reference, closed == GRAFT_OK ? &leak : NULL) != GRAFT_OK)
        closed = GRAFT_E_FAILED;
    if (status != GRAFT_OK) return status;
    if (report->failed > 0) return GRAFT_E_FAILED;
    if (report->cases == 0) return error_set(e, GRAFT_E_FAILED, "no gradient was checked");
    if (closed != GRAFT_OK && e != NULL) *e = leak;
    return closed;
}

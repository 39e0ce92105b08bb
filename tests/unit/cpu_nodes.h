/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the CPU backend share: programs of one node with random inputs from a fixed
 * seed, what the reference makes of them, and the nodes that more than one file looks at.
 */
#ifndef TESTS_UNIT_CPU_NODES_H
#define TESTS_UNIT_CPU_NODES_H

#include "unit/test.h"

#include "bench/program.h"
#include "ref/ref.h"

#include <math.h>

enum { TOKENS = 150, MAX_BYTES = 1 << 23 };
#define LIST(...) ((const uint32_t[]){__VA_ARGS__, PROGRAM_END})

static const struct graft_backend *backend;
static uint64_t seed = 12345;

static inline double uniform(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 40) / 16777216.0;
}

static inline float *floats(int64_t n, double scale)
{
    float *x = malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++) x[i] = (float)(scale * (2.0 * uniform() - 1.0));
    return x;
}

/* A weight [rows, columns] of any type. */
static inline void *weight(int32_t dtype, int64_t rows, int64_t columns, uint64_t *bytes)
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

static inline uint32_t add_floats(struct fixture *f, struct graft_shape shape, double scale)
{
    float *x = floats(graft_shape_count(shape), scale);
    f->owned[f->owned_count++] = x;
    return program_tensor(&f->p, GRAFT_DTYPE_F32, shape, x);
}

static inline uint32_t add_ints(struct fixture *f, int64_t n, int32_t from, int32_t below)
{
    int32_t *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = from + (int32_t)(uniform() * (below - from));
    f->owned[f->owned_count++] = x;
    return program_tensor(&f->p, GRAFT_DTYPE_I32, graft_shape1(n), x);
}

static inline uint32_t add_weight(struct fixture *f, int32_t dtype, int64_t rows, int64_t columns)
{
    uint64_t bytes;
    void *w = weight(dtype, rows, columns, &bytes);
    f->owned[f->owned_count++] = w;
    return program_sized(&f->p, dtype, graft_shape2(rows, columns), w, bytes);
}

static inline uint32_t add_output(struct fixture *f, int32_t dtype, struct graft_shape shape)
{
    return program_tensor(&f->p, dtype, shape, NULL);
}

/* Node 0 by the reference, on copies; outputs into `out`. */
static inline void reference(const struct program *p, void *out[GRAFT_MAX_OUTPUTS])
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

static inline void compare(const struct program *p, uint32_t tensor, const void *got,
                           const void *want)
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

static inline void fixture_init(struct fixture *f, struct program_host *host, make_function *make,
                                const void *argument)
{
    memset(f, 0, sizeof *f);
    seed = 12345;
    assert_true(program_init(&f->p, host, backend));
    make(f, argument);
}

static inline void fixture_fini(struct fixture *f)
{
    program_fini(&f->p);
    for (uint32_t i = 0; i < f->owned_count; i++) free(f->owned[i]);
}

struct product {
    int32_t dtype;
    int64_t batch, m, n, k; /* batch 0: rank 2 */
    int32_t ta, tb;
};

static inline void make_matmul(struct fixture *f, const void *argument)
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

/* argument: an op of rows [T, C] with C = 576 */
static inline void make_block(struct fixture *f, const void *argument)
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

struct attention {
    int32_t heads, kv_heads, size, window;
    double softcap;
    /* 1: queries that see ranges anywhere in 400 keys, one sees none; 2: one document; 3: one of
     * 400 keys, of which they see half */
    int cache;
};

static inline void make_attention(struct fixture *f, const void *argument)
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
static inline void make_attention_backward(struct fixture *f, const void *argument)
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

struct loss {
    int32_t dtype;
    int64_t rows, vocabulary, channels;
};

static inline void make_cross_entropy(struct fixture *f, const void *argument)
{
    const struct loss *c = argument;
    uint32_t z = add_floats(f, graft_shape2(c->rows, c->vocabulary), 5.0);
    uint32_t target = add_ints(f, c->rows, 0, (int32_t)c->vocabulary);
    ((int32_t *)f->owned[1])[0] = -1;
    uint32_t nll = add_output(f, GRAFT_DTYPE_F32, graft_shape1(c->rows));
    uint32_t best = add_output(f, GRAFT_DTYPE_I32, graft_shape1(c->rows));
    program_node(&f->p, GRAFT_OP_CROSS_ENTROPY, LIST(z, target), LIST(nll, best));
}

static inline void make_head_loss(struct fixture *f, const void *argument)
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

#endif

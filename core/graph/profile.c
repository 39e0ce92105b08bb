/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs of one node or sweep for the clock; FLOPs and bytes by the shapes.
 */
#include "graph/profile.h"

#include "graph/op.h"
#include "graph/single.h"

#include "ref/quant.h"

#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static enum graft_status time_node(const struct program *program, const struct graft_node *node,
                                   const struct graft_run *run, double *seconds, struct error *e)
{
    struct single s;
    enum graft_status status = single_compile(&s, program, node, e);
    double began = now();
    if (status == GRAFT_OK) status = single_run(&s, program, run, e);
    double took = now() - began;
    single_destroy(&s, program);
    if (status == GRAFT_OK && took < *seconds) *seconds = took;
    return status;
}

enum graft_status program_profile(struct program *program, const struct plan *plan,
                                  const int64_t live[GRAFT_ROWS_KINDS], double *seconds,
                                  struct error *e)
{
    struct graft_run run = {.struct_size = sizeof run};
    enum graft_status status = GRAFT_OK;
    memcpy(run.live, live, sizeof run.live);
    for (size_t i = 0; i < plan->node_count && status == GRAFT_OK;
         i += single_length(&plan->nodes[i], program->backend.sweeps)) {
        status = time_node(program, &plan->nodes[i], &run, &seconds[i], e);
        if (status != GRAFT_OK) error_place(e, "node %zu, %s", i, op_info(plan->nodes[i].op)->name);
    }
    return status;
}

/* One node's tensors with live rows; absent ones have rank 0. */
static struct placed_value tensor(const struct plan *plan, uint32_t number,
                                  const int64_t live[GRAFT_ROWS_KINDS])
{
    if (number == GRAFT_ABSENT) return (struct placed_value){0};
    struct placed_value v = plan->values[number];
    if (v.rows != GRAFT_ROWS_FIXED) v.shape.dim[0] = live[v.rows];
    return v;
}

static double count(const struct placed_value *v)
{
    return v->shape.rank == 0 ? 0.0 : (double)graft_shape_count(v->shape);
}

static double bytes(const struct placed_value *v)
{
    return v->shape.rank == 0 ? 0.0 : (double)dtype_bytes(v->dtype, v->shape);
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

static double columns(const struct placed_value *v)
{
    return v->shape.rank == 0 ? 0.0 : (double)v->shape.dim[v->shape.rank - 1];
}

/* Of each key and value only what a query sees is read. */
static void attention_cost(const struct graft_node *n, const struct placed_value *in,
                           const struct placed_value *out, double keys, struct node_cost *c)
{
    bool backward = n->op == GRAFT_OP_ATTENTION_BACKWARD;
    const struct placed_value *prefix = &in[backward ? 8 : 5];
    double width = columns(&in[0]), scores = 0.0;
    if (in[1].shape.rank != 0) scores += keys;
    if (prefix->shape.rank != 0) scores += (double)(prefix->shape.dim[0] * in[0].shape.dim[0]);
    c->flops = (backward ? 10.0 : 4.0) * scores * width;
    c->bytes = 0.0;
    for (uint32_t i = 0; i < n->input_count; i++) {
        double most = i == 1 || i == 2 ? keys * columns(&in[i]) * sizeof(float) : bytes(&in[i]);
        c->bytes += smaller(bytes(&in[i]), most);
    }
    for (uint32_t i = 0; i < n->output_count; i++) c->bytes += bytes(&out[i]);
}

/* The node as the backend gets it. */
static struct graft_node node_of(const struct profiled *p)
{
    struct graft_node n = p->plan->nodes[p->node];
    node_set_compute(&n, p->plan->values, p->compute);
    return n;
}

static int32_t compute_of(const struct graft_node *n, struct graft_shape a)
{
    struct graft_node copy = *n;
    const int32_t *compute = op_compute(n->op, a, &copy.params);
    return compute != NULL ? *compute : GRAFT_DTYPE_F32;
}

static struct node_cost node_cost(const struct profiled *p)
{
    const struct graft_node node = node_of(p), *n = &node;
    struct placed_value in[GRAFT_MAX_INPUTS] = {{0}}, out[GRAFT_MAX_OUTPUTS] = {{0}};
    for (uint32_t i = 0; i < n->input_count; i++) in[i] = tensor(p->plan, n->input[i], p->live);
    for (uint32_t i = 0; i < n->output_count; i++) out[i] = tensor(p->plan, n->output[i], p->live);
    struct node_cost c = {.flops = count(&out[0]), .compute = compute_of(n, in[0].shape)};
    for (uint32_t i = 0; i < n->input_count; i++) c.bytes += bytes(&in[i]);
    for (uint32_t i = 0; i < n->output_count; i++) c.bytes += bytes(&out[i]);
    switch (n->op) {
    case GRAFT_OP_MATMUL: {
        int first = in[0].shape.rank == 3;
        c.flops *= 2.0 * (double)in[0].shape.dim[first + !n->params.matmul.transpose_a];
        break;
    }
    case GRAFT_OP_HEAD_LOSS:
        c.flops = (out[2].shape.rank != 0 ? 4.0 : 2.0) * count(&in[0]) * (double)in[1].shape.dim[0];
        break;
    case GRAFT_OP_ATTENTION: attention_cost(n, in, out, (double)p->keys, &c); break;
    case GRAFT_OP_ATTENTION_BACKWARD: attention_cost(n, in, out, (double)p->keys, &c); break;
    case GRAFT_OP_EMBEDDING:
        c.flops = 0.0;
        c.bytes = bytes(&out[0]) + bytes(&in[0]) +
                  bytes(&in[1]) * smaller(1.0, count(&out[0]) / count(&in[1]));
        break;
    case GRAFT_OP_GATHER_ROWS:
    case GRAFT_OP_WRITE_ROWS:
        c.flops = 0.0;
        c.bytes = 2.0 * bytes(n->op == GRAFT_OP_GATHER_ROWS ? &out[0] : &in[1]);
        break;
    default: break;
    }
    return c;
}

static void put_shape(const struct placed_value *v, struct str *out)
{
    char text[64];
    str_printf(out, " %s", shape_text(v->shape, text));
}

uint32_t profiled_length(const struct profiled *p)
{
    return single_length(&p->plan->nodes[p->node], p->sweeps);
}

static bool same_place(const struct profiled *p, uint32_t a, uint32_t b)
{
    if (a == GRAFT_ABSENT || b == GRAFT_ABSENT) return false;
    const struct placed_value *x = &p->plan->values[a], *y = &p->plan->values[b];
    return x->inner == y->inner && x->place == y->place && x->stored == y->stored &&
           x->offset == y->offset;
}

/* Whether one of the sweep's nodes begin..end writes where the value lies, or reads it. */
static bool met(const struct profiled *p, uint32_t begin, uint32_t end, uint32_t value, bool read)
{
    for (uint32_t k = begin; k < end; k++) {
        const struct graft_node *n = &p->plan->nodes[p->node + k];
        for (uint32_t i = 0; i < n->output_count; i++)
            if (same_place(p, n->output[i], value)) return true;
        for (uint32_t i = 0; read && i < n->input_count; i++)
            if (same_place(p, n->input[i], value)) return true;
    }
    return false;
}

/* What its nodes take from each other is not counted, and what several take counts once. */
static struct node_cost sweep_cost(const struct profiled *p, uint32_t length)
{
    struct node_cost sum = {.compute = node_cost(p).compute};
    for (uint32_t k = 0; k < length; k++) {
        struct profiled one = *p;
        one.node += k;
        const struct graft_node *n = &p->plan->nodes[one.node];
        sum.flops += node_cost(&one).flops;
        for (uint32_t i = 0; i < n->input_count; i++) {
            struct placed_value v = tensor(p->plan, n->input[i], p->live);
            if (!met(p, 0, k, n->input[i], true)) sum.bytes += bytes(&v);
        }
        for (uint32_t i = 0; i < n->output_count; i++) {
            struct placed_value v = tensor(p->plan, n->output[i], p->live);
            if (v.inner == 0 && !met(p, k + 1, length, n->output[i], false)) sum.bytes += bytes(&v);
        }
    }
    return sum;
}

struct node_cost profiled_cost(const struct profiled *p)
{
    uint32_t length = profiled_length(p);
    return length == 1 ? node_cost(p) : sweep_cost(p, length);
}

/* Each op once, with how often. */
static void sweep_title(const struct graft_node *nodes, uint32_t length, struct str *out)
{
    str_puts(out, "sweep");
    for (uint32_t k = 0, listed = 0; k < length; k++) {
        uint32_t before = 0, times = 0;
        for (uint32_t i = 0; i < length; i++) {
            if (nodes[i].op != nodes[k].op) continue;
            if (i < k) before++;
            times++;
        }
        if (before > 0) continue;
        str_puts(out, listed++ == 0 ? ": " : ", ");
        if (times > 1) str_printf(out, "%u ", (unsigned)times);
        str_puts(out, op_info(nodes[k].op)->name);
    }
}

static void node_title(const struct profiled *p, struct str *out)
{
    const struct graft_node node = node_of(p), *n = &node;
    bool product = n->op == GRAFT_OP_MATMUL;
    struct placed_value a = tensor(p->plan, n->input[0], p->live);
    int32_t compute = compute_of(n, a.shape);
    str_puts(out, op_info(n->op)->name);
    if (product || n->op == GRAFT_OP_HEAD_LOSS) {
        struct placed_value b = tensor(p->plan, n->input[1], p->live);
        str_printf(out, " %s", quant_name(b.dtype));
        put_shape(&a, out);
        if (product && n->params.matmul.transpose_a) str_puts(out, "^T");
        str_puts(out, " x");
        put_shape(&b, out);
        if (!product || n->params.matmul.transpose_b) str_puts(out, "^T");
    }
    if (compute == GRAFT_DTYPE_BF16 || compute == GRAFT_DTYPE_F16)
        str_printf(out, " in %s", quant_name(compute));
}

/* A product and what is added to it. */
static void sum_title(const struct profiled *p, uint32_t length, struct str *out)
{
    uint32_t products = 0, sums = 0;
    node_title(p, out);
    for (uint32_t k = 1; k < length; k++) {
        const struct graft_node *n = &p->plan->nodes[p->node + k];
        if (n->op == GRAFT_OP_MATMUL) {
            struct placed_value a = tensor(p->plan, n->input[0], p->live);
            str_printf(out, " + [.., %lld]", (long long)a.shape.dim[1]);
            products++;
        } else {
            sums++;
        }
    }
    if (sums > products) str_puts(out, " + value");
}

void profiled_title(const struct profiled *p, struct str *out)
{
    uint32_t length = profiled_length(p);
    const struct graft_node *nodes = &p->plan->nodes[p->node];
    if (length == 1)
        node_title(p, out);
    else if (nodes->op == GRAFT_OP_MATMUL)
        sum_title(p, length, out);
    else
        sweep_title(nodes, length, out);
}

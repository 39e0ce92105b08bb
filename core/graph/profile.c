/* SPDX-License-Identifier: Apache-2.0
 *
 * One-node programs for the clock; FLOPs and bytes by the shapes.
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
    for (size_t i = 0; i < plan->node_count && status == GRAFT_OK; i++) {
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
static struct node_cost attention_cost(const struct graft_node *n, const struct placed_value *in,
                                       const struct placed_value *out, double keys, bool backward)
{
    const struct placed_value *prefix = &in[backward ? 8 : 5];
    double width = columns(&in[0]);
    struct node_cost c = {.flops = 0};
    if (in[1].shape.rank == 0) keys = 0;
    double scores =
        keys +
        (prefix->shape.rank != 0 ? (double)(prefix->shape.dim[0] * in[0].shape.dim[0]) : 0.0);
    c.flops = (backward ? 10.0 : 4.0) * scores * width;
    for (uint32_t i = 0; i < n->input_count; i++) {
        double most = i == 1 || i == 2 ? keys * columns(&in[i]) * sizeof(float) : bytes(&in[i]);
        c.bytes += smaller(bytes(&in[i]), most);
    }
    for (uint32_t i = 0; i < n->output_count; i++) c.bytes += bytes(&out[i]);
    return c;
}

struct node_cost plan_node_cost(const struct plan *plan, size_t node,
                                const int64_t live[GRAFT_ROWS_KINDS], int64_t keys)
{
    const struct graft_node *n = &plan->nodes[node];
    struct placed_value in[GRAFT_MAX_INPUTS] = {{0}}, out[GRAFT_MAX_OUTPUTS] = {{0}};
    struct node_cost c = {.flops = 0};
    for (uint32_t i = 0; i < n->input_count; i++) in[i] = tensor(plan, n->input[i], live);
    for (uint32_t i = 0; i < n->output_count; i++) out[i] = tensor(plan, n->output[i], live);
    for (uint32_t i = 0; i < n->input_count; i++) c.bytes += bytes(&in[i]);
    for (uint32_t i = 0; i < n->output_count; i++) c.bytes += bytes(&out[i]);
    c.flops = count(&out[0]);
    switch (n->op) {
    case GRAFT_OP_MATMUL: {
        int first = in[0].shape.rank == 3;
        c.flops *= 2.0 * (double)in[0].shape.dim[first + !n->params.matmul.transpose_a];
        break;
    }
    case GRAFT_OP_HEAD_LOSS:
        c.flops = (out[2].shape.rank != 0 ? 4.0 : 2.0) * count(&in[0]) * (double)in[1].shape.dim[0];
        break;
    case GRAFT_OP_ATTENTION: return attention_cost(n, in, out, (double)keys, false);
    case GRAFT_OP_ATTENTION_BACKWARD: return attention_cost(n, in, out, (double)keys, true);
    case GRAFT_OP_EMBEDDING:
        c.flops = 0.0;
        c.bytes = bytes(&out[0]) + bytes(&in[0]) +
                  bytes(&in[1]) * smaller(1.0, count(&out[0]) / count(&in[1]));
        break;
    case GRAFT_OP_GATHER_ROWS: c = (struct node_cost){0.0, 2.0 * bytes(&out[0])}; break;
    case GRAFT_OP_WRITE_ROWS: c = (struct node_cost){0.0, 2.0 * bytes(&in[1])}; break;
    default: break;
    }
    return c;
}

static void put_shape(const struct placed_value *v, struct str *out)
{
    char text[64];
    str_printf(out, " %s", shape_text(v->shape, text));
}

void plan_node_title(const struct plan *plan, size_t node, const int64_t live[GRAFT_ROWS_KINDS],
                     struct str *out)
{
    const struct graft_node *n = &plan->nodes[node];
    bool product = n->op == GRAFT_OP_MATMUL;
    struct placed_value a = tensor(plan, n->input[0], live);
    str_puts(out, op_info(n->op)->name);
    if (!product && n->op != GRAFT_OP_HEAD_LOSS) return;
    struct placed_value b = tensor(plan, n->input[1], live);
    str_printf(out, " %s", quant_name(b.dtype));
    put_shape(&a, out);
    if (product && n->params.matmul.transpose_a) str_puts(out, "^T");
    str_puts(out, " x");
    put_shape(&b, out);
    if (!product || n->params.matmul.transpose_b) str_puts(out, "^T");
}

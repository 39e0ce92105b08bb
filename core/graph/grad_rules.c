/* SPDX-License-Identifier: Apache-2.0
 *
 * The gradient of every op, in the op's own terms. d is the gradient of the output, a and b the
 * inputs, y the output. Derivatives: facts of calculus; the fused backward ops are defined in
 * ops.h.
 */
#include "graph/internal.h"

#include <string.h>

static struct graft_builder *builder(struct grad *c)
{
    return &c->graph->builder;
}

static struct graft_shape shape(struct grad *c, graft_value v)
{
    return graft_shape_of(builder(c), v);
}

/* Sums a gradient over the axes that broadcasting repeated, so that it has `like`'s shape. */
static graft_value unbroadcast(struct grad *c, graft_value d, graft_value like)
{
    struct graft_shape to = shape(c, like), from = shape(c, d);
    int32_t lead = from.rank - to.rank, axes = 0;
    if (d.id == 0) return d;
    for (int32_t i = 0; i < from.rank; i++)
        if (i < lead || (to.dim[i - lead] == 1 && from.dim[i] != 1)) axes |= 1 << i;
    if (axes != 0) d = graft_sum(builder(c), d, axes);
    return lead > 0 ? graft_reshape(builder(c), d, to) : d;
}

static void give(struct grad *c, int i, graft_value d)
{
    c->din[i] = unbroadcast(c, d, c->node.input[i]);
}

static void grad_add(struct grad *c)
{
    if (c->want[0]) give(c, 0, c->dout[0]);
    if (c->want[1]) give(c, 1, c->dout[0]);
}

static void grad_sub(struct grad *c)
{
    if (c->want[0]) give(c, 0, c->dout[0]);
    if (c->want[1]) give(c, 1, graft_scale(builder(c), c->dout[0], -1.0));
}

static void grad_mul(struct grad *c)
{
    if (c->want[0]) give(c, 0, graft_mul(builder(c), c->dout[0], c->node.input[1]));
    if (c->want[1]) give(c, 1, graft_mul(builder(c), c->dout[0], c->node.input[0]));
}

/* y = a / b: da = d / b, db = -d y / b */
static void grad_div(struct grad *c)
{
    graft_value q = graft_div(builder(c), c->dout[0], c->node.input[1]);
    if (c->want[0]) give(c, 0, q);
    if (c->want[1])
        give(c, 1, graft_scale(builder(c), graft_mul(builder(c), q, c->node.output[0]), -1.0));
}

static void grad_affine(struct grad *c)
{
    c->din[0] = graft_scale(builder(c), c->dout[0], c->node.params.affine.scale);
}

/* d / (2 y) */
static void grad_sqrt(struct grad *c)
{
    c->din[0] = graft_scale(builder(c), graft_div(builder(c), c->dout[0], c->node.output[0]), 0.5);
}

static void grad_exp(struct grad *c)
{
    c->din[0] = graft_mul(builder(c), c->dout[0], c->node.output[0]);
}

static void grad_expm1(struct grad *c)
{
    graft_value e = graft_affine(builder(c), c->node.output[0], 1.0, 1.0);
    c->din[0] = graft_mul(builder(c), c->dout[0], e);
}

/* d (1 - y^2) */
static void grad_tanh(struct grad *c)
{
    graft_value y = c->node.output[0];
    graft_value slope = graft_affine(builder(c), graft_mul(builder(c), y, y), -1.0, 1.0);
    c->din[0] = graft_mul(builder(c), c->dout[0], slope);
}

/* d y (1 - y) */
static void grad_sigmoid(struct grad *c)
{
    graft_value y = c->node.output[0];
    graft_value slope = graft_mul(builder(c), y, graft_affine(builder(c), y, -1.0, 1.0));
    c->din[0] = graft_mul(builder(c), c->dout[0], slope);
}

/* y = a s, s = sigmoid(a): dy/da = s + y (1 - s) */
static void grad_silu(struct grad *c)
{
    struct graft_builder *b = builder(c);
    graft_value s = graft_unary(b, GRAFT_OP_SIGMOID, c->node.input[0]);
    graft_value rest = graft_mul(b, c->node.output[0], graft_affine(b, s, -1.0, 1.0));
    c->din[0] = graft_mul(b, c->dout[0], graft_add(b, s, rest));
}

static void grad_sum(struct grad *c)
{
    graft_value x = c->node.input[0];
    c->din[0] = graph_broadcast(c->graph, c->dout[0], shape(c, x), graph_rows(c->graph, x));
}

static void grad_broadcast(struct grad *c)
{
    give(c, 0, c->dout[0]);
}

static void grad_reshape(struct grad *c)
{
    c->din[0] = graft_reshape(builder(c), c->dout[0], shape(c, c->node.input[0]));
}

/* C = A' B', with A' = A or its transpose by ta, B' likewise */
static void grad_matmul(struct grad *c)
{
    struct graft_builder *b = builder(c);
    graft_value A = c->node.input[0], B = c->node.input[1], d = c->dout[0];
    int ta = c->node.params.matmul.transpose_a, tb = c->node.params.matmul.transpose_b;
    if (c->want[0]) c->din[0] = ta ? graft_matmul(b, B, d, tb, 1) : graft_matmul(b, d, B, 0, !tb);
    if (c->want[1]) c->din[1] = tb ? graft_matmul(b, d, A, 1, ta) : graft_matmul(b, A, d, !ta, 0);
}

static void refuse(struct grad *c, int input, const char *what)
{
    if (c->want[input])
        graph_fail(c->graph, GRAFT_E_UNSUPPORTED, "%s cannot be trained in this version", what);
}

static void grad_embedding(struct grad *c)
{
    refuse(c, 1, "an embedding table");
}

static void grad_gather(struct grad *c)
{
    graft_value x = c->node.input[0], inputs[2] = {c->dout[0], c->node.input[1]};
    union graft_params p = {
        .rows = {.capacity = shape(c, x).dim[0], .kind = graph_rows(c->graph, x)}};
    c->din[0] = graph_add_node(c->graph, GRAFT_OP_SCATTER_ROWS, inputs, 2, &p);
}

static void grad_scatter(struct grad *c)
{
    graft_value inputs[2] = {c->dout[0], c->node.input[1]};
    c->din[0] = graph_add_node(c->graph, GRAFT_OP_GATHER_ROWS, inputs, 2, NULL);
}

/* y = n w with n = x rsqrt(mean(x^2) + eps): dw = sum over rows of d n */
static void grad_rms_norm(struct grad *c)
{
    struct graft_builder *b = builder(c);
    graft_value x = c->node.input[0], w = c->node.input[1];
    if (c->want[0]) {
        graft_value inputs[3] = {c->dout[0], x, w};
        c->din[0] =
            graph_add_node(c->graph, GRAFT_OP_RMS_NORM_BACKWARD, inputs, 3, &c->node.params);
    }
    if (c->want[1]) {
        graft_value one =
            graph_broadcast(c->graph, graft_constant(b, 1.0), shape(c, w), GRAFT_ROWS_FIXED);
        graft_value inputs[2] = {x, one};
        graft_value n = graph_add_node(c->graph, GRAFT_OP_RMS_NORM, inputs, 2, &c->node.params);
        give(c, 1, graft_mul(b, c->dout[0], n));
    }
}

static void grad_rope(struct grad *c)
{
    graft_value inputs[2] = {c->dout[0], c->node.input[1]};
    union graft_params p = c->node.params;
    p.rope.inverse = !p.rope.inverse;
    c->din[0] = graph_add_node(c->graph, GRAFT_OP_ROPE, inputs, 2, &p);
}

static void grad_swiglu(struct grad *c)
{
    graft_value inputs[3] = {c->dout[0], c->node.input[0], c->node.input[1]};
    c->din[0] = graph_add_node(c->graph, GRAFT_OP_SWIGLU_BACKWARD, inputs, 3, NULL);
    c->din[1] = graph_output(c->graph, c->din[0], 1);
}

static void grad_attention(struct grad *c)
{
    graft_value inputs[8];
    memcpy(inputs, c->node.input, 5 * sizeof inputs[0]);
    inputs[5] = c->node.output[0];
    inputs[6] = c->node.output[1];
    inputs[7] = c->dout[0];
    c->din[0] = graph_add_node(c->graph, GRAFT_OP_ATTENTION_BACKWARD, inputs, 8, &c->node.params);
    c->din[1] = graph_output(c->graph, c->din[0], 1);
    c->din[2] = graph_output(c->graph, c->din[0], 2);
}

static void grad_cross_entropy(struct grad *c)
{
    graft_value inputs[3] = {c->node.input[0], c->node.input[1], c->dout[0]};
    c->din[0] = graph_add_node(c->graph, GRAFT_OP_CROSS_ENTROPY_BACKWARD, inputs, 3, NULL);
}

/* The forward op has made g[r] = d nll[r] / d x[r] already. */
static void grad_head_loss(struct grad *c)
{
    struct graft_builder *b = builder(c);
    refuse(c, 1, "the matrix of a fused head");
    if (!c->want[0]) return;
    struct graft_shape column = graft_shape2(shape(c, c->dout[0]).dim[0], 1);
    graft_value d = graft_reshape(b, c->dout[0], column);
    c->din[0] = graft_mul(b, c->node.output[2], d);
}

static void grad_dropout(struct grad *c)
{
    graft_value inputs[4];
    memcpy(inputs, c->node.input, sizeof inputs);
    inputs[0] = c->dout[0];
    c->din[0] = graph_add_node(c->graph, GRAFT_OP_DROPOUT, inputs, 4, &c->node.params);
}

grad_rule *grad_rule_of(int32_t op)
{
    switch (op) {
    case GRAFT_OP_ADD: return grad_add;
    case GRAFT_OP_SUB: return grad_sub;
    case GRAFT_OP_MUL: return grad_mul;
    case GRAFT_OP_DIV: return grad_div;
    case GRAFT_OP_AFFINE: return grad_affine;
    case GRAFT_OP_SQRT: return grad_sqrt;
    case GRAFT_OP_EXP: return grad_exp;
    case GRAFT_OP_EXPM1: return grad_expm1;
    case GRAFT_OP_TANH: return grad_tanh;
    case GRAFT_OP_SIGMOID: return grad_sigmoid;
    case GRAFT_OP_SILU: return grad_silu;
    case GRAFT_OP_SUM: return grad_sum;
    case GRAFT_OP_BROADCAST: return grad_broadcast;
    case GRAFT_OP_RESHAPE: return grad_reshape;
    case GRAFT_OP_MATMUL: return grad_matmul;
    case GRAFT_OP_EMBEDDING: return grad_embedding;
    case GRAFT_OP_GATHER_ROWS: return grad_gather;
    case GRAFT_OP_SCATTER_ROWS: return grad_scatter;
    case GRAFT_OP_RMS_NORM: return grad_rms_norm;
    case GRAFT_OP_ROPE: return grad_rope;
    case GRAFT_OP_SWIGLU: return grad_swiglu;
    case GRAFT_OP_ATTENTION: return grad_attention;
    case GRAFT_OP_CROSS_ENTROPY: return grad_cross_entropy;
    case GRAFT_OP_HEAD_LOSS: return grad_head_loss;
    case GRAFT_OP_DROPOUT: return grad_dropout;
    default: return NULL;
    }
}

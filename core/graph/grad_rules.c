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

static void grad_abs(struct grad *c)
{
    graft_value sign = graft_unary(builder(c), GRAFT_OP_SIGN, c->node.input[0]);
    c->din[0] = graft_mul(builder(c), c->dout[0], sign);
}

/* No contribution is a gradient of 0. */
static void grad_sign(struct grad *c)
{
    (void)c;
}

/* The sign of y is 1 where a > 0, else 0. */
static void grad_relu(struct grad *c)
{
    graft_value slope = graft_unary(builder(c), GRAFT_OP_SIGN, c->node.output[0]);
    c->din[0] = graft_mul(builder(c), c->dout[0], slope);
}

/* y = a F(a), F the normal distribution: dy/da = F + a exp(-a^2 / 2) / sqrt(2 pi). F comes from
 * gelu(m) / m at m = |a|, kept off 0: F(a) = 1/2 + sign(a) (F(|a|) - 1/2). */
static void grad_gelu(struct grad *c)
{
    struct graft_builder *b = builder(c);
    graft_value a = c->node.input[0], size = graft_unary(b, GRAFT_OP_ABS, a);
    graft_value m = graft_maximum(b, size, graft_constant(b, 1e-30));
    graft_value above = graft_affine(b, graft_div(b, graft_unary(b, GRAFT_OP_GELU, m), m), 1, -0.5);
    graft_value f =
        graft_affine(b, graft_mul(b, graft_unary(b, GRAFT_OP_SIGN, a), above), 1.0, 0.5);
    /* -0.918..: log(1 / sqrt(2 pi)) */
    graft_value exponent = graft_affine(b, graft_mul(b, a, a), -0.5, -0.91893853320467274178);
    graft_value bell = graft_mul(b, a, graft_unary(b, GRAFT_OP_EXP, exponent));
    c->din[0] = graft_mul(b, c->dout[0], graft_add(b, f, bell));
}

/* y = a s with s = sigmoid(2 u), 2 u = a (2 r + 2 r k a^2), r = sqrt(2 / pi), k = 0.044715:
 * dy/da = s + y (1 - s) (2 r + 6 r k a^2) */
static void grad_gelu_tanh(struct grad *c)
{
    const double r = 0.79788456080286535588, k = 0.044715;
    struct graft_builder *b = builder(c);
    graft_value a = c->node.input[0], square = graft_mul(b, a, a);
    graft_value u2 = graft_mul(b, a, graft_affine(b, square, 2.0 * r * k, 2.0 * r));
    graft_value s = graft_unary(b, GRAFT_OP_SIGMOID, u2);
    graft_value rest = graft_mul(b, c->node.output[0], graft_affine(b, s, -1.0, 1.0));
    graft_value bend = graft_mul(b, rest, graft_affine(b, square, 6.0 * r * k, 2.0 * r));
    c->din[0] = graft_mul(b, c->dout[0], graft_add(b, s, bend));
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

static void grad_slice(struct grad *c)
{
    int32_t axis = c->node.params.slice.axis;
    c->din[0] = graft_place(builder(c), c->dout[0], axis, c->node.params.slice.begin,
                            shape(c, c->node.input[0]).dim[axis]);
}

static void grad_place(struct grad *c)
{
    int32_t axis = c->node.params.slice.axis;
    c->din[0] = graft_slice(builder(c), c->dout[0], axis, c->node.params.slice.begin,
                            shape(c, c->node.input[0]).dim[axis]);
}

static void grad_permute(struct grad *c)
{
    int32_t back[GRAFT_MAX_RANK] = {0}, rank = shape(c, c->node.input[0]).rank;
    for (int32_t i = 0; i < rank; i++) back[c->node.params.permute.axis[i]] = i;
    c->din[0] = graft_permute(builder(c), c->dout[0], back);
}

static void grad_skew(struct grad *c)
{
    c->din[0] = graph_add_node(c->graph, GRAFT_OP_SKEW_BACKWARD, c->dout, 1, &c->node.params);
}

static void grad_skew_backward(struct grad *c)
{
    c->din[0] = graph_add_node(c->graph, GRAFT_OP_SKEW, c->dout, 1, &c->node.params);
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
    graft_value inputs[2] = {c->dout[0], c->node.input[0]};
    union graft_params p = c->node.params;
    p.embedding.rows = shape(c, c->node.input[1]).dim[0];
    c->din[1] = graph_add_node(c->graph, GRAFT_OP_EMBEDDING_BACKWARD, inputs, 2, &p);
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

/* An output whose gradient no rule takes must not be trained through. */
static bool reached(struct grad *c, int output, const char *what)
{
    if (c->dout[output].id != 0)
        graph_fail(c->graph, GRAFT_E_UNSUPPORTED, "%s has no gradient", what);
    return c->dout[output].id != 0;
}

static void grad_attention(struct grad *c)
{
    static const int to[] = {0, 1, 2, 5, 6}; /* inputs of dq, dk, dv, dpk, dpv */
    graft_value inputs[GRAFT_MAX_INPUTS] = {{0}};
    uint32_t count = c->node.input_count > 5 ? 10 : 8;
    if (reached(c, 1, "the log-sum-exp of attention")) return;
    memcpy(inputs, c->node.input, 5 * sizeof inputs[0]);
    inputs[5] = c->node.output[0];
    inputs[6] = c->node.output[1];
    inputs[7] = c->dout[0];
    inputs[8] = c->node.input[5];
    inputs[9] = c->node.input[6];
    graft_value dq =
        graph_add_node(c->graph, GRAFT_OP_ATTENTION_BACKWARD, inputs, count, &c->node.params);
    for (uint32_t i = 0; i < 5; i++)
        if (c->want[to[i]]) c->din[to[i]] = graph_output(c->graph, dq, i);
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
    if (reached(c, 2, "the gradient inside a fused head") || !c->want[0]) return;
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
    case GRAFT_OP_ABS: return grad_abs;
    case GRAFT_OP_SIGN: return grad_sign;
    case GRAFT_OP_RELU: return grad_relu;
    case GRAFT_OP_GELU: return grad_gelu;
    case GRAFT_OP_GELU_TANH: return grad_gelu_tanh;
    case GRAFT_OP_SUM: return grad_sum;
    case GRAFT_OP_BROADCAST: return grad_broadcast;
    case GRAFT_OP_RESHAPE: return grad_reshape;
    case GRAFT_OP_SLICE: return grad_slice;
    case GRAFT_OP_PLACE: return grad_place;
    case GRAFT_OP_PERMUTE: return grad_permute;
    case GRAFT_OP_SKEW: return grad_skew;
    case GRAFT_OP_SKEW_BACKWARD: return grad_skew_backward;
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

/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops of one or two numbers at a time, with numpy's broadcasting. Each is computed in double and
 * rounded once.
 *   sigmoid(a) = 1 / (1 + exp(-a))     silu(a) = a * sigmoid(a)
 *   gelu(a) = a/2 erfc(-a / sqrt 2)    gelu_tanh(a) = a sigmoid(2 sqrt(2/pi) (a + 0.044715 a^3))
 * The last two are the usual forms (Hendrycks and Gimpel 2016) without their cancellation.
 */
#include "ref/real.h"

#include <math.h>

static double binary(int32_t op, double a, double b)
{
    switch (op) {
    case GRAFT_OP_ADD: return a + b;
    case GRAFT_OP_SUB: return a - b;
    case GRAFT_OP_MUL: return a * b;
    case GRAFT_OP_DIV: return a / b;
    case GRAFT_OP_MAXIMUM: return a > b ? a : b;
    default: return a < b ? a : b;
    }
}

static double gelu_tanh(double a)
{
    const double twice_sqrt_2_pi = 1.59576912160573071176;
    return a / (1.0 + exp(-twice_sqrt_2_pi * (a + 0.044715 * a * a * a)));
}

static double unary(int32_t op, const union graft_params *params, double a)
{
    switch (op) {
    case GRAFT_OP_AFFINE: return params->affine.scale * a + params->affine.shift;
    case GRAFT_OP_SQRT: return sqrt(a);
    case GRAFT_OP_EXP: return exp(a);
    case GRAFT_OP_EXPM1: return expm1(a);
    case GRAFT_OP_TANH: return tanh(a);
    case GRAFT_OP_SIGMOID: return 1.0 / (1.0 + exp(-a));
    case GRAFT_OP_SILU: return a / (1.0 + exp(-a));
    case GRAFT_OP_ABS: return fabs(a);
    case GRAFT_OP_SIGN: return (a > 0.0) - (a < 0.0);
    case GRAFT_OP_RELU: return a > 0.0 ? a : 0.0;
    case GRAFT_OP_GELU: return 0.5 * a * erfc(-0.70710678118654752440 * a);
    case GRAFT_OP_GELU_TANH: return gelu_tanh(a);
    default: return isfinite(a) ? 1.0 : 0.0;
    }
}

/* How far one step along each axis of the output moves in `in`, aligned at the last dimension. */
static void strides(const struct graft_shape *in, int32_t rank, int64_t stride[GRAFT_MAX_RANK])
{
    int64_t step = 1;
    for (int32_t i = 0; i < GRAFT_MAX_RANK; i++) stride[i] = 0;
    for (int32_t i = in->rank - 1; i >= 0; i--) {
        if (in->dim[i] != 1) stride[rank - in->rank + i] = step;
        step *= in->dim[i];
    }
}

static void binaries(const struct kernel_call *call)
{
    const struct graft_shape *s = &call->out[0].shape;
    const real *a = call->in[0].data, *b = call->in[1].data;
    real *out = call->out[0].data;
    int64_t sa[GRAFT_MAX_RANK], sb[GRAFT_MAX_RANK], i[GRAFT_MAX_RANK], n = 0;
    strides(&call->in[0].shape, s->rank, sa);
    strides(&call->in[1].shape, s->rank, sb);
    for (i[0] = 0; i[0] < s->dim[0]; i[0]++)
        for (i[1] = 0; i[1] < s->dim[1]; i[1]++)
            for (i[2] = 0; i[2] < s->dim[2]; i[2]++)
                for (i[3] = 0; i[3] < s->dim[3]; i[3]++) {
                    int64_t ia = 0, ib = 0;
                    for (int k = 0; k < GRAFT_MAX_RANK; k++) {
                        ia += i[k] * sa[k];
                        ib += i[k] * sb[k];
                    }
                    out[n++] = (real)binary(call->op, a[ia], b[ib]);
                }
}

void REF_NAME(elementwise)(const struct kernel_call *call)
{
    const real *a = call->in[0].data;
    real *out = call->out[0].data;
    if (call->op <= GRAFT_OP_DIV || call->op == GRAFT_OP_MINIMUM || call->op == GRAFT_OP_MAXIMUM) {
        binaries(call);
        return;
    }
    int64_t count = graft_shape_count(call->out[0].shape);
    for (int64_t i = 0; i < count; i++) out[i] = (real)unary(call->op, &call->params, a[i]);
}

/* The output repeats dimensions of 1. */
void REF_NAME(broadcast)(const struct kernel_call *call)
{
    const struct graft_shape *s = &call->out[0].shape;
    const real *x = call->in[0].data;
    real *out = call->out[0].data;
    int64_t sx[GRAFT_MAX_RANK], n = 0;
    strides(&call->in[0].shape, s->rank, sx);
    for (int64_t i = 0; i < s->dim[0]; i++)
        for (int64_t j = 0; j < s->dim[1]; j++)
            for (int64_t k = 0; k < s->dim[2]; k++)
                for (int64_t l = 0; l < s->dim[3]; l++)
                    out[n++] = x[i * sx[0] + j * sx[1] + k * sx[2] + l * sx[3]];
}

/* The same numbers under another shape. */
void REF_NAME(reshape)(const struct kernel_call *call)
{
    const real *x = call->in[0].data;
    real *out = call->out[0].data;
    int64_t count = graft_shape_count(call->out[0].shape);
    if (out == x) return;
    for (int64_t i = 0; i < count; i++) out[i] = x[i];
}

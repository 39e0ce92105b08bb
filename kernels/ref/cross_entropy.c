/* SPDX-License-Identifier: Apache-2.0
 *
 * The loss of the next token. R rows, V vocabulary, C channels.
 *   nll[r] = log(sum over v of exp(z[r, v])) - z[r, target[r]],   p = softmax(z)
 *   dz[r, v] = dnll[r] * (p[r, v] - (v == target[r]))
 *   head: z = x.w[v],   g[r] = sum over v of p[r, v] * w[v] - w[target[r]]
 * A negative target has nll, dz and g of 0; argmax (the lowest index among equals) is given for
 * every row. Sums in double with the largest logit taken out; outputs are overwritten, absent ones
 * left out.
 */
#include "ref/real.h"

#include <math.h>

/* The log of a sum of exponentials, one number after the other. */
struct tally {
    double largest, sum;
    int32_t argmax;
};

static void tally_add(struct tally *t, double z, int64_t at)
{
    if (z > t->largest) {
        t->sum *= exp(t->largest - z);
        t->largest = z;
        t->argmax = (int32_t)at;
    }
    t->sum += exp(z - t->largest);
}

static struct tally tally_row(const real *z, int64_t vocabulary)
{
    struct tally t = {-INFINITY, 0.0, 0};
    for (int64_t v = 0; v < vocabulary; v++) tally_add(&t, z[v], v);
    return t;
}

void REF_NAME(cross_entropy)(const struct kernel_call *call)
{
    const real *z = call->in[0].data; /* [R, V] */
    const int32_t *target = call->in[1].data;
    real *nll = call->out[0].data;
    int32_t *argmax = call->out[1].data;
    int64_t rows = call->in[0].shape.dim[0], vocabulary = call->in[0].shape.dim[1];
    for (int64_t r = 0; r < rows; r++, z += vocabulary) {
        struct tally t = tally_row(z, vocabulary);
        if (nll) nll[r] = target[r] < 0 ? 0 : (real)(t.largest - z[target[r]] + log(t.sum));
        if (argmax) argmax[r] = t.argmax;
    }
}

void REF_NAME(cross_entropy_backward)(const struct kernel_call *call)
{
    const real *z = call->in[0].data, *dnll = call->in[2].data; /* [R, V], [R] */
    const int32_t *target = call->in[1].data;
    real *dz = call->out[0].data;
    int64_t rows = call->in[0].shape.dim[0], vocabulary = call->in[0].shape.dim[1];
    for (int64_t r = 0; r < rows; r++, z += vocabulary, dz += vocabulary) {
        struct tally t = tally_row(z, vocabulary);
        for (int64_t v = 0; v < vocabulary; v++) {
            double p = exp(z[v] - t.largest) / t.sum;
            dz[v] = target[r] < 0 ? 0 : (real)(dnll[r] * (p - (v == target[r] ? 1.0 : 0.0)));
        }
    }
}

static double logit(const struct kernel_call *call, const real *x, int64_t v)
{
    int64_t channels = call->in[1].shape.dim[1];
    real w[REF_PIECE];
    double sum = 0.0;
    for (int64_t c = 0; c < channels; c += REF_PIECE) {
        int64_t count = channels - c < REF_PIECE ? channels - c : REF_PIECE;
        REF_NAME(load)(&call->in[1], v, c, count, w);
        for (int64_t i = 0; i < count; i++) sum += (double)x[c + i] * w[i];
    }
    return sum;
}

/* g of one row, piece by piece; every piece computes the logits anew. */
static void head_gradient(const struct kernel_call *call, const real *x, struct tally t,
                          int32_t target, real *g)
{
    int64_t vocabulary = call->in[1].shape.dim[0], channels = call->in[1].shape.dim[1];
    for (int64_t c = 0; c < channels; c += REF_PIECE) {
        int64_t count = channels - c < REF_PIECE ? channels - c : REF_PIECE;
        double sum[REF_PIECE] = {0.0};
        for (int64_t v = 0; target >= 0 && v < vocabulary; v++) {
            real w[REF_PIECE];
            double p = exp(logit(call, x, v) - t.largest) / t.sum - (v == target ? 1.0 : 0.0);
            REF_NAME(load)(&call->in[1], v, c, count, w);
            for (int64_t i = 0; i < count; i++) sum[i] += p * w[i];
        }
        for (int64_t i = 0; i < count; i++) g[c + i] = (real)sum[i];
    }
}

void REF_NAME(head_loss)(const struct kernel_call *call)
{
    const real *x = call->in[0].data; /* [R, C] */
    const int32_t *target = call->in[2].data;
    real *nll = call->out[0].data, *g = call->out[2].data;
    int32_t *argmax = call->out[1].data;
    int64_t rows = call->in[0].shape.dim[0], channels = call->in[0].shape.dim[1];
    for (int64_t r = 0; r < rows; r++, x += channels) {
        struct tally t = {-INFINITY, 0.0, 0};
        double wanted = 0.0;
        for (int64_t v = 0; v < call->in[1].shape.dim[0]; v++) {
            double z = logit(call, x, v);
            tally_add(&t, z, v);
            if (v == target[r]) wanted = z;
        }
        if (nll) nll[r] = target[r] < 0 ? 0 : (real)(t.largest - wanted + log(t.sum));
        if (argmax) argmax[r] = t.argmax;
        if (g) head_gradient(call, x, t, target[r], g + r * channels);
    }
}

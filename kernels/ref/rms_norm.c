/* SPDX-License-Identifier: Apache-2.0
 *
 * Zhang and Sennrich 2019, "Root mean square layer normalization".
 *   y[t, c] = x[t, c] * r[t] * w[c],   r[t] = 1 / sqrt(mean over c of x[t, c]^2 + eps)
 *   dx[t, c] = r * (w[c] * dy[t, c] - x[t, c] * r^2 * mean over c of (dy * w * x))
 * Sums in double; outputs are overwritten. The mean is over C, row by row.
 */
#include "ref/real.h"

#include <math.h>

static int64_t last_dim(struct graft_shape s)
{
    return s.dim[s.rank - 1];
}

static double inverse_rms(const real *x, int64_t channels, double eps)
{
    double squares = 0.0;
    for (int64_t c = 0; c < channels; c++) squares += (double)x[c] * x[c];
    return 1.0 / sqrt(squares / (double)channels + eps);
}

void REF_NAME(rms_norm)(const struct kernel_call *call)
{
    const real *x = call->in[0].data, *w = call->in[1].data;
    real *y = call->out[0].data;
    int64_t channels = last_dim(call->in[0].shape);
    int64_t tokens = graft_shape_count(call->in[0].shape) / channels;
    for (int64_t t = 0; t < tokens; t++, x += channels, y += channels) {
        double r = inverse_rms(x, channels, call->params.norm.eps);
        for (int64_t c = 0; c < channels; c++) y[c] = (real)(x[c] * r * w[c]);
    }
}

void REF_NAME(rms_norm_backward)(const struct kernel_call *call)
{
    const real *dy = call->in[0].data, *x = call->in[1].data, *w = call->in[2].data;
    real *dx = call->out[0].data;
    int64_t channels = last_dim(call->in[1].shape);
    int64_t tokens = graft_shape_count(call->in[1].shape) / channels;
    for (int64_t t = 0; t < tokens; t++, dy += channels, x += channels, dx += channels) {
        double r = inverse_rms(x, channels, call->params.norm.eps), dot = 0.0;
        for (int64_t c = 0; c < channels; c++) dot += (double)dy[c] * w[c] * x[c];
        dot *= r * r / (double)channels;
        for (int64_t c = 0; c < channels; c++)
            dx[c] = (real)(r * ((double)w[c] * dy[c] - x[c] * dot));
    }
}

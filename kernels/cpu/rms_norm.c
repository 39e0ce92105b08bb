/* SPDX-License-Identifier: Apache-2.0
 *
 * Zhang and Sennrich 2019, "Root mean square layer normalization".
 *   y[t, c] = x[t, c] * r[t] * w[c],   r[t] = 1 / sqrt(mean over c of x[t, c]^2 + eps)
 *   dx[t, c] = r * (w[c] * dy[t, c] - x[t, c] * r^2 * mean over c of (dy * w * x))
 * Sums in f32 lanes. A row is summed before it is written: the output may be an input.
 */
#include "cpu/cpu.h"
#include "cpu/row.h"

#include <math.h>

/* Any rank: C is the last dimension. */
static int64_t channels_of(const struct kernel_call *call)
{
    return call->in[0].shape.dim[call->in[0].shape.rank - 1];
}

static int64_t rows_of(const struct kernel_call *call)
{
    return graft_shape_count(call->in[0].shape) / channels_of(call);
}

static uint32_t tasks(struct cpu_job *job)
{
    const struct kernel_call *call = &job->call;
    return call->out[0].data == NULL ? 0 : cpu_row_tasks(rows_of(call), channels_of(call));
}

static float inverse_rms(const float *x, int64_t channels, double eps)
{
    double mean = (double)row_dot(x, x, channels) / (double)channels;
    return (float)(1.0 / sqrt(mean + eps));
}

static void forward(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    const struct kernel_call *call = &job->call;
    const float *w = call->in[1].data;
    int64_t channels = channels_of(call);
    struct cpu_range rows = cpu_piece(rows_of(call), cpu_rows_per_task(channels), index);
    for (int64_t t = rows.begin; t < rows.end; t++) {
        const float *x = (const float *)call->in[0].data + t * channels;
        float *y = (float *)call->out[0].data + t * channels;
        float r = inverse_rms(x, channels, call->params.norm.eps);
        PARALLEL_LOOP
        for (int64_t c = 0; c < channels; c++) y[c] = x[c] * r * w[c];
    }
}

static void backward(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    const struct kernel_call *call = &job->call;
    const float *w = call->in[2].data;
    int64_t channels = channels_of(call);
    struct cpu_range rows = cpu_piece(rows_of(call), cpu_rows_per_task(channels), index);
    for (int64_t t = rows.begin; t < rows.end; t++) {
        const float *dy = (const float *)call->in[0].data + t * channels;
        const float *x = (const float *)call->in[1].data + t * channels;
        float *dx = (float *)call->out[0].data + t * channels;
        float r = inverse_rms(x, channels, call->params.norm.eps);
        float back = row_dot3(dy, w, x, channels) * r * r / (float)channels;
        PARALLEL_LOOP
        for (int64_t c = 0; c < channels; c++) dx[c] = r * (w[c] * dy[c] - x[c] * back);
    }
}

const struct cpu_kernel cpu_rms_norm = {.phase = {{tasks, forward}}};
const struct cpu_kernel cpu_rms_norm_backward = {.phase = {{tasks, backward}}};

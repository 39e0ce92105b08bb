/* SPDX-License-Identifier: Apache-2.0
 *
 * Shazeer 2020, "GLU variants improve transformer".   s = 1 / (1 + exp(-gate))
 *   y = gate * s * up
 *   dgate = dy * up * s * (1 + gate * (1 - s)),   dup = dy * gate * s
 * 1 - s is 1 / (1 + exp(gate)), which does not cancel. Each number is read before it is written,
 * so an output may be an input.
 */
#include "cpu/cpu.h"
#include "cpu/exp.h"

static uint32_t tasks(struct cpu_job *job)
{
    if (job->call.out[0].data == NULL && job->call.out[1].data == NULL) return 0;
    return cpu_row_tasks(graft_shape_count(job->call.in[0].shape), 1);
}

static void forward(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    const float *gate = job->call.in[0].data, *up = job->call.in[1].data;
    float *y = job->call.out[0].data;
    struct cpu_range r = cpu_piece(graft_shape_count(job->call.in[0].shape), CPU_CHUNK, index);
    PARALLEL_LOOP
    for (int64_t i = r.begin; i < r.end; i++) y[i] = gate[i] * sigmoid_f32(gate[i]) * up[i];
}

static void backward(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    const float *dy = job->call.in[0].data, *gate = job->call.in[1].data;
    const float *up = job->call.in[2].data;
    float *dgate = job->call.out[0].data, *dup = job->call.out[1].data;
    struct cpu_range r = cpu_piece(graft_shape_count(job->call.in[0].shape), CPU_CHUNK, index);
    float unread[64]; /* stands for an absent output */
    for (int64_t i0 = r.begin; i0 < r.end; i0 += 64) {
        const float *d = dy + i0, *g = gate + i0, *u = up + i0;
        float *dg = dgate != NULL ? dgate + i0 : unread, *du = dup != NULL ? dup + i0 : unread;
        int64_t n = cpu_smaller(64, r.end - i0);
        PARALLEL_LOOP
        for (int64_t i = 0; i < n; i++) {
            float slope = d[i], x = g[i], s = sigmoid_f32(x), rest = sigmoid_f32(-x);
            float through = slope * u[i] * s * FMA(x, rest, 1.0f);
            du[i] = slope * x * s;
            dg[i] = through;
        }
    }
}

const struct cpu_kernel cpu_swiglu = {.phase = {{tasks, forward}}};
const struct cpu_kernel cpu_swiglu_backward = {.phase = {{tasks, backward}}};

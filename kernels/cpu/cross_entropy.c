/* SPDX-License-Identifier: Apache-2.0
 *
 * The loss of the next token on logits z that exist. R rows, V vocabulary.
 *   nll[r] = log(sum over v of exp(z[r, v] - max)) + max - z[r, target[r]]
 *   dz[r, v] = dnll[r] * (p[r, v] - (v == target[r])),   p = softmax(z)
 * A target below 0 or past V has nll and dz of 0; argmax is the lowest index of the largest.
 * dz may be z.
 */
#include "cpu/cpu.h"
#include "cpu/exp.h"
#include "cpu/row.h"

#include <stdbool.h>

enum { PIECE = 256 };

static uint32_t tasks(struct cpu_job *job)
{
    const struct graft_shape *s = &job->call.in[0].shape;
    if (job->call.out[0].data == NULL && job->call.out[1].data == NULL) return 0;
    return cpu_row_tasks(s->dim[0], s->dim[1]);
}

static float sum_of_exp(const float *z, int64_t n, float largest)
{
    float total = 0.0f;
    for (int64_t v = 0; v < n; v += PIECE) {
        float piece[PIECE];
        int64_t count = cpu_smaller(PIECE, n - v);
        PARALLEL_LOOP
        for (int64_t i = 0; i < count; i++) piece[i] = exp_f32(z[v + i] - largest);
        total += row_sum(piece, count);
    }
    return total;
}

static int32_t first_index(const float *z, int64_t n, float value)
{
    for (int64_t v = 0; v < n; v++)
        if (z[v] == value) return (int32_t)v;
    return 0;
}

static void forward(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    const struct kernel_call *call = &job->call;
    const int32_t *target = call->in[1].data;
    float *nll = call->out[0].data;
    int32_t *argmax = call->out[1].data;
    int64_t n = call->in[0].shape.dim[1];
    struct cpu_range rows = cpu_piece(call->in[0].shape.dim[0], cpu_rows_per_task(n), index);
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const float *z = (const float *)call->in[0].data + r * n;
        float largest = row_max(z, n, -INFINITY);
        bool trained = target[r] >= 0 && target[r] < n;
        if (argmax != NULL) argmax[r] = first_index(z, n, largest);
        if (nll != NULL)
            nll[r] = trained ? largest - z[target[r]] + logf(sum_of_exp(z, n, largest)) : 0.0f;
    }
}

static void backward(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    const struct kernel_call *call = &job->call;
    const int32_t *target = call->in[1].data;
    const float *dnll = call->in[2].data;
    int64_t n = call->in[0].shape.dim[1];
    struct cpu_range rows = cpu_piece(call->in[0].shape.dim[0], cpu_rows_per_task(n), index);
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const float *z = (const float *)call->in[0].data + r * n;
        float *dz = (float *)call->out[0].data + r * n;
        if (target[r] < 0 || target[r] >= n) {
            memset(dz, 0, (size_t)n * sizeof *dz);
            continue;
        }
        float largest = row_max(z, n, -INFINITY), wanted = z[target[r]], slope = dnll[r];
        float scale = 1.0f / sum_of_exp(z, n, largest);
        PARALLEL_LOOP
        for (int64_t v = 0; v < n; v++) dz[v] = slope * (exp_f32(z[v] - largest) * scale);
        dz[target[r]] = slope * (exp_f32(wanted - largest) * scale - 1.0f);
    }
}

const struct cpu_kernel cpu_cross_entropy = {.phase = {{tasks, forward}}};
const struct cpu_kernel cpu_cross_entropy_backward = {.phase = {{tasks, backward}}};

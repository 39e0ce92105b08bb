/* SPDX-License-Identifier: Apache-2.0
 *
 * Skew-symmetric matrices from their strictly upper triangles, and the gradient of that. A task
 * has whole matrices.
 */
#include "cpu/cpu.h"

static uint32_t tasks(struct cpu_job *job)
{
    int64_t b = job->call.params.skew.size;
    return job->call.out[0].data == NULL ? 0 : cpu_row_tasks(job->call.in[0].shape.dim[0], b * b);
}

static struct cpu_range rows_of(const struct cpu_job *job, uint32_t index)
{
    int64_t b = job->call.params.skew.size;
    return cpu_piece(job->call.in[0].shape.dim[0], cpu_rows_per_task(b * b), index);
}

static void forward(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    int64_t b = job->call.params.skew.size, n = b * (b - 1) / 2;
    struct cpu_range r = rows_of(job, index);
    const float *v = (const float *)job->call.in[0].data + r.begin * n;
    float *out = (float *)job->call.out[0].data + r.begin * b * b;
    for (int64_t row = r.begin; row < r.end; row++, out += b * b)
        for (int64_t i = 0; i < b; i++) {
            out[i * b + i] = 0.0f;
            for (int64_t j = i + 1; j < b; j++, v++) {
                out[i * b + j] = *v;
                out[j * b + i] = -*v;
            }
        }
}

static void backward(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    int64_t b = job->call.params.skew.size, n = b * (b - 1) / 2;
    struct cpu_range r = rows_of(job, index);
    const float *m = (const float *)job->call.in[0].data + r.begin * b * b;
    float *out = (float *)job->call.out[0].data + r.begin * n;
    for (int64_t row = r.begin; row < r.end; row++, m += b * b)
        for (int64_t i = 0; i < b; i++)
            for (int64_t j = i + 1; j < b; j++) *out++ = m[i * b + j] - m[j * b + i];
}

const struct cpu_kernel cpu_skew = {.phase = {{tasks, forward}}};
const struct cpu_kernel cpu_skew_backward = {.phase = {{tasks, backward}}};

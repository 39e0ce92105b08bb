/* SPDX-License-Identifier: Apache-2.0
 *
 * out[t, :] = table[ids[t] - first, :]; the table [V, C] may be of any storage type. An id outside
 * the table gives zeros. Backward: rows of dy added up by id; a task has some columns of all rows,
 * so that the order of the sums is the tokens'.
 */
#include "cpu/cpu.h"
#include "cpu/dequantize.h"

#include <string.h>

static uint32_t tasks(struct cpu_job *job)
{
    if (job->call.out[0].data == NULL) return 0;
    return cpu_row_tasks(job->call.in[0].shape.dim[0], job->call.in[1].shape.dim[1]);
}

static void run(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    const struct kernel_tensor *table = &job->call.in[1];
    const int32_t *ids = job->call.in[0].data; /* [T] */
    float *out = job->call.out[0].data;        /* [T, C] */
    int64_t vocabulary = table->shape.dim[0], channels = table->shape.dim[1];
    struct cpu_range r =
        cpu_piece(job->call.in[0].shape.dim[0], cpu_rows_per_task(channels), index);
    for (int64_t t = r.begin; t < r.end; t++) {
        float *to = out + t * channels;
        int64_t row = ids[t] - job->call.params.embedding.first;
        if (row < 0 || row >= vocabulary)
            memset(to, 0, (size_t)channels * sizeof *to);
        else
            cpu_dequantize(table->dtype, table->data, channels, row, 1, 0, channels, to);
    }
}

enum { COLUMNS = 64 };

static uint32_t clear_tasks(struct cpu_job *job)
{
    if (job->call.out[0].data == NULL) return 0;
    return cpu_row_tasks(graft_shape_count(job->call.out[0].shape), 1);
}

static void clear(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    float *out = job->call.out[0].data;
    struct cpu_range r = cpu_piece(graft_shape_count(job->call.out[0].shape), CPU_CHUNK, index);
    memset(out + r.begin, 0, (size_t)(r.end - r.begin) * sizeof *out);
}

static uint32_t add_tasks(struct cpu_job *job)
{
    if (job->call.out[0].data == NULL || job->call.in[1].shape.dim[0] == 0) return 0;
    return (uint32_t)cpu_parts(job->call.in[0].shape.dim[1], COLUMNS);
}

static void add(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    const float *dy = job->call.in[0].data;    /* [T, C] */
    const int32_t *ids = job->call.in[1].data; /* [T] */
    float *out = job->call.out[0].data;        /* [rows, C] */
    int64_t channels = job->call.in[0].shape.dim[1], rows = job->call.out[0].shape.dim[0];
    struct cpu_range c = cpu_piece(channels, COLUMNS, index);
    for (int64_t t = 0; t < job->call.in[1].shape.dim[0]; t++) {
        int64_t row = ids[t] - job->call.params.embedding.first;
        if (row < 0 || row >= rows) continue;
        for (int64_t i = c.begin; i < c.end; i++) out[row * channels + i] += dy[t * channels + i];
    }
}

const struct cpu_kernel cpu_embedding = {.phase = {{tasks, run}}};
const struct cpu_kernel cpu_embedding_backward = {
    .phase = {{clear_tasks, clear}, {add_tasks, add}}};

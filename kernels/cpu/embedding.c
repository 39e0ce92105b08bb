/* SPDX-License-Identifier: Apache-2.0
 *
 * out[t, :] = table[ids[t], :]; the table [V, C] may be of any storage type. An id outside the
 * table gives zeros.
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
        if (ids[t] < 0 || ids[t] >= vocabulary)
            memset(to, 0, (size_t)channels * sizeof *to);
        else
            cpu_dequantize(table->dtype, table->data, channels, ids[t], 1, 0, channels, to);
    }
}

const struct cpu_kernel cpu_embedding = {.phase = {{tasks, run}}};

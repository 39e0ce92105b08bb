/* SPDX-License-Identifier: Apache-2.0
 *
 * A stored weight of any rank and type as numbers, a row or several to a task.
 */
#include "cpu/cpu.h"
#include "cpu/dequantize.h"

static int64_t columns_of(const struct cpu_job *job)
{
    const struct graft_shape *s = &job->call.in[0].shape;
    return s->dim[s->rank - 1];
}

/* Columns of a task: of long rows a part, CPU_CHUNK is a multiple of every block. */
static int64_t part_of(int64_t columns)
{
    return cpu_smaller(columns, CPU_CHUNK);
}

static uint32_t tasks(struct cpu_job *job)
{
    int64_t columns = columns_of(job), rows = graft_shape_count(job->call.in[0].shape) / columns;
    if (job->call.out[0].data == NULL) return 0;
    return (uint32_t)(cpu_row_tasks(rows, part_of(columns)) * cpu_parts(columns, CPU_CHUNK));
}

static void run(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    const struct kernel_tensor *w = &job->call.in[0];
    float *out = job->call.out[0].data;
    int64_t columns = columns_of(job), rows = graft_shape_count(w->shape) / columns;
    int64_t parts = cpu_parts(columns, CPU_CHUNK);
    struct cpu_range r = cpu_piece(rows, cpu_rows_per_task(part_of(columns)), index / parts);
    struct cpu_range c = cpu_piece(columns, CPU_CHUNK, index % parts);
    if (parts == 1)
        cpu_dequantize(w->dtype, w->data, columns, r.begin, r.end - r.begin, 0, columns,
                       out + r.begin * columns);
    else
        for (int64_t row = r.begin; row < r.end; row++)
            cpu_dequantize(w->dtype, w->data, columns, row, 1, c.begin, c.end - c.begin,
                           out + row * columns + c.begin);
}

const struct cpu_kernel cpu_dequantize_op = {.phase = {{tasks, run}}};

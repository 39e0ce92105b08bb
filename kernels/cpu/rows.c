/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows picked by an index, and rows put back in their places. Indices of one call are distinct
 * where rows are written; one outside the tensor reads zeros and writes nothing.
 */
#include "cpu/cpu.h"

#include <stdbool.h>
#include <string.h>

/* to[to_index, :] := from[from_index, :] for the rows of one task; NULL: the row itself. */
struct move {
    float *to;
    const float *from;
    const int32_t *to_index, *from_index;
    int64_t rows, to_rows, from_rows, channels;
};

static void move_rows(const struct move *m, uint32_t task)
{
    struct cpu_range r = cpu_piece(m->rows, cpu_rows_per_task(m->channels), task);
    size_t bytes = (size_t)m->channels * sizeof(float);
    for (int64_t i = r.begin; i < r.end; i++) {
        int64_t to = m->to_index != NULL ? m->to_index[i] : i;
        int64_t from = m->from_index != NULL ? m->from_index[i] : i;
        if (to < 0 || to >= m->to_rows) continue;
        if (from < 0 || from >= m->from_rows)
            memset(m->to + to * m->channels, 0, bytes);
        else
            memcpy(m->to + to * m->channels, m->from + from * m->channels, bytes);
    }
}

static uint32_t gather_tasks(struct cpu_job *job)
{
    if (job->call.out[0].data == NULL) return 0;
    return cpu_row_tasks(job->call.in[1].shape.dim[0], job->call.in[0].shape.dim[1]);
}

static void gather(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    const struct kernel_call *call = &job->call;
    int64_t rows = call->in[1].shape.dim[0];
    struct move m = {.to = call->out[0].data, .from = call->in[0].data};
    m.from_index = call->in[1].data;
    m.rows = m.to_rows = rows;
    m.from_rows = call->in[0].shape.dim[0];
    m.channels = call->in[0].shape.dim[1];
    move_rows(&m, index);
}

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

/* SCATTER_ROWS: (x, index) into out; WRITE_ROWS: (to, from, index) into to. */
static struct move scatter_move(const struct kernel_call *call)
{
    bool write = call->op == GRAFT_OP_WRITE_ROWS;
    const struct kernel_tensor *from = &call->in[write ? 1 : 0], *at = &call->in[write ? 2 : 1];
    const struct kernel_tensor *to = write ? &call->in[0] : &call->out[0];
    struct move m = {.to = to->data, .from = from->data, .to_index = at->data};
    m.rows = at->shape.dim[0];
    m.to_rows = to->shape.dim[0];
    m.from_rows = from->shape.dim[0];
    m.channels = to->shape.dim[1];
    return m;
}

static uint32_t scatter_tasks(struct cpu_job *job)
{
    struct move m = scatter_move(&job->call);
    return m.to == NULL ? 0 : cpu_row_tasks(m.rows, m.channels);
}

static void scatter(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    struct move m = scatter_move(&job->call);
    move_rows(&m, index);
}

const struct cpu_kernel cpu_gather_rows = {.phase = {{gather_tasks, gather}}};
const struct cpu_kernel cpu_scatter_rows = {
    .phase = {{clear_tasks, clear}, {scatter_tasks, scatter}}};
const struct cpu_kernel cpu_write_rows = {.phase = {{scatter_tasks, scatter}}};

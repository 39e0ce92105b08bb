/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes into a stored value `to`; the output is that memory.
 *   assign: to := from, of any one type, unless a guard is given and is 0
 *   accumulate: to += from
 */
#include "cpu/cpu.h"
#include "cpu/vec.h"

static uint32_t tasks(struct cpu_job *job)
{
    const float *guard = job->call.in[2].data;
    if (job->call.op == GRAFT_OP_ASSIGN && guard != NULL && guard[0] == 0.0f) return 0;
    return cpu_row_tasks(graft_shape_count(job->call.in[0].shape), 1);
}

static void run(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    float *to = job->call.in[0].data;
    const float *from = job->call.in[1].data;
    struct cpu_range r = cpu_piece(graft_shape_count(job->call.in[0].shape), CPU_CHUNK, index);
    if (job->call.op == GRAFT_OP_ASSIGN) {
        size_t size = job->call.in[0].dtype == GRAFT_DTYPE_U8 ? 1 : sizeof *to;
        memmove((uint8_t *)job->call.in[0].data + (size_t)r.begin * size,
                (const uint8_t *)job->call.in[1].data + (size_t)r.begin * size,
                (size_t)(r.end - r.begin) * size);
        return;
    }
    PARALLEL_LOOP
    for (int64_t i = r.begin; i < r.end; i++) to[i] += from[i];
}

const struct cpu_kernel cpu_assign = {.phase = {{tasks, run}}};
const struct cpu_kernel cpu_accumulate = {.phase = {{tasks, run}}};

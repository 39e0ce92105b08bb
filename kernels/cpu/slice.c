/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts of an axis, and axes in another order. A task makes a stretch of the output, wherever lines
 * begin in it, so that one long line is shared like many short ones.
 */
#include "cpu/cpu.h"

#include <string.h>

/* The output in lines, of which [begin, end) is x's; a line of x is x_line long, from x_begin. */
struct cut {
    int64_t line, begin, end, x_line, x_begin;
};

static struct cut cut_of(const struct kernel_call *call)
{
    const struct graft_shape *x = &call->in[0].shape, *out = &call->out[0].shape;
    int32_t axis = call->params.slice.axis;
    int64_t inner = 1, begin = call->params.slice.begin;
    for (int32_t i = axis + 1; i < GRAFT_MAX_RANK; i++) inner *= x->dim[i];
    struct cut c = {.line = out->dim[axis] * inner, .x_line = x->dim[axis] * inner};
    if (call->op == GRAFT_OP_SLICE) {
        c.x_begin = begin * inner;
        c.end = c.line;
    } else {
        c.begin = begin * inner;
        c.end = c.begin + c.x_line;
    }
    return c;
}

static void zeros(float *out, int64_t from, int64_t to)
{
    if (to > from) memset(out + from, 0, (size_t)(to - from) * sizeof *out);
}

static uint32_t tasks(struct cpu_job *job)
{
    if (job->call.out[0].data == NULL) return 0;
    return cpu_row_tasks(graft_shape_count(job->call.out[0].shape), 1);
}

static void run_cut(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    struct cut c = cut_of(&job->call);
    const float *x = job->call.in[0].data;
    float *out = job->call.out[0].data;
    struct cpu_range r = cpu_piece(graft_shape_count(job->call.out[0].shape), CPU_CHUNK, index);
    for (int64_t at = r.begin; at < r.end;) {
        int64_t line = at / c.line, from = at - line * c.line;
        int64_t to = cpu_smaller(c.line, from + r.end - at);
        int64_t begin = cpu_larger(from, c.begin), end = cpu_smaller(to, c.end);
        float *row = out + line * c.line;
        zeros(row, from, cpu_smaller(to, c.begin));
        if (end > begin)
            memcpy(row + begin, x + line * c.x_line + c.x_begin + begin - c.begin,
                   (size_t)(end - begin) * sizeof *row);
        zeros(row, cpu_larger(from, c.end), to);
        at += to - from;
    }
}

/* Steps in x of the output's axes. */
static void steps_of(const struct kernel_call *call, int64_t step[GRAFT_MAX_RANK])
{
    const struct graft_shape *x = &call->in[0].shape;
    for (int32_t i = 0; i < GRAFT_MAX_RANK; i++) {
        step[i] = i < x->rank;
        for (int32_t k = call->params.permute.axis[i] + 1; i < x->rank && k < x->rank; k++)
            step[i] *= x->dim[k];
    }
}

static void run_permute(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    const struct graft_shape *s = &job->call.out[0].shape;
    const float *x = job->call.in[0].data;
    float *out = job->call.out[0].data;
    int64_t step[GRAFT_MAX_RANK], count = graft_shape_count(*s), inner = s->dim[s->rank - 1];
    struct cpu_range r = cpu_piece(count, CPU_CHUNK, index);
    steps_of(&job->call, step);
    for (int64_t at = r.begin; at < r.end;) {
        int64_t column = at % inner, rest = at / inner, from = column * step[s->rank - 1];
        int64_t n = cpu_smaller(inner - column, r.end - at);
        for (int32_t i = s->rank - 2; i >= 0; i--) {
            from += rest % s->dim[i] * step[i];
            rest /= s->dim[i];
        }
        if (step[s->rank - 1] == 1)
            memcpy(out + at, x + from, (size_t)n * sizeof *out);
        else
            for (int64_t i = 0; i < n; i++) out[at + i] = x[from + i * step[s->rank - 1]];
        at += n;
    }
}

const struct cpu_kernel cpu_slice = {.phase = {{tasks, run_cut}}};
const struct cpu_kernel cpu_place = {.phase = {{tasks, run_cut}}};
const struct cpu_kernel cpu_permute = {.phase = {{tasks, run_permute}}};

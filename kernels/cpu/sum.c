/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums over axes in f32. The shape is seen as [outer, middle, inner] with the middle summed; what
 * does not fit that (two summed axes with a kept one between) is walked number by number.
 *   inner 1: row sums; long rows in chunks, whose sums are added in their order
 *   else: a block of columns at once, in chunks of rows
 */
#include "cpu/cpu.h"
#include "cpu/row.h"

#include <stdbool.h>

enum { COLUMNS = 64, LINES = 64 };

struct view {
    bool whole; /* fits */
    int64_t outer, middle, inner, pieces;
};

static struct view view_of(const struct kernel_call *call)
{
    const struct graft_shape *s = &call->in[0].shape;
    struct view v = {true, 1, 1, 1, 1};
    int seen = 0; /* 0: before the summed axes, 1: in them, 2: after */
    for (int32_t i = 0; i < s->rank; i++) {
        bool folded = call->params.sum.axes >> i & 1;
        if (s->dim[i] == 1) continue;
        if (folded && seen == 2) v.whole = false;
        if (folded) seen = 1;
        if (!folded && seen == 1) seen = 2;
        if (seen == 0) v.outer *= s->dim[i];
        if (seen == 1) v.middle *= s->dim[i];
        if (seen == 2) v.inner *= s->dim[i];
    }
    if (seen != 0 && v.inner == 1) v.pieces = cpu_larger(1, cpu_parts(v.middle, CPU_CHUNK));
    return v;
}

/* Pieces exist where the middle is longer than a chunk, so they are at most twice the chunks. */
static void size(const struct kernel_call *largest, struct cpu_size *size)
{
    int64_t chunks = graft_shape_count(largest->in[0].shape) / CPU_CHUNK + 1;
    size->shared = 2 * (size_t)chunks * sizeof(float);
}

static uint32_t tasks(struct cpu_job *job)
{
    if (job->call.out[0].data == NULL) return 0;
    struct view v = view_of(&job->call);
    if (!v.whole) return 1;
    if (v.inner > 1) return (uint32_t)(v.outer * cpu_parts(v.inner, COLUMNS));
    if (v.pieces > 1) return (uint32_t)(v.outer * v.pieces);
    return cpu_row_tasks(v.outer, v.middle);
}

static void any_axes(const struct kernel_call *call)
{
    const struct graft_shape *s = &call->in[0].shape, *o = &call->out[0].shape;
    const float *x = call->in[0].data;
    float *out = call->out[0].data;
    int64_t count = graft_shape_count(*s);
    memset(out, 0, (size_t)graft_shape_count(*o) * sizeof *out);
    for (int64_t n = 0; n < count; n++) {
        int64_t rest = n, to = 0, step = 1;
        for (int i = GRAFT_MAX_RANK - 1; i >= 0; i--) {
            int64_t at = rest % s->dim[i];
            rest /= s->dim[i];
            if (o->dim[i] != 1) to += at * step;
            step *= o->dim[i];
        }
        out[to] += x[n];
    }
}

/* One block of columns of one outer index. */
static void columns(const struct kernel_call *call, const struct view *v, uint32_t index)
{
    int64_t blocks = cpu_parts(v->inner, COLUMNS), at = index / blocks;
    struct cpu_range r = cpu_piece(v->inner, COLUMNS, index % blocks);
    const float *x = call->in[0].data;
    float *out = call->out[0].data;
    float total[COLUMNS] = {0.0f};
    int64_t n = r.end - r.begin;
    x += at * v->middle * v->inner + r.begin;
    for (int64_t m0 = 0; m0 < v->middle; m0 += LINES) {
        float sum[COLUMNS] = {0.0f};
        int64_t end = cpu_smaller(v->middle, m0 + LINES);
        for (int64_t m = m0; m < end; m++)
            for (int64_t i = 0; i < n; i++) sum[i] += x[m * v->inner + i];
        for (int64_t i = 0; i < n; i++) total[i] += sum[i];
    }
    memcpy(out + at * v->inner + r.begin, total, (size_t)n * sizeof *out);
}

static void run(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    const struct kernel_call *call = &job->call;
    struct view v = view_of(call);
    const float *x = call->in[0].data;
    float *out = call->out[0].data, *part = job->shared;
    if (!v.whole) {
        any_axes(call);
    } else if (v.inner > 1) {
        columns(call, &v, index);
    } else if (v.pieces > 1) {
        struct cpu_range r = cpu_piece(v.middle, CPU_CHUNK, index % v.pieces);
        part[index] = row_sum(x + index / v.pieces * v.middle + r.begin, r.end - r.begin);
    } else {
        struct cpu_range r = cpu_piece(v.outer, cpu_rows_per_task(v.middle), index);
        for (int64_t i = r.begin; i < r.end; i++) out[i] = row_sum(x + i * v.middle, v.middle);
    }
}

static uint32_t combine_tasks(struct cpu_job *job)
{
    if (job->call.out[0].data == NULL) return 0;
    struct view v = view_of(&job->call);
    return v.whole && v.inner == 1 && v.pieces > 1;
}

static void combine(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)index;
    (void)scratch;
    struct view v = view_of(&job->call);
    const float *part = job->shared;
    float *out = job->call.out[0].data;
    for (int64_t i = 0; i < v.outer; i++) out[i] = row_sum(part + i * v.pieces, v.pieces);
}

const struct cpu_kernel cpu_sum = {size, {{tasks, run}, {combine_tasks, combine}}};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotary position embedding (Su et al. 2021). A table row holds n = rotary / 2 cosines, then n
 * sines. Pair i of a head is turned by (x, y) -> (x cos - y sin, x sin + y cos), inverse: the sine
 * negated. A pair is read before it is written: the output may be x.
 */
#include "cpu/cpu.h"
#include "cpu/vec.h"

#include <math.h>

static uint32_t table_tasks(struct cpu_job *job)
{
    const struct kernel_call *call = &job->call;
    if (call->out[0].data == NULL) return 0;
    return cpu_row_tasks(call->in[0].shape.dim[0], 8 * call->in[1].shape.dim[0]);
}

static void table(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    const struct kernel_call *call = &job->call;
    const int32_t *positions = call->in[0].data; /* [T] */
    const float *frequency = call->in[1].data;   /* [n] */
    int64_t n = call->in[1].shape.dim[0];
    double factor = call->params.rope.factor;
    struct cpu_range r = cpu_piece(call->in[0].shape.dim[0], cpu_rows_per_task(8 * n), index);
    for (int64_t t = r.begin; t < r.end; t++) {
        float *out = (float *)call->out[0].data + t * 2 * n; /* [T, 2n] */
        for (int64_t i = 0; i < n; i++) {
            double angle = (double)positions[t] * (double)frequency[i];
            out[i] = (float)(factor * cos(angle));
            out[n + i] = (float)(factor * sin(angle));
        }
    }
}

static uint32_t tasks(struct cpu_job *job)
{
    const struct graft_shape *s = &job->call.in[0].shape;
    return job->call.out[0].data == NULL ? 0 : cpu_row_tasks(s->dim[0], s->dim[1]);
}

/* Pairs (i, i + n) or (2i, 2i + 1); sign -1 turns back. */
static void halves(const float *x, const float *cosine, float sign, int64_t n, float *out)
{
    PARALLEL_LOOP
    for (int64_t i = 0; i < n; i++) {
        float a = x[i], b = x[i + n], c = cosine[i], s = sign * cosine[n + i];
        out[i] = a * c - b * s;
        out[i + n] = a * s + b * c;
    }
}

static void neighbours(const float *x, const float *cosine, float sign, int64_t n, float *out)
{
    PARALLEL_LOOP
    for (int64_t i = 0; i < n; i++) {
        float a = x[2 * i], b = x[2 * i + 1], c = cosine[i], s = sign * cosine[n + i];
        out[2 * i] = a * c - b * s;
        out[2 * i + 1] = a * s + b * c;
    }
}

static void run(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    const struct kernel_call *call = &job->call;
    int64_t width = call->in[0].shape.dim[1], size = call->params.rope.head_size;
    int64_t rotary = call->params.rope.rotary;
    float sign = call->params.rope.inverse ? -1.0f : 1.0f;
    struct cpu_range r = cpu_piece(call->in[0].shape.dim[0], cpu_rows_per_task(width), index);
    for (int64_t t = r.begin; t < r.end; t++) {
        const float *angle = (const float *)call->in[1].data + t * rotary;
        for (int64_t h = t * width; h < (t + 1) * width; h += size) {
            const float *x = (const float *)call->in[0].data + h;
            float *out = (float *)call->out[0].data + h;
            if (call->params.rope.interleaved)
                neighbours(x, angle, sign, rotary / 2, out);
            else
                halves(x, angle, sign, rotary / 2, out);
            for (int64_t i = rotary; i < size; i++) out[i] = x[i];
        }
    }
}

const struct cpu_kernel cpu_rope_table = {.phase = {{table_tasks, table}}};
const struct cpu_kernel cpu_rope = {.phase = {{tasks, run}}};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops of one or two numbers at a time, with numpy's broadcasting; f32 throughout. An output may be
 * an input of its own shape. Axes that both inputs walk alike are merged, so that the inner loop
 * has steps of 0 or 1 and is as long as can be.
 */
#include "cpu/cpu.h"
#include "cpu/exp.h"
#include "cpu/gelu.h"

struct plan {
    int32_t rank;
    int64_t dim[GRAFT_MAX_RANK], a[GRAFT_MAX_RANK], b[GRAFT_MAX_RANK]; /* sizes, steps */
    int64_t inner, outer;
};

/* How far one step along each axis of the output moves in `in`, aligned at the last dimension. */
static void steps(const struct graft_shape *in, int32_t rank, int64_t step[GRAFT_MAX_RANK])
{
    int64_t product = 1;
    for (int i = 0; i < GRAFT_MAX_RANK; i++) step[i] = 0;
    for (int32_t i = in->rank - 1; i >= 0; i--) {
        if (in->dim[i] != 1) step[rank - in->rank + i] = product;
        product *= in->dim[i];
    }
}

static struct plan plan_of(const struct graft_shape *out, const struct graft_shape *a,
                           const struct graft_shape *b)
{
    struct plan p = {.rank = 0};
    int64_t sa[GRAFT_MAX_RANK], sb[GRAFT_MAX_RANK];
    steps(a, out->rank, sa);
    steps(b, out->rank, sb);
    for (int32_t i = 0; i < out->rank; i++) {
        int64_t n = out->dim[i];
        int32_t last = p.rank - 1;
        if (n == 1) continue;
        if (last >= 0 && p.a[last] == sa[i] * n && p.b[last] == sb[i] * n) {
            p.dim[last] *= n;
        } else {
            last = p.rank++;
            p.dim[last] = n;
        }
        p.a[last] = sa[i];
        p.b[last] = sb[i];
    }
    p.inner = p.rank > 0 ? p.dim[p.rank - 1] : 1;
    p.outer = 1;
    for (int32_t i = 0; i + 1 < p.rank; i++) p.outer *= p.dim[i];
    return p;
}

static uint32_t tasks_of(const struct plan *p)
{
    if (p->inner == 0) return 0;
    if (p->inner <= CPU_CHUNK) return cpu_row_tasks(p->outer, p->inner);
    return (uint32_t)(p->outer * cpu_parts(p->inner, CPU_CHUNK));
}

typedef void line_function(const struct kernel_call *call, const float *a, int64_t a_step,
                           const float *b, int64_t b_step, float *out, int64_t n);

/* The lines of one task; a and b may be NULL. */
static void walk(const struct kernel_call *call, const struct plan *p, uint32_t index,
                 line_function *line)
{
    const float *a = call->in[0].data, *b = call->in[1].data;
    float *out = call->out[0].data;
    int64_t pieces = cpu_parts(p->inner, CPU_CHUNK);
    struct cpu_range rows = {index / pieces, index / pieces + 1};
    struct cpu_range columns = {0, p->inner};
    if (pieces > 1)
        columns = cpu_piece(p->inner, CPU_CHUNK, index % pieces);
    else
        rows = cpu_piece(p->outer, cpu_rows_per_task(p->inner), index);
    int32_t last = p->rank > 0 ? p->rank - 1 : 0;
    for (int64_t r = rows.begin; r < rows.end; r++) {
        int64_t at_a = columns.begin * p->a[last], at_b = columns.begin * p->b[last], rest = r;
        for (int32_t i = last - 1; i >= 0; i--) {
            at_a += rest % p->dim[i] * p->a[i];
            at_b += rest % p->dim[i] * p->b[i];
            rest /= p->dim[i];
        }
        line(call, a + at_a, p->a[last], b != NULL ? b + at_b : NULL, p->b[last],
             out + r * p->inner + columns.begin, columns.end - columns.begin);
    }
}

INLINE float apply2(int op, float a, float b)
{
    switch (op) {
    case GRAFT_OP_ADD: return a + b;
    case GRAFT_OP_SUB: return a - b;
    case GRAFT_OP_MUL: return a * b;
    case GRAFT_OP_DIV: return a / b;
    case GRAFT_OP_MAXIMUM: return a > b ? a : b;
    default: return a < b ? a : b;
    }
}

INLINE void loop2(int op, const float *a, int sa, const float *b, int sb, float *out, int64_t n)
{
    float a0 = a[0], b0 = b[0];
    PARALLEL_LOOP
    for (int64_t i = 0; i < n; i++) out[i] = apply2(op, sa ? a[i] : a0, sb ? b[i] : b0);
}

INLINE void line2(int op, const float *a, int64_t sa, const float *b, int64_t sb, float *out,
                  int64_t n)
{
    if (sa != 0 && sb != 0)
        loop2(op, a, 1, b, 1, out, n);
    else if (sa != 0)
        loop2(op, a, 1, b, 0, out, n);
    else if (sb != 0)
        loop2(op, a, 0, b, 1, out, n);
    else
        loop2(op, a, 0, b, 0, out, n);
}

static void binary_line(const struct kernel_call *call, const float *a, int64_t sa, const float *b,
                        int64_t sb, float *out, int64_t n)
{
    switch (call->op) {
    case GRAFT_OP_ADD: line2(GRAFT_OP_ADD, a, sa, b, sb, out, n); break;
    case GRAFT_OP_SUB: line2(GRAFT_OP_SUB, a, sa, b, sb, out, n); break;
    case GRAFT_OP_MUL: line2(GRAFT_OP_MUL, a, sa, b, sb, out, n); break;
    case GRAFT_OP_DIV: line2(GRAFT_OP_DIV, a, sa, b, sb, out, n); break;
    case GRAFT_OP_MAXIMUM: line2(GRAFT_OP_MAXIMUM, a, sa, b, sb, out, n); break;
    default: line2(GRAFT_OP_MINIMUM, a, sa, b, sb, out, n); break;
    }
}

static struct plan binary_plan(const struct kernel_call *call)
{
    return plan_of(&call->out[0].shape, &call->in[0].shape, &call->in[1].shape);
}

static uint32_t binary_tasks(struct cpu_job *job)
{
    struct plan p = binary_plan(&job->call);
    return job->call.out[0].data == NULL ? 0 : tasks_of(&p);
}

static void binary_run(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    struct plan p = binary_plan(&job->call);
    walk(&job->call, &p, index, binary_line);
}

const struct cpu_kernel cpu_binary = {.phase = {{binary_tasks, binary_run}}};

#define LOOP1(expression)                                                                          \
    do {                                                                                           \
        PARALLEL_LOOP                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                          \
            float x = a[i];                                                                        \
            out[i] = (expression);                                                                 \
        }                                                                                          \
    } while (0)

static float finite(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits & 0x7F800000u) != 0x7F800000u ? 1.0f : 0.0f;
}

static void unary_line(const struct kernel_call *call, const float *a, int64_t sa, const float *b,
                       int64_t sb, float *out, int64_t n)
{
    (void)sa;
    (void)b;
    (void)sb;
    float scale = (float)call->params.affine.scale, shift = (float)call->params.affine.shift;
    switch (call->op) {
    case GRAFT_OP_AFFINE: LOOP1(FMA(scale, x, shift)); break;
    case GRAFT_OP_SQRT: LOOP1(sqrtf(x)); break;
    case GRAFT_OP_EXP: LOOP1(exp_f32(x)); break;
    case GRAFT_OP_EXPM1: LOOP1(expm1f(x)); break;
    case GRAFT_OP_TANH: LOOP1(tanh_f32(x)); break;
    case GRAFT_OP_SIGMOID: LOOP1(sigmoid_f32(x)); break;
    case GRAFT_OP_SILU: LOOP1(x * sigmoid_f32(x)); break;
    case GRAFT_OP_ABS: LOOP1(fabsf(x)); break;
    case GRAFT_OP_SIGN: LOOP1((x > 0.0f ? 1.0f : 0.0f) - (x < 0.0f ? 1.0f : 0.0f)); break;
    case GRAFT_OP_RELU: LOOP1(x > 0.0f ? x : 0.0f); break;
    case GRAFT_OP_GELU: LOOP1(gelu_f32(x)); break;
    case GRAFT_OP_GELU_TANH: LOOP1(gelu_tanh_f32(x)); break;
    default: LOOP1(finite(x)); break;
    }
}

static void copy_line(const struct kernel_call *call, const float *a, int64_t sa, const float *b,
                      int64_t sb, float *out, int64_t n)
{
    (void)call;
    (void)b;
    (void)sb;
    if (sa != 0) {
        memmove(out, a, (size_t)n * sizeof *out);
    } else {
        float value = a[0];
        for (int64_t i = 0; i < n; i++) out[i] = value;
    }
}

/* One input: its own steps, and the same for the absent second. */
static struct plan single_plan(const struct kernel_call *call)
{
    return plan_of(&call->out[0].shape, &call->in[0].shape, &call->in[0].shape);
}

static uint32_t single_tasks(struct cpu_job *job)
{
    struct plan p = single_plan(&job->call);
    return job->call.out[0].data == NULL ? 0 : tasks_of(&p);
}

static void unary_run(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    struct plan p = single_plan(&job->call);
    walk(&job->call, &p, index, unary_line);
}

static void broadcast_run(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    struct plan p = single_plan(&job->call);
    walk(&job->call, &p, index, copy_line);
}

const struct cpu_kernel cpu_unary = {.phase = {{single_tasks, unary_run}}};
const struct cpu_kernel cpu_broadcast = {.phase = {{single_tasks, broadcast_run}}};

/* The same memory as a rule; else a copy. */
static uint32_t reshape_tasks(struct cpu_job *job)
{
    const struct kernel_call *call = &job->call;
    if (call->out[0].data == NULL || call->out[0].data == call->in[0].data) return 0;
    return cpu_row_tasks(graft_shape_count(call->out[0].shape), 1);
}

static void reshape_run(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    const float *from = job->call.in[0].data;
    float *to = job->call.out[0].data;
    struct cpu_range r = cpu_piece(graft_shape_count(job->call.out[0].shape), CPU_CHUNK, index);
    memcpy(to + r.begin, from + r.begin, (size_t)(r.end - r.begin) * sizeof *to);
}

const struct cpu_kernel cpu_reshape = {.phase = {{reshape_tasks, reshape_run}}};

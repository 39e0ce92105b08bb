/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs: a list of calls with their kernels, checked and addressed once. A run puts the live
 * row counts into the shapes and hands each node's tasks to the host's threads; it allocates
 * nothing.
 */
#include "legal.h"
#include "step.h"

#include <stdio.h>
#include <string.h>

struct graft_program {
    struct graft_device *device;
    uint32_t count;
    struct step *steps;
    int64_t capacity[GRAFT_ROWS_KINDS]; /* the least of its kind's tensors; -1: none */
    size_t shared, stride;              /* of the device's region: once, and per thread */
};

enum { ALIGNMENT = 64 };

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static bool writes_input(int32_t op)
{
    return op == GRAFT_OP_ASSIGN || op == GRAFT_OP_ACCUMULATE || op == GRAFT_OP_WRITE_ROWS;
}

/* Of what runs at once when this step's turn comes. */
static uint32_t step_count(const struct step *s)
{
    return s->sweep > 0 ? s->sweep : 1;
}

/* Puts tensor `index` of the description at `to`; absent ones stay empty. */
static bool place(struct graft_program *p, const struct graft_program_desc *desc, uint32_t index,
                  bool written, struct kernel_tensor *to, int32_t *rows, size_t *inner,
                  char text[256])
{
    if (index == GRAFT_ABSENT) return true;
    if (index >= desc->tensor_count) {
        snprintf(text, 256, "tensor %u does not exist: the program has %u", (unsigned)index,
                 (unsigned)desc->tensor_count);
        return false;
    }
    struct graft_tensor t = desc_tensor(desc, index);
    if (t.inner != 0) {
        *to = (struct kernel_tensor){p, t.dtype, t.shape};
        *rows = t.rows;
        *inner = t.inner;
        return tensor_legal(&t, UINT64_MAX, text);
    }
    if (t.buffer >= desc->buffer_count) {
        snprintf(text, 256, "tensor %u lies in buffer %u: the program has %u", (unsigned)index,
                 (unsigned)t.buffer, (unsigned)desc->buffer_count);
        return false;
    }
    const struct graft_buffer *b = desc->buffers[t.buffer];
    if (written && b->imported) {
        snprintf(text, 256, "tensor %u is written but lies in a read-only buffer", (unsigned)index);
        return false;
    }
    if (!tensor_legal(&t, b->bytes, text)) return false;
    *to = (struct kernel_tensor){b->data + t.offset, t.dtype, t.shape};
    *rows = t.rows;
    int64_t *capacity = &p->capacity[t.rows];
    if (t.rows != GRAFT_ROWS_FIXED && (*capacity < 0 || t.shape.dim[0] < *capacity))
        *capacity = t.shape.dim[0];
    return true;
}

static bool fill(struct graft_program *p, const struct graft_program_desc *desc,
                 const struct graft_node *node, struct step *s, char text[256])
{
    if (node->input_count > GRAFT_MAX_INPUTS || node->output_count > GRAFT_MAX_OUTPUTS) {
        snprintf(text, 256, "%u inputs and %u outputs: at most %d and %d",
                 (unsigned)node->input_count, (unsigned)node->output_count, GRAFT_MAX_INPUTS,
                 GRAFT_MAX_OUTPUTS);
        return false;
    }
    *s = (struct step){.kernel = p->device->kernels->find(node->op)};
    s->call.op = node->op;
    s->call.params = node->params;
    s->sweep = node->sweep;
    s->by_row = node->by_row;
    for (uint32_t i = 0; i < node->input_count; i++)
        if (!place(p, desc, node->input[i], i == 0 && writes_input(node->op), &s->call.in[i],
                   &s->in_rows[i], &s->in_inner[i], text))
            return false;
    for (uint32_t i = 0; i < node->output_count; i++)
        if (!place(p, desc, node->output[i], true, &s->call.out[i], &s->out_rows[i],
                   &s->out_inner[i], text))
            return false;
    return node_legal(node, &s->call, text);
}

/* Sweeps are planned; no other step may have an inner tensor. */
static bool fill_sweeps(struct graft_program *p, uint32_t *at, char text[256])
{
    for (*at = 0; *at < p->count; *at += step_count(&p->steps[*at])) {
        struct step *s = &p->steps[*at];
        size_t scratch = 0, inner = 0;
        if (s->sweep == 0) {
            for (int i = 0; i < GRAFT_MAX_INPUTS; i++) inner |= s->in_inner[i];
            for (int i = 0; i < GRAFT_MAX_OUTPUTS; i++) inner |= s->out_inner[i];
            if (inner != 0) snprintf(text, 256, "an inner tensor outside a sweep");
            if (inner != 0) return false;
        } else if (s->call.op == GRAFT_OP_MATMUL) {
            if (!sum_plan(s, p->count - *at, text)) return false;
        } else if (!sweep_plan(s, p->count - *at, &scratch, text)) {
            return false;
        }
        if (aligned(scratch) > p->stride) p->stride = aligned(scratch);
    }
    return true;
}

static uint32_t thread_count(const struct graft_host *host)
{
    return host->thread_count > 0 ? host->thread_count : 1;
}

/* The device's region is at least as large as p wants; *grown: by how much it grew. */
static int32_t reserve(struct graft_program *p, uint64_t *grown)
{
    struct graft_device *d = p->device;
    uint64_t bytes = p->shared + (uint64_t)p->stride * thread_count(d->host);
    uint64_t before = d->region != NULL ? d->region->bytes : 0;
    *grown = 0;
    if (bytes <= before) return GRAFT_OK;
    struct graft_buffer *region;
    int32_t status = cpu_buffer_create(d, bytes, &region);
    if (status != GRAFT_OK) return status;
    cpu_buffer_destroy(d->region);
    d->region = region;
    *grown = bytes - before;
    return GRAFT_OK;
}

static int32_t build(struct graft_program *p, const struct graft_program_desc *desc,
                     uint64_t *grown)
{
    const struct graft_host *host = p->device->host;
    char text[256] = "";
    for (uint32_t i = 0; i < p->count; i++) {
        struct graft_node node = desc_node(desc, i);
        struct cpu_size size = {0, 0};
        struct step *s = &p->steps[i];
        if (!fill(p, desc, &node, s, text))
            return cpu_fail(host, GRAFT_E_INVALID, "node %u of the program (op %d): %s",
                            (unsigned)i, (int)node.op, text);
        if (s->kernel->size != NULL) s->kernel->size(&s->call, &size);
        if (aligned(size.shared) > p->shared) p->shared = aligned(size.shared);
        if (aligned(size.thread) > p->stride) p->stride = aligned(size.thread);
    }
    uint32_t at;
    if (!fill_sweeps(p, &at, text))
        return cpu_fail(host, GRAFT_E_INVALID, "node %u of the program (op %d): %s", (unsigned)at,
                        (int)p->steps[at].call.op, text);
    return reserve(p, grown);
}

int32_t cpu_program_create(struct graft_device *device, const struct graft_program_desc *desc,
                           struct graft_program **out, uint64_t *scratch)
{
    const struct graft_host *host = device->host;
    struct graft_program *p = host->alloc(host->context, sizeof *p);
    if (p == NULL) return cpu_fail(host, GRAFT_E_MEMORY, "no memory for a program");
    *p = (struct graft_program){.device = device, .count = desc->node_count, .stride = ALIGNMENT};
    for (int i = 0; i < GRAFT_ROWS_KINDS; i++) p->capacity[i] = -1;
    size_t bytes = (size_t)p->count * sizeof *p->steps;
    p->steps = host->alloc(host->context, bytes > 0 ? bytes : 1);
    uint64_t grown = 0;
    int32_t status =
        p->steps != NULL
            ? build(p, desc, &grown)
            : cpu_fail(host, GRAFT_E_MEMORY, "no memory for the %zu bytes of a program of %u nodes",
                       bytes, (unsigned)p->count);
    if (status != GRAFT_OK) {
        cpu_program_destroy(p);
        return status;
    }
    *out = p;
    if (scratch != NULL) *scratch = grown + bytes + sizeof *p;
    return GRAFT_OK;
}

void cpu_program_destroy(struct graft_program *program)
{
    if (program == NULL) return;
    const struct graft_host *host = program->device->host;
    if (program->steps != NULL) host->release(host->context, program->steps);
    host->release(host->context, program);
}

struct phase_run {
    const struct cpu_job *job;
    const struct cpu_phase *phase;
};

static void phase_task(void *argument, uint32_t index, uint32_t thread)
{
    const struct phase_run *r = argument;
    r->phase->run(r->job, index, (uint8_t *)r->job->scratch + thread * r->job->scratch_stride);
}

void step_live(const struct step *s, const int64_t *live, struct kernel_call *call)
{
    *call = s->call;
    for (int i = 0; i < GRAFT_MAX_INPUTS; i++)
        if (s->in_rows[i] != GRAFT_ROWS_FIXED) call->in[i].shape.dim[0] = live[s->in_rows[i]];
    for (int i = 0; i < GRAFT_MAX_OUTPUTS; i++)
        if (s->out_rows[i] != GRAFT_ROWS_FIXED) call->out[i].shape.dim[0] = live[s->out_rows[i]];
}

static void run_step(const struct graft_host *host, const struct step *s, const int64_t *live,
                     struct cpu_job *job)
{
    if (s->tile > 0) {
        sweep_run(host, s, live, job);
        return;
    }
    step_live(s, live, &job->call);
    for (int i = 0; i < CPU_PHASES && s->kernel->phase[i].run != NULL; i++) {
        struct phase_run run = {job, &s->kernel->phase[i]};
        uint32_t tasks = run.phase->tasks(job);
        if (tasks == 1)
            phase_task(&run, 0, 0);
        else if (tasks > 1)
            host->parallel(host->context, tasks, phase_task, &run);
    }
}

static int32_t check_live(const struct graft_program *p, const struct graft_run *run)
{
    const struct graft_host *host = p->device->host;
    if (run->struct_size < sizeof *run)
        return cpu_fail(host, GRAFT_E_INVALID, "a run of %u bytes: the struct has %zu",
                        (unsigned)run->struct_size, sizeof *run);
    for (int i = 1; i < GRAFT_ROWS_KINDS; i++)
        if (p->capacity[i] >= 0 && (run->live[i] < 0 || run->live[i] > p->capacity[i]))
            return cpu_fail(host, GRAFT_E_INVALID,
                            "a run with %lld live rows of kind %d: the program holds 0 to %lld",
                            (long long)run->live[i], i, (long long)p->capacity[i]);
    return GRAFT_OK;
}

int32_t cpu_program_run(struct graft_program *program, const struct graft_run *run)
{
    int32_t status = check_live(program, run);
    if (status != GRAFT_OK) return status;
    struct graft_device *device = program->device;
    struct cpu_job job = {.narrow = device->narrow,
                          .shared = device->region->data,
                          .scratch_stride = program->stride,
                          .threads = thread_count(device->host)};
    job.scratch = device->region->data + program->shared;
    for (uint32_t i = 0; i < program->count; i += step_count(&program->steps[i]))
        run_step(device->host, &program->steps[i], run->live, &job);
    return GRAFT_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A trainer is prepared and started as for a run; then its programs are timed instead of run on.
 */
#include "train/bench.h"

#include "graph/profile.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DECODE_ROWS = 16, DECODE_FED = 128, DECODE_LENGTH = 256 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* One program to be timed. */
struct subject {
    struct program *program;
    const struct plan *plan;
    graft_value read; /* a kept value: reading it waits for the run */
    int64_t live[GRAFT_ROWS_KINDS];
    int64_t keys; /* that attention's queries see, summed */
    bool warm;    /* has run */
    int32_t compute;
    bool sweeps;
};

static enum graft_status time_whole(const struct subject *s, double *seconds, struct error *e)
{
    uint8_t byte;
    double began = now();
    enum graft_status status = program_run(s->program, s->live, e);
    if (status == GRAFT_OK) status = program_read(s->program, s->read, &byte, 1, e);
    double took = now() - began;
    if (took < *seconds) *seconds = took;
    return status;
}

static struct bench_op *find_op(struct bench_program *p, const char *title)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->ops[i].title, title) == 0) return &p->ops[i];
    snprintf(p->ops[p->count].title, sizeof p->ops->title, "%s", title);
    return &p->ops[p->count++];
}

static int slower_first(const void *a, const void *b)
{
    double x = ((const struct bench_op *)a)->seconds, y = ((const struct bench_op *)b)->seconds;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void rate(struct bench_op *op, const struct graft_limits *limits)
{
    double flops = op->compute == GRAFT_DTYPE_BF16  ? limits->flops_bf16
                   : op->compute == GRAFT_DTYPE_F16 ? limits->flops_f16
                                                    : limits->flops_f32;
    if (flops <= 0 || limits->copy <= 0 || op->seconds <= 0) return;
    double best = fmax(limits->read, limits->copy);
    double compute = op->flops / flops, memory = op->bytes / best;
    op->memory = memory > compute;
    op->share = fmax(compute, memory) / op->seconds;
}

static enum graft_status sum_up(const struct subject *s, const double *seconds,
                                const struct graft_limits *limits, struct bench_program *out,
                                struct error *e)
{
    struct profiled node = {
        .plan = s->plan, .keys = s->keys, .compute = s->compute, .sweeps = s->sweeps};
    size_t nodes = plan_memory(s->plan).nodes;
    struct str title = {0};
    out->ops = mem_zalloc(nodes, sizeof *out->ops);
    if (out->ops == NULL) return error_memory(e, "a report", nodes * sizeof *out->ops);
    memcpy(node.live, s->live, sizeof node.live);
    for (node.node = 0; node.node < nodes; node.node += profiled_length(&node)) {
        struct node_cost cost = profiled_cost(&node);
        str_clear(&title);
        profiled_title(&node, &title);
        if (title.failed) break;
        struct bench_op *op = find_op(out, title.data);
        op->calls++;
        op->compute = cost.compute;
        op->seconds += seconds[node.node];
        op->flops += cost.flops;
        op->bytes += cost.bytes;
    }
    bool failed = title.failed;
    str_free(&title);
    for (size_t i = 0; i < out->count; i++) rate(&out->ops[i], limits);
    qsort(out->ops, out->count, sizeof *out->ops, slower_first);
    return failed ? error_memory(e, "a report", 0) : GRAFT_OK;
}

/* The first run is not counted: it touches memory for the first time. */
static enum graft_status time_subject(const struct subject *s, int64_t passes,
                                      const struct graft_limits *limits, struct bench_program *out,
                                      struct error *e)
{
    size_t nodes = plan_memory(s->plan).nodes;
    double *seconds = mem_zalloc(nodes, sizeof *seconds), warm = INFINITY;
    if (seconds == NULL) return error_memory(e, "times", nodes * sizeof *seconds);
    for (size_t i = 0; i < nodes; i++) seconds[i] = INFINITY;
    out->seconds = INFINITY;
    enum graft_status status = s->warm ? GRAFT_OK : time_whole(s, &warm, e);
    for (int64_t pass = 0; pass < passes && status == GRAFT_OK; pass++) {
        status = time_whole(s, &out->seconds, e);
        if (status == GRAFT_OK) status = program_profile(s->program, s->plan, s->live, seconds, e);
    }
    if (status == GRAFT_OK) status = sum_up(s, seconds, limits, out, e);
    mem_free(seconds);
    return status;
}

/* The first micro-batch of the first step, uploaded. */
static enum graft_status stage_step(struct trainer *t, struct subject *s, struct bench_program *out,
                                    struct error *e)
{
    struct packed_step step;
    float loss;
    size_t rows = data_order_step(&t->order, 0, t->step_rows);
    enum graft_status status =
        pack_step(&t->tokens, t->step_rows, rows, t->micro_tokens, t->step_begin, &step, e);
    if (status != GRAFT_OK) return status;
    pack_micro_batch(&step, 0, &t->batch);
    status = loss_program_run(t->session, &t->train_program, &t->batch, 1.0 / (double)step.trained,
                              1, &loss, e);
    *s = (struct subject){t->train_program.program,
                          t->train_program.plan,
                          t->train_program.loss,
                          .warm = true,
                          .compute = t->session->backend->compute,
                          .sweeps = t->session->backend->sweeps};
    s->live[GRAFT_ROWS_TOKENS] = (int64_t)t->batch.token_count;
    s->live[GRAFT_ROWS_TRAINED] = (int64_t)t->batch.trained_count;
    for (size_t i = 0; i < t->batch.token_count; i++)
        s->keys += t->batch.last[i] - t->batch.first[i] + 1;
    out->tokens = (int64_t)t->batch.token_count;
    out->rows = (int64_t)(step.begin[1] - step.begin[0]);
    return status;
}

static enum graft_status bench_decode(struct trainer *t, size_t rows, int64_t passes,
                                      const struct graft_limits *limits, struct bench_program *out,
                                      struct error *e)
{
    struct generator_step step = {0};
    enum graft_status status = generator_stage(t->generator, rows, DECODE_FED, &step, e);
    struct subject s = {step.program,
                        step.plan,
                        step.logits,
                        .keys = (int64_t)rows * (DECODE_FED + 1),
                        .compute = t->session->backend->compute,
                        .sweeps = t->session->backend->sweeps};
    memcpy(s.live, step.live, sizeof s.live);
    out->tokens = out->rows = (int64_t)rows;
    return status == GRAFT_OK ? time_subject(&s, passes, limits, out, e) : status;
}

static enum graft_status bench(struct trainer *t, int64_t passes,
                               void (*progress)(const char *what), struct bench_report *report,
                               struct error *e)
{
    static const char *const names[BENCH_PROGRAMS] = {"training step, one micro-batch", "optimizer",
                                                      "decoding, one answer",
                                                      "decoding, many answers"};
    struct bench_program *p = report->programs;
    struct subject s;
    if (progress != NULL) progress("the device's limits");
    enum graft_status status = device_limits(t->session->device, &report->limits, e);
    for (int i = 0; i < BENCH_PROGRAMS && status == GRAFT_OK; i++) {
        if (progress != NULL) progress(names[i]);
        p[i].name = names[i];
        if (i == BENCH_TRAIN) {
            status = stage_step(t, &s, &p[i], e);
            if (status == GRAFT_OK) status = time_subject(&s, passes, &report->limits, &p[i], e);
        } else if (i == BENCH_UPDATE) {
            s = (struct subject){t->update.program, t->update.plan, t->update.norm,
                                 .compute = GRAFT_DTYPE_F32, .sweeps = t->session->backend->sweeps};
            status = time_subject(&s, passes, &report->limits, &p[i], e);
        } else {
            status = bench_decode(t, i == BENCH_DECODE_ONE ? 1 : DECODE_ROWS, passes,
                                  &report->limits, &p[i], e);
        }
    }
    return status;
}

enum graft_status train_bench(struct settings *settings, int64_t passes,
                              void (*progress)(const char *what), struct bench_report *report,
                              struct error *e)
{
    const struct generator_size size = {
        .slots = DECODE_ROWS, .length = DECODE_LENGTH, .tokens = DECODE_ROWS};
    struct train_request request = {.settings = settings};
    struct trainer t = {.request = &request, .settings = settings};
    memset(report, 0, sizeof *report);
    settings->eval.metrics &= ~(1 << METRIC_EXACT_MATCH); /* its generator is not the one timed */
    enum graft_status status = trainer_prepare(&t, e);
    if (status == GRAFT_OK) status = generator_plan(t.session, &size, &t.generator, e);
    if (status == GRAFT_OK) status = trainer_start(&t, e);
    if (status == GRAFT_OK) {
        snprintf(report->device, sizeof report->device, "%s", device_name(t.session->device));
        report->threads = device_threads(t.session->device);
        status = bench(&t, passes, progress, report, e);
    }
    trainer_fini(&t);
    if (status != GRAFT_OK) bench_report_free(report);
    return status;
}

void bench_report_free(struct bench_report *report)
{
    for (int i = 0; i < BENCH_PROGRAMS; i++) mem_free(report->programs[i].ops);
    *report = (struct bench_report){0};
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * graft bench RECIPE: where the time of a step goes, and how far that is from the machine's limit.
 * An op that moves more than memory could finds its numbers in a cache.
 */
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/recipe.h"

#include "train/bench.h"

#include <stdio.h>

enum { ROWS_SHOWN = 24 };

static void show(const char *what)
{
    char line[128];
    snprintf(line, sizeof line, "timing %s", what);
    if (cli_is_terminal(2))
        progress_show(line);
    else
        fprintf(stderr, "%s\n", line);
}

static void print_program(const struct bench_program *p, struct str *out)
{
    double sum = 0, rest = 0;
    for (size_t i = 0; i < p->count; i++) sum += p->ops[i].seconds;
    str_printf(out, "\n%s", p->name);
    if (p->tokens != 0)
        str_printf(out, ": %lld tokens of %lld row%s, %.0f tokens/s", (long long)p->tokens,
                   (long long)p->rows, p->rows == 1 ? "" : "s", (double)p->tokens / p->seconds);
    str_printf(out, "\n%.2f ms as a whole, %.2f ms op by op\n", 1e3 * p->seconds, 1e3 * sum);
    str_puts(out, "      ms      %  calls   GFLOP/s      GB/s  share of limit   op\n");
    for (size_t i = 0; i < p->count; i++) {
        const struct bench_op *op = &p->ops[i];
        if (i >= ROWS_SHOWN) {
            rest += op->seconds;
            continue;
        }
        char share[32] = "";
        if (op->share > 1.0)
            snprintf(share, sizeof share, "in cache");
        else if (op->share > 0)
            snprintf(share, sizeof share, "%.0f %% %s", 100.0 * op->share,
                     op->memory ? "memory" : "flops");
        str_printf(out, "%8.2f  %5.1f  %5lld  %8.1f  %8.1f  %-14s   %s\n", 1e3 * op->seconds,
                   100.0 * op->seconds / sum, (long long)op->calls, 1e-9 * op->flops / op->seconds,
                   1e-9 * op->bytes / op->seconds, share, op->title);
    }
    if (rest > 0)
        str_printf(out, "%8.2f  %5.1f  (%zu more)\n", 1e3 * rest, 100.0 * rest / sum,
                   p->count - ROWS_SHOWN);
}

static void print_report(const struct bench_report *r, struct str *out)
{
    const struct graft_limits *l = &r->limits;
    str_printf(out, "%s\n", r->device);
    if (l->flops_f32 > 0)
        str_printf(out, "limits measured now: %.1f GFLOP/s f32, memory read %.1f, copy %.1f GB/s\n",
                   1e-9 * l->flops_f32, 1e-9 * l->read, 1e-9 * l->copy);
    for (int i = 0; i < BENCH_PROGRAMS; i++) print_program(&r->programs[i], out);
}

static json_t *program_json(const struct bench_program *p)
{
    json_t *ops = json_array();
    for (size_t i = 0; i < p->count; i++) {
        const struct bench_op *op = &p->ops[i];
        json_array_append_new(ops,
                              json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:s}", "op", op->title,
                                        "calls", (json_int_t)op->calls, "seconds", op->seconds,
                                        "flops", op->flops, "bytes", op->bytes, "share_of_limit",
                                        op->share, "limit", op->memory ? "memory" : "flops"));
    }
    return json_pack("{s:s, s:I, s:I, s:f, s:o}", "name", p->name, "tokens", (json_int_t)p->tokens,
                     "rows", (json_int_t)p->rows, "seconds", p->seconds, "ops", ops);
}

static json_t *report_json(const struct bench_report *r)
{
    const struct graft_limits *l = &r->limits;
    json_t *programs = json_array();
    for (int i = 0; i < BENCH_PROGRAMS; i++)
        json_array_append_new(programs, program_json(&r->programs[i]));
    return json_pack("{s:s, s:I, s:{s:f, s:f, s:f, s:f, s:f}, s:o}", "device", r->device, "threads",
                     (json_int_t)r->threads, "limits", "flops_f32", l->flops_f32, "flops_bf16",
                     l->flops_bf16, "flops_f16", l->flops_f16, "read", l->read, "copy", l->copy,
                     "programs", programs);
}

int command_bench(const struct cli_args *args)
{
    struct error e = {0};
    struct settings *settings = NULL;
    struct bench_report report = {.threads = 0};
    struct str text = {0};
    int64_t passes = 0;
    enum graft_status status = cli_int(args, "passes", 1, 1000, 3, &passes, &e);
    if (status == GRAFT_OK) status = recipe_load(args, &settings, &e);
    if (status == GRAFT_OK) status = train_bench(settings, passes, show, &report, &e);
    progress_clear();
    int exit_status = status != GRAFT_OK ? recipe_fail(settings, &e) : EXIT_DONE;
    settings_free(settings);
    if (exit_status != EXIT_DONE) return exit_status;
    if (cli_flag(args, "json")) {
        exit_status = cli_print_json(report_json(&report));
    } else {
        print_report(&report, &text);
        exit_status = cli_print(&text);
    }
    bench_report_free(&report);
    return exit_status;
}

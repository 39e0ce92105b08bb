/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run leaves to read: one line per step, report.json, report.html and the table on the
 * terminal, all from one plain struct. Knows no trainer and writes no file: the caller does.
 * All writers append; a refused allocation sets out->failed. Not-finite numbers mean "not
 * measured": null in JSON, a dash elsewhere.
 */
#ifndef CORE_REPORT_REPORT_H
#define CORE_REPORT_REPORT_H

#include "base/text.h"
#include "eval/metric.h"

struct report_metric {
    const struct eval_metric *metric;
    double before, after;
};

struct report_sample {
    const char *prompt, *expected, *before, *after; /* NULL: not there */
};

struct report_step {
    uint64_t step; /* from 1 */
    double loss;
    uint64_t tokens;      /* trained in this step */
    uint64_t tokens_seen; /* of all kinds, since step 1 */
    double lr, grad_norm, seconds;
};

struct report_eval { /* on the valid rows, while training */
    uint64_t step;
    double loss;
};

struct report_memory { /* bytes of one class; used -1: not measured */
    const char *name;
    int64_t planned, used;
};

struct report_field {
    const char *name, *value;
};

/* Texts are UTF-8 and may be NULL; counts may be 0. */
struct report {
    const char *model, *method, *optimizer, *device, *data;
    const char *split;                   /* "test" or "valid" */
    size_t rows;                         /* of the split, that were measured */
    const struct report_metric *metrics; /* those that were chosen */
    size_t metric_count;
    const struct report_sample *samples;
    size_t sample_count;
    const struct report_step *steps;
    size_t step_count;
    const struct report_eval *evals;
    size_t eval_count;
    const struct report_memory *memory; /* classes */
    size_t memory_count;
    int64_t memory_planned, memory_used; /* the whole; used -1: not measured */
    double tokens_per_second, seconds;
    uint64_t trainable_parameters, total_parameters;
    const char *recipe;                  /* the effective recipe's text */
    const struct report_field *passport; /* name, value */
    size_t passport_count;
};

/* One line of steps.jsonl, with its line end. */
void report_step_line(struct str *out, const struct report_step *step);
void report_json(const struct report *r, struct str *out);
void report_html(const struct report *r, struct str *out);
/* The before/after table for a terminal. */
void report_text(const struct report *r, struct str *out);
/* The same of one model, without a before. */
void report_scores(const struct metric_scores *scores, struct str *out);

#endif

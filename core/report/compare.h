/* SPDX-License-Identifier: Apache-2.0
 *
 * What a comparison leaves to read: compare.json, compare.csv, compare.html and the table of a
 * terminal, all from one plain struct. Knows no trainer and writes no file. All writers append; a
 * refused allocation sets out->failed. Not-finite numbers mean "not measured".
 */
#ifndef CORE_REPORT_COMPARE_H
#define CORE_REPORT_COMPARE_H

#include "report/report.h"

struct report_interval { /* 95 %, or as the owner says */
    double mean, low, high;
};

struct report_rate { /* of a learning-rate sweep */
    double lr;
    const double *losses; /* valid, at the rungs reached */
    size_t count;
    bool chosen;
    const char *error;
};

struct report_run {
    double lr;
    int64_t seed;
    bool finished; /* else the sweep stopped it, or it failed */
    double valid_loss;
    const double *scores; /* per score; NULL: not finished */
    const struct report_step *steps;
    size_t step_count;
    const struct report_eval *evals;
    size_t eval_count;
    double seconds, tokens_per_second, first_token, per_token;
    int64_t memory_used;
};

struct report_method {
    const char *name, *words; /* "lora r=8 on 60 layers"; NULL: not run */
    const char *error;        /* why a run of it failed; NULL: none did */
    double lr;                /* the chosen one */
    const struct report_rate *rates;
    size_t rate_count;
    const struct report_run *runs; /* those that were begun */
    size_t run_count, finished;
    struct report_interval valid_loss;
    struct report_interval *scores; /* per score, over rows and seeds */
    struct report_interval
        *differences; /* [methods + 1, scores]: this minus another; the base last */
    uint64_t trainable_parameters, adapter_bytes;
    int64_t memory_planned, memory_used; /* used: the largest of the runs */
    double tokens_per_second, seconds, all_seconds, first_token, per_token;
    const char *recipe;
    const struct report_field *passport;
    size_t passport_count;
    const char *const *answers; /* per sample; NULL: none */
    bool efficient;             /* no other is as good in the main score for less */
};

struct report_compare_sample {
    const char *prompt, *expected, *base;
};

struct report_seed {
    int64_t seed;
    const char *order; /* hash over the rows of every step */
    uint64_t trained_tokens;
};

struct report_compare {
    const char *model, *device, *data;
    const char *split;
    size_t rows;
    int64_t steps, batch_size;
    const struct report_seed *seeds;
    size_t seed_count;
    uint64_t total_parameters;
    size_t leaked;                            /* rows of the split that stand in train */
    const struct eval_metric *const *metrics; /* the scores, of the final split */
    size_t score_count, main_score;
    double difference_level; /* of `differences`, 0 to 1 */
    size_t draws;            /* of the bootstrap, at least */
    const struct report_method *methods;
    size_t method_count;
    const double *base_scores; /* per score */
    double base_first_token, base_per_token;
    const char *const *verdict; /* sentences */
    size_t verdict_count;
    const struct report_compare_sample *samples;
    size_t sample_count;
};

void report_compare_json(const struct report_compare *r, struct str *out);
void report_compare_csv(const struct report_compare *r, struct str *out);
void report_compare_html(const struct report_compare *r, struct str *out);
void report_compare_text(const struct report_compare *r, struct str *out);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The final split row by row, as one model answered it: what the bootstrap pairs and the page shows
 * side by side. Kept beside each run, since a run's own report has the means alone.
 */
#ifndef CORE_COMPARE_ROWS_H
#define CORE_COMPARE_ROWS_H

#include "report/compare.h"
#include "train/train.h"

struct row_metric {
    struct report_score score;
    bool of_answers; /* needs generated answers */
    size_t width;    /* numbers per row */
    /* Of the sums over rows of each number, and the rows that were summed. */
    double (*finish)(const void *context, const double *sums, size_t rows);
};

/* The metrics that these settings ask for, in a fixed order; at most ROWS_METRICS. */
enum { ROWS_METRICS = 24 };
size_t rows_metrics(const struct settings *settings, const struct row_metric *out[ROWS_METRICS]);

struct rows {
    const char *split;
    size_t count;
    const char **prompts, **expected, **answers; /* [count]; NULL: no answers */
    size_t metric_count;
    const char *metrics[ROWS_METRICS]; /* names */
    double *values[ROWS_METRICS];      /* [count, width] */
    double first_token, per_token;     /* seconds; NAN: not measured */
    struct arena arena;
};

/* What `m` measured. Where there is a generator, a few answers are timed, one at a time. */
GRAFT_MUST_USE enum graft_status rows_save(const char *path, const char *split,
                                           const struct settings *settings,
                                           const struct train_measured *m, struct error *e);
/* Zero-initialized `rows`; rows_free also after a failure. */
GRAFT_MUST_USE enum graft_status rows_load(const char *path, struct rows *rows, struct error *e);
void rows_free(struct rows *rows);
/* The values of a metric by its name, or NULL. */
const double *rows_values(const struct rows *rows, const char *metric);

/* A metric by its name, or NULL; and what the rows have of it, NAN where it is not there. */
const struct row_metric *rows_metric(const char *name);
double rows_score(const struct rows *rows, const struct row_metric *metric);

#endif

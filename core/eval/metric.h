/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of metrics. A metric turns every row into a vector of `width` doubles that add up, and
 * a sum of such vectors into its value: the mean of a score is (score, 1) and a division, BLEU is
 * counts of n-grams. So one shape serves a whole split, one row, and any resampling of rows
 * (metric_value of a sum over drawn rows is the metric of that draw).
 */
#ifndef CORE_EVAL_METRIC_H
#define CORE_EVAL_METRIC_H

#include "data/rows.h"
#include "recipe/settings.h"

enum metric_unit {
    METRIC_UNIT_FIGURE, /* about four figures: a loss */
    METRIC_UNIT_SHARE,  /* 0 to 1, shown as per cent */
    METRIC_UNIT_POINTS, /* 0 to 100, as sacrebleu has them */
    METRIC_UNIT_LENGTH, /* characters */
    METRIC_UNIT_RATIO   /* 1 is as expected */
};

enum metric_better { METRIC_NEITHER, METRIC_HIGHER, METRIC_LOWER };

/* What was found of one row. Texts are UTF-8. */
struct metric_row {
    double nll;           /* sum over its predicted tokens, */
    uint64_t predicted;   /* and their number */
    const char *expected; /* NULL: plain text */
    char *answer;         /* NULL: none was generated */
    bool ended;           /* by the model, not by max_new_tokens */
};

/* What a metric must know of the whole split: labels, script, the training answers' profile. */
struct metric_context;

struct eval_metric {
    const char *name;  /* in recipes and JSON */
    const char *label; /* for people */
    const char *help;  /* one line */
    enum metric_unit unit;
    enum metric_better better;
    bool needs_answers; /* else loss alone is enough */
    bool needs_train;   /* rows that were trained on */
    bool counts_rows;   /* each row is 0 or 1: "154 of 200" says more than a share */
    size_t (*width)(const struct metric_context *context);
    /* Fills out [width]; all zeros: the row does not count. Only for rows that have what the
     * metric needs. False: no memory. */
    bool (*row)(const struct metric_context *context, const struct metric_row *row, double *out);
    /* NAN where nothing was counted. */
    double (*value)(const struct metric_context *context, const double *sum, size_t width);
};

/* By enum metric; names as in settings_metric_names. */
extern const struct eval_metric eval_metrics[METRIC_KINDS];

/* Sets of metrics are bits, 1 << enum metric, as settings->eval.metrics holds them. */
bool metrics_need_answers(int32_t metrics);
bool metrics_need_train(int32_t metrics);
/* "a,b" to bits. GRAFT_E_INVALID names the nearest metric. */
GRAFT_MUST_USE enum graft_status metrics_parse(const char *names, int32_t *metrics,
                                               struct error *e);

/* `expected` are the split's (NULL: plain text) and outlive the context. `train`: rows whose
 * answers are what `style` compares with; NULL: there are none. GRAFT_E_INVALID where a chosen
 * metric cannot be measured on these rows. */
GRAFT_MUST_USE enum graft_status metric_context_create(int32_t metrics, const char *const *expected,
                                                       size_t count, const struct data_rows *train,
                                                       struct metric_context **context,
                                                       struct error *e);
void metric_context_destroy(struct metric_context *context);

/* One metric over the rows. */
struct metric_column {
    const struct eval_metric *metric;
    size_t width;
    double *rows; /* [count, width]; a row that lacks an answer the metric needs is all zeros */
    double value; /* of the sum of all rows */
};

/* Zero-initialized. Columns in the order of the table; the context outlives them. */
struct metric_scores {
    const struct metric_context *context;
    struct metric_column *columns;
    size_t column_count;
    size_t count; /* rows */
};

GRAFT_MUST_USE enum graft_status metric_scores_fill(const struct metric_context *context,
                                                    int32_t metrics, const struct metric_row *rows,
                                                    size_t count, struct metric_scores *scores,
                                                    struct error *e);
void metric_scores_free(struct metric_scores *scores);

/* NULL where the metric was not chosen. */
const struct metric_column *metric_scores_find(const struct metric_scores *scores,
                                               enum metric metric);
/* Of a sum of rows, [width]; of one row: its own score (NAN: it does not count). */
double metric_value(const struct metric_scores *scores, const struct metric_column *column,
                    const double *sum);

#endif

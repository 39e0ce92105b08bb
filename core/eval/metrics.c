/* SPDX-License-Identifier: Apache-2.0
 *
 * The table, and the metrics that are a score and a mean.
 */
#include "eval/parts.h"

#include <math.h>
#include <string.h>

/* A ratio of sums: the mean of a score is (score, 1). */
static size_t two(const struct metric_context *context)
{
    (void)context;
    return 2;
}

static double ratio(const struct metric_context *context, const double *sum, size_t width)
{
    (void)context, (void)width;
    return sum[1] > 0 ? sum[0] / sum[1] : (double)NAN;
}

static double exp_ratio(const struct metric_context *context, const double *sum, size_t width)
{
    return exp(ratio(context, sum, width));
}

static bool loss(const struct metric_context *context, const struct metric_row *row, double *out)
{
    (void)context;
    out[0] = row->nll;
    out[1] = (double)row->predicted;
    return true;
}

static bool score(double *out, double value)
{
    out[0] = value;
    out[1] = 1;
    return true;
}

static bool exact_match(const struct metric_context *context, const struct metric_row *row,
                        double *out)
{
    (void)context;
    return score(out, strcmp(row->answer, row->expected) == 0);
}

const struct eval_metric eval_metrics[METRIC_KINDS] = {
    [METRIC_LOSS] = {.name = "loss",
                     .label = "loss",
                     .help = "mean of -log p over the predicted answer tokens",
                     .unit = METRIC_UNIT_FIGURE,
                     .better = METRIC_LOWER,
                     .width = two,
                     .row = loss,
                     .value = ratio},
    [METRIC_PERPLEXITY] = {.name = "perplexity",
                           .label = "perplexity",
                           .help = "exp(loss)",
                           .unit = METRIC_UNIT_FIGURE,
                           .better = METRIC_LOWER,
                           .width = two,
                           .row = loss,
                           .value = exp_ratio},
    [METRIC_EXACT_MATCH] = {.name = "exact_match",
                            .label = "exact match",
                            .help = "answers that equal the expected one byte for byte",
                            .unit = METRIC_UNIT_SHARE,
                            .better = METRIC_HIGHER,
                            .needs_answers = true,
                            .counts_rows = true,
                            .width = two,
                            .row = exact_match,
                            .value = ratio},
};

enum graft_status metric_context_create(int32_t metrics, const char *const *expected, size_t count,
                                        const struct data_rows *train,
                                        struct metric_context **context, struct error *e)
{
    (void)metrics, (void)expected, (void)train;
    struct metric_context *c = mem_zalloc(1, sizeof *c);
    if (c == NULL) return error_memory(e, "metrics", sizeof *c);
    c->rows = count;
    *context = c;
    return GRAFT_OK;
}

void metric_context_destroy(struct metric_context *context)
{
    mem_free(context);
}

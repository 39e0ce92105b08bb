/* SPDX-License-Identifier: Apache-2.0
 *
 * Any chosen metrics over rows: vectors, sums, values. Knows no metric by name.
 */
#include "eval/parts.h"

#include <math.h>
#include <string.h>

bool metrics_need_answers(int32_t metrics)
{
    for (int i = 0; i < METRIC_KINDS; i++)
        if ((metrics >> i & 1) != 0 && eval_metrics[i].needs_answers) return true;
    return false;
}

bool metrics_need_train(int32_t metrics)
{
    for (int i = 0; i < METRIC_KINDS; i++)
        if ((metrics >> i & 1) != 0 && eval_metrics[i].needs_train) return true;
    return false;
}

static enum graft_status find_metric(const char *name, int32_t *index, struct error *e)
{
    struct str all = {0};
    for (int32_t i = 0; i < METRIC_KINDS; i++) {
        if (strcmp(name, eval_metrics[i].name) == 0) {
            *index = i;
            str_free(&all);
            return GRAFT_OK;
        }
        str_printf(&all, "%s%s", i != 0 ? ", " : "", eval_metrics[i].name);
    }
    const char *nearest = nearest_word(name, settings_metric_names, METRIC_KINDS);
    enum graft_status status =
        error_set(e, GRAFT_E_INVALID, "found \"%s\"%s%s%s, expected metrics out of %s", name,
                  nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
                  nearest != NULL ? "\"?" : "", all.failed ? "the table" : all.data);
    str_free(&all);
    return status;
}

enum graft_status metrics_parse(const char *names, int32_t *metrics, struct error *e)
{
    int32_t bits = 0;
    for (const char *at = names;; at++) {
        int32_t index = 0;
        size_t length = strcspn(at, ",");
        char *name = mem_strndup(at, length);
        if (name == NULL) return error_memory(e, "metrics", length);
        enum graft_status status = find_metric(name, &index, e);
        mem_free(name);
        if (status != GRAFT_OK) return status;
        if ((bits >> index & 1) != 0)
            return error_set(e, GRAFT_E_INVALID, "%s stands twice", eval_metrics[index].name);
        bits |= 1 << index;
        at += length;
        if (*at == '\0') break;
    }
    *metrics = bits;
    return GRAFT_OK;
}

static size_t chosen(int32_t metrics)
{
    size_t count = 0;
    for (int i = 0; i < METRIC_KINDS; i++) count += (metrics >> i & 1) != 0;
    return count;
}

static bool fill_column(const struct metric_context *context, const struct metric_row *rows,
                        size_t count, struct metric_column *column)
{
    const struct eval_metric *metric = column->metric;
    double *sum = mem_zalloc(column->width, sizeof *sum);
    bool good = sum != NULL;
    for (size_t i = 0; i < count && good; i++) {
        double *out = column->rows + i * column->width;
        bool has = rows[i].expected != NULL && rows[i].answer != NULL;
        if (metric->needs_answers && !has) continue;
        good = metric->row(context, &rows[i], out);
        for (size_t k = 0; k < column->width; k++) sum[k] += out[k];
    }
    if (good) column->value = metric->value(context, sum, column->width);
    mem_free(sum);
    return good;
}

static bool add_column(const struct metric_context *context, int kind,
                       const struct metric_row *rows, size_t count, struct metric_scores *scores)
{
    struct metric_column *column = &scores->columns[scores->column_count];
    size_t total;
    column->metric = &eval_metrics[kind];
    column->width = column->metric->width(context);
    if (!size_mul(count, column->width, &total)) return false;
    column->rows = mem_zalloc(total, sizeof *column->rows);
    if (column->rows == NULL) return false;
    scores->column_count++;
    return fill_column(context, rows, count, column);
}

enum graft_status metric_scores_fill(const struct metric_context *context, int32_t metrics,
                                     const struct metric_row *rows, size_t count,
                                     struct metric_scores *scores, struct error *e)
{
    struct metric_scores made = {.context = context, .count = count};
    made.columns = mem_zalloc(chosen(metrics), sizeof *made.columns);
    bool good = made.columns != NULL;
    for (int i = 0; i < METRIC_KINDS && good; i++)
        if ((metrics >> i & 1) != 0) good = add_column(context, i, rows, count, &made);
    if (!good) {
        metric_scores_free(&made);
        return error_memory(e, "metrics", count * sizeof(double));
    }
    *scores = made;
    return GRAFT_OK;
}

void metric_scores_free(struct metric_scores *scores)
{
    for (size_t i = 0; i < scores->column_count; i++) mem_free(scores->columns[i].rows);
    mem_free(scores->columns);
    *scores = (struct metric_scores){0};
}

const struct metric_column *metric_scores_find(const struct metric_scores *scores,
                                               enum metric metric)
{
    for (size_t i = 0; i < scores->column_count; i++)
        if (scores->columns[i].metric == &eval_metrics[metric]) return &scores->columns[i];
    return NULL;
}

double metric_value(const struct metric_scores *scores, const struct metric_column *column,
                    const double *sum)
{
    return column->metric->value(scores->context, sum, column->width);
}

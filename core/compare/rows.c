/* SPDX-License-Identifier: Apache-2.0
 *
 * Per-row results to JSON and back, and the time of an answer.
 */
#include "compare/rows.h"

#include "base/json.h"
#include "file/atomic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TIMED_PROMPTS = 5, TIMED_TOKENS = 32 };

/* Metrics */

static double mean_token_loss(const void *context, const double *sums, size_t rows)
{
    (void)context;
    (void)rows;
    return sums[0] / sums[1];
}

static double share_of_rows(const void *context, const double *sums, size_t rows)
{
    (void)context;
    return sums[0] / (double)rows;
}

static const struct row_metric loss_metric = {
    {"loss", "loss", REPORT_FIGURE, REPORT_LOWER}, false, 2, mean_token_loss};
static const struct row_metric exact_metric = {
    {"exact_match", "exact match", REPORT_SHARE, REPORT_HIGHER}, true, 1, share_of_rows};

size_t rows_metrics(const struct settings *settings, const struct row_metric *out[ROWS_METRICS])
{
    size_t count = 0;
    out[count++] = &loss_metric;
    if ((settings->eval.metrics >> METRIC_EXACT_MATCH & 1) != 0) out[count++] = &exact_metric;
    return count;
}

static void fill(const struct row_metric *metric, const struct train_measured *m, size_t row,
                 double *out)
{
    if (metric == &loss_metric) {
        out[0] = m->set->row_nll[row];
        out[1] = (double)m->set->tokens.rows[row].trained;
    } else {
        out[0] = strcmp(m->set->expected[row], m->answers->texts[row]) == 0;
    }
}

/* Time of an answer */

struct stopwatch {
    double begin, first, last;
    size_t tokens;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void tick(void *context, size_t prompt, int32_t id)
{
    struct stopwatch *w = context;
    (void)prompt;
    if (id < 0) return;
    w->last = now();
    if (w->tokens++ == 0) w->first = w->last;
}

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    if (count == 0) return (double)NAN;
    qsort(values, count, sizeof *values, rising);
    return values[count / 2];
}

/* Prompts one by one, as in a chat; medians. */
static enum graft_status time_answers(const struct train_measured *m, double *first_token,
                                      double *per_token, struct error *e)
{
    double first[TIMED_PROMPTS], per[TIMED_PROMPTS];
    size_t firsts = 0, pers = 0;
    for (size_t i = 0; i < m->set->count && i < TIMED_PROMPTS; i++) {
        int32_t ids[TIMED_TOKENS];
        struct stopwatch watch = {.begin = now()};
        const struct generate_prompt prompt = {m->set->prompts[i].ids, m->set->prompts[i].count};
        struct generate_answer answer = {.ids = ids};
        const struct generate_request request = {.prompts = &prompt,
                                                 .answers = &answer,
                                                 .count = 1,
                                                 .max_new_tokens = TIMED_TOKENS,
                                                 .sample = {.top_p = 1.0},
                                                 .on_token = tick,
                                                 .context = &watch};
        enum graft_status status = generator_run(m->generator, &request, e);
        if (status != GRAFT_OK) return status;
        if (watch.tokens > 0) first[firsts++] = watch.first - watch.begin;
        if (watch.tokens > 1) per[pers++] = (watch.last - watch.first) / (double)(watch.tokens - 1);
    }
    *first_token = median(first, firsts);
    *per_token = median(per, pers);
    return GRAFT_OK;
}

/* Saving */

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *metric_json(const struct row_metric *metric, const struct train_measured *m)
{
    json_t *values = json_array();
    for (size_t i = 0; i < m->set->count; i++) {
        double numbers[8] = {0};
        fill(metric, m, i, numbers);
        for (size_t k = 0; k < metric->width; k++) json_array_append_new(values, real(numbers[k]));
    }
    return values;
}

static const char *prompt_of(const struct eval_set *set, size_t row)
{
    const struct data_row *r = &set->rows.rows[set->tokens.rows[row].source];
    const char *prompt = r->messages == NULL ? r->text : "";
    for (size_t m = 0; m + 1 < r->message_count; m++)
        if (strcmp(r->messages[m].role, "user") == 0) prompt = r->messages[m].content;
    return prompt;
}

static void add_texts(json_t *root, const struct train_measured *m)
{
    json_t *prompts = json_array(), *expected = json_array(), *answers = json_array();
    for (size_t i = 0; i < m->answers->count; i++) {
        json_array_append_new(prompts, json_string(prompt_of(m->set, i)));
        json_array_append_new(expected, json_string(m->set->expected[i]));
        json_array_append_new(answers, json_string(m->answers->texts[i]));
    }
    json_object_set_new(root, "prompts", prompts);
    json_object_set_new(root, "expected", expected);
    json_object_set_new(root, "answers", answers);
}

enum graft_status rows_save(const char *path, const char *split, const struct settings *settings,
                            const struct train_measured *m, struct error *e)
{
    const struct row_metric *metrics[ROWS_METRICS];
    double first_token = (double)NAN, per_token = (double)NAN;
    struct str text = {0};
    enum graft_status status = GRAFT_OK;
    if (m->generator != NULL) status = time_answers(m, &first_token, &per_token, e);
    if (status != GRAFT_OK) return status;
    json_t *values = json_object();
    size_t count = rows_metrics(settings, metrics);
    for (size_t i = 0; i < count; i++)
        if (!metrics[i]->of_answers || m->answers->count != 0)
            json_object_set_new(values, metrics[i]->score.name, metric_json(metrics[i], m));
    json_t *root = json_pack("{s:s, s:I, s:o, s:o, s:o}", "split", split, "rows",
                             (json_int_t)m->set->count, "first_token", real(first_token),
                             "per_token", real(per_token), "metrics", values);
    if (root == NULL) return error_memory(e, path, 0);
    if (m->answers->count != 0) add_texts(root, m);
    json_write(&text, root, 0, false);
    str_putc(&text, '\n');
    json_decref(root);
    status = text.failed ? error_memory(e, path, text.length)
                         : atomic_write_file(path, text.data, text.length, e);
    str_free(&text);
    return status;
}

/* Loading */

static bool load_texts(struct rows *r, const json_t *list, const char ***out)
{
    if (list == NULL) return true;
    if (json_array_size(list) != r->count) return false;
    *out = arena_alloc(&r->arena, r->count, sizeof **out);
    for (size_t i = 0; *out != NULL && i < r->count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        (*out)[i] = arena_strdup(&r->arena, text != NULL ? text : "");
        if ((*out)[i] == NULL) return false;
    }
    return *out != NULL;
}

static bool load_metrics(struct rows *r, json_t *object)
{
    const char *name;
    json_t *list;
    json_object_foreach(object, name, list)
    {
        size_t count = json_array_size(list);
        if (r->metric_count == ROWS_METRICS || r->count == 0 || count % r->count != 0) return false;
        double *values = arena_alloc(&r->arena, count, sizeof *values);
        r->metrics[r->metric_count] = arena_strdup(&r->arena, name);
        if (values == NULL || r->metrics[r->metric_count] == NULL) return false;
        for (size_t i = 0; i < count; i++) {
            const json_t *value = json_array_get(list, i);
            values[i] = json_is_number(value) ? json_number_value(value) : (double)NAN;
        }
        r->values[r->metric_count++] = values;
    }
    return true;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

enum graft_status rows_load(const char *path, struct rows *r, struct error *e)
{
    json_t *root = NULL;
    enum graft_status status = json_read_file(path, (size_t)1 << 30, &root, e);
    if (status != GRAFT_OK) return status;
    const char *split = json_string_value(json_object_get(root, "split"));
    r->count = (size_t)json_integer_value(json_object_get(root, "rows"));
    r->split = arena_strdup(&r->arena, split != NULL ? split : "valid");
    r->first_token = number(root, "first_token");
    r->per_token = number(root, "per_token");
    bool whole = load_texts(r, json_object_get(root, "prompts"), &r->prompts) &&
                 load_texts(r, json_object_get(root, "expected"), &r->expected) &&
                 load_texts(r, json_object_get(root, "answers"), &r->answers) &&
                 load_metrics(r, json_object_get(root, "metrics"));
    json_decref(root);
    if (whole && r->split != NULL) return GRAFT_OK;
    return error_set(e, GRAFT_E_INVALID, "%s: is not what this comparison wrote", path);
}

void rows_free(struct rows *rows)
{
    arena_free(&rows->arena);
    *rows = (struct rows){0};
}

const double *rows_values(const struct rows *rows, const char *metric)
{
    for (size_t i = 0; i < rows->metric_count; i++)
        if (strcmp(rows->metrics[i], metric) == 0) return rows->values[i];
    return NULL;
}

const struct row_metric *rows_metric(const char *name)
{
    static const struct row_metric *const all[] = {&loss_metric, &exact_metric};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i]->score.name, name) == 0) return all[i];
    return NULL;
}

double rows_score(const struct rows *rows, const struct row_metric *metric)
{
    const double *values = rows_values(rows, metric->score.name);
    double sums[8] = {0};
    if (values == NULL) return (double)NAN;
    for (size_t i = 0; i < rows->count; i++)
        for (size_t k = 0; k < metric->width; k++) sums[k] += values[i * metric->width + k];
    return metric->finish(NULL, sums, rows->count);
}

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

static const char *prompt_of(const struct eval_set *set, size_t row)
{
    const struct data_row *r = &set->rows.rows[set->tokens.rows[row].source];
    const char *prompt = r->messages == NULL ? r->text : "";
    for (size_t m = 0; m + 1 < r->message_count; m++)
        if (strcmp(r->messages[m].role, "user") == 0) prompt = r->messages[m].content;
    return prompt;
}

static json_t *row_json(const struct train_measured *m, size_t i)
{
    const struct metric_row *row = &m->measure->rows[i];
    return json_pack("{s:f, s:I, s:s?, s:s?, s:s?, s:b}", "nll", row->nll, "predicted",
                     (json_int_t)row->predicted, "prompt", prompt_of(m->set, i), "expected",
                     row->expected, "answer", row->answer, "ended", (int)row->ended);
}

enum graft_status rows_save(const char *path, const char *split, const struct train_measured *m,
                            struct error *e)
{
    double first_token = (double)NAN, per_token = (double)NAN;
    struct str text = {0};
    enum graft_status status = GRAFT_OK;
    if (m->generator != NULL) status = time_answers(m, &first_token, &per_token, e);
    if (status != GRAFT_OK) return status;
    json_t *rows = json_array();
    for (size_t i = 0; i < m->measure->count; i++) json_array_append_new(rows, row_json(m, i));
    json_t *root = json_pack("{s:s, s:o, s:o, s:o}", "split", split, "first_token",
                             real(first_token), "per_token", real(per_token), "rows", rows);
    if (root != NULL) json_write(&text, root, 1, false);
    str_putc(&text, '\n');
    status = root == NULL || text.failed ? error_memory(e, path, text.length)
                                         : atomic_write_file(path, text.data, text.length, e);
    json_decref(root);
    str_free(&text);
    return status;
}

/* Loading */

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* *out stays NULL where the text is not there; false: no memory. */
static bool load_text(struct rows *r, const json_t *object, const char *key, const char **out)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (text == NULL) return true;
    *out = arena_strdup(&r->arena, text);
    return *out != NULL;
}

static bool load_row(struct rows *r, const json_t *object, size_t i)
{
    struct metric_row *row = &r->measure.rows[i];
    const char *answer = json_string_value(json_object_get(object, "answer"));
    row->nll = number(object, "nll");
    row->predicted = (uint64_t)json_integer_value(json_object_get(object, "predicted"));
    row->ended = json_is_true(json_object_get(object, "ended"));
    r->has_answers |= answer != NULL;
    if (answer != NULL && (row->answer = mem_strdup(answer)) == NULL) return false;
    if (!load_text(r, object, "prompt", &r->prompts[i]) ||
        !load_text(r, object, "expected", &r->expected[i]))
        return false;
    row->expected = r->expected[i];
    return true;
}

static bool load_rows(struct rows *r, const json_t *list)
{
    double nll = 0, predicted = 0;
    r->count = json_array_size(list);
    r->prompts = arena_alloc(&r->arena, r->count, sizeof *r->prompts);
    r->expected = arena_alloc(&r->arena, r->count, sizeof *r->expected);
    r->measure.rows = mem_zalloc(r->count, sizeof *r->measure.rows);
    if (r->prompts == NULL || r->expected == NULL || r->measure.rows == NULL) return false;
    r->measure.count = r->count;
    for (size_t i = 0; i < r->count; i++) {
        if (!load_row(r, json_array_get(list, i), i)) return false;
        nll += r->measure.rows[i].nll;
        predicted += (double)r->measure.rows[i].predicted;
    }
    r->measure.loss = nll / predicted;
    return true;
}

enum graft_status rows_load(const char *path, struct rows *r, struct error *e)
{
    json_t *root = NULL;
    enum graft_status status = json_read_file(path, (size_t)1 << 30, &root, e);
    if (status != GRAFT_OK) return status;
    const json_t *list = json_object_get(root, "rows");
    r->first_token = number(root, "first_token");
    r->per_token = number(root, "per_token");
    if (!load_text(r, root, "split", &r->split) || !load_rows(r, list))
        status = error_memory(e, path, 0);
    else if (r->split == NULL || r->count == 0)
        status = error_set(e, GRAFT_E_INVALID, "%s: is not what this comparison wrote", path);
    json_decref(root);
    return status;
}

void rows_free(struct rows *rows)
{
    eval_measure_free(&rows->measure);
    arena_free(&rows->arena);
    *rows = (struct rows){0};
}

enum graft_status rows_score(struct rows *rows, const struct metric_context *context,
                             int32_t metrics, struct error *e)
{
    metric_scores_free(&rows->measure.scores);
    return metric_scores_fill(context, metrics, rows->measure.rows, rows->count,
                              &rows->measure.scores, e);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of the base model to a file, rows of all models back; and the time of an answer.
 */
#include "compare/rows.h"

#include "base/json.h"
#include "file/atomic.h"
#include "file/map.h"

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

enum graft_status rows_time_answers(const struct train_measured *m, struct answer_time *time,
                                    struct error *e)
{
    double first[TIMED_PROMPTS], per[TIMED_PROMPTS];
    size_t firsts = 0, pers = 0, count = m->generator != NULL ? m->set->count : 0;
    for (size_t i = 0; i < count && i < TIMED_PROMPTS; i++) {
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
    time->first_token = median(first, firsts);
    time->per_token = median(per, pers);
    return GRAFT_OK;
}

/* Rows */

static const char *prompt_of(const struct eval_set *set, size_t row)
{
    const struct data_row *r = &set->rows.rows[set->tokens.rows[row].source];
    const char *prompt = r->messages == NULL ? r->text : "";
    for (size_t m = 0; m + 1 < r->message_count; m++)
        if (strcmp(r->messages[m].role, "user") == 0) prompt = r->messages[m].content;
    return prompt;
}

static json_t *base_json(const struct train_measured *m, size_t i)
{
    const struct metric_row *row = &m->measure->rows[i];
    return json_pack("{s:s?, s:s?, s:n, s:o}", "prompt", prompt_of(m->set, i), "expected",
                     row->expected, "before", "after", metric_row_json(row));
}

enum graft_status rows_save_base(const char *path, const struct train_measured *m, struct error *e)
{
    struct str text = {0};
    bool whole = true;
    for (size_t i = 0; i < m->measure->count && whole; i++) {
        json_t *object = base_json(m, i);
        whole = object != NULL;
        if (whole) json_write(&text, object, 0, false);
        str_putc(&text, '\n');
        json_decref(object);
    }
    enum graft_status status = !whole || text.failed
                                   ? error_memory(e, path, text.length)
                                   : atomic_write_file(path, text.data, text.length, e);
    str_free(&text);
    return status;
}

enum graft_status rows_load(const char *path, struct rows *r, struct error *e)
{
    enum graft_status status = eval_rows_load(path, &r->file, e);
    r->count = r->file.count;
    for (size_t i = 0; i < r->count; i++) r->has_answers |= r->file.after[i].answer != NULL;
    if (status == GRAFT_OK && r->count == 0)
        status = error_set(e, GRAFT_E_INVALID, "%s: holds no rows", path);
    return status;
}

static enum graft_status load_prompt(struct rows *r, const char *line, size_t length, size_t i,
                                     struct error *e)
{
    json_t *object = NULL;
    enum graft_status status = json_read_bytes(line, length, &object, e);
    if (status != GRAFT_OK) return status;
    const char *prompt = json_string_value(json_object_get(object, "prompt"));
    r->prompts[i] = arena_strdup(&r->file.arena, prompt != NULL ? prompt : "");
    json_decref(object);
    return r->prompts[i] != NULL ? GRAFT_OK : error_memory(e, "prompts", length);
}

enum graft_status rows_load_base(const char *path, struct rows *r, struct error *e)
{
    struct file_map map = {0};
    enum graft_status status = rows_load(path, r, e);
    if (status == GRAFT_OK) status = file_map_open(path, &map, e);
    if (status != GRAFT_OK) return status;
    const char *at = (const char *)map.data, *end = at + map.size;
    r->prompts = arena_alloc(&r->file.arena, r->count, sizeof *r->prompts);
    if (r->prompts == NULL) status = error_memory(e, "prompts", r->count);
    for (size_t i = 0; i < r->count && status == GRAFT_OK; i++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL) stop = end;
        status = load_prompt(r, at, (size_t)(stop - at), i, e);
        at = stop < end ? stop + 1 : end;
    }
    file_map_close(&map);
    return status;
}

void rows_free(struct rows *rows)
{
    metric_scores_free(&rows->scores);
    eval_rows_free(&rows->file);
    *rows = (struct rows){0};
}

enum graft_status rows_score(struct rows *rows, const struct metric_context *context,
                             int32_t metrics, struct error *e)
{
    metric_scores_free(&rows->scores);
    return metric_scores_fill(context, metrics, rows->file.after, rows->count, &rows->scores, e);
}

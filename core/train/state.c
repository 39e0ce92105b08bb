/* SPDX-License-Identifier: Apache-2.0
 *
 * The trainer's own state to JSON and back, and the comparison of recipes.
 */
#include "train/trainer.h"

#include "base/hash.h"
#include "eval/rows.h"

#include <math.h>
#include <string.h>

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static int64_t integer(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static json_t *evals_json(const struct trainer *t)
{
    json_t *list = json_array();
    for (size_t i = 0; i < t->eval_count; i++)
        json_array_append_new(list, json_pack("{s:I, s:o}", "step", (json_int_t)t->evals[i].step,
                                              "loss", real(t->evals[i].loss)));
    return list;
}

/* What was found of each row: the metrics follow from it, those that --resume chooses anew too. */
static json_t *rows_json(const struct eval_measure *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->count; i++) json_array_append_new(list, metric_row_json(&m->rows[i]));
    return list;
}

json_t *trainer_state(const struct trainer *t)
{
    return json_pack("{s:I, s:I, s:f, s:I, s:f, s:I, s:o, s:I, s:I, s:o, s:o, s:s, s:s, s:s, s:s}",
                     "step", (json_int_t)t->step, "tokens_seen", (json_int_t)t->tokens_seen,
                     "seconds", t->seconds, "skipped_in_a_row", (json_int_t)t->skipped_in_a_row,
                     "loss_scale", t->loss_scale.value, "steps_at_scale",
                     (json_int_t)t->loss_scale.steps, "best_loss", real(t->best_loss), "best_step",
                     (json_int_t)t->best_step, "bad_evals", (json_int_t)t->bad_evals, "evals",
                     evals_json(t), "before", rows_json(&t->before), "recipe", t->recipe, "rows",
                     t->rows_hash, "valid_rows", t->valid_hash, "final_rows", t->final_hash);
}

static enum graft_status restore_evals(struct trainer *t, const json_t *list, struct error *e)
{
    size_t count = json_array_size(list);
    if (!array_reserve(&t->evals, &t->eval_capacity, count, sizeof *t->evals))
        return error_memory(e, "evaluations", count * sizeof *t->evals);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        t->evals[i] = (struct report_eval){.step = (uint64_t)integer(item, "step"),
                                           .loss = number(item, "loss")};
    }
    t->eval_count = count;
    return GRAFT_OK;
}

/* eval.rows may have changed since: the rows that both have count. */
static enum graft_status restore_rows(const struct trainer *t, const json_t *list,
                                      struct eval_measure *m, struct error *e)
{
    size_t count = json_array_size(list);
    if (count > t->final.count) count = t->final.count;
    if (count == 0) return GRAFT_OK;
    m->rows = mem_zalloc(count, sizeof *m->rows);
    if (m->rows == NULL) return error_memory(e, "answers", count * sizeof *m->rows);
    for (; m->count < count; m->count++) {
        struct metric_row *row = &m->rows[m->count];
        row->expected = t->final.expected != NULL ? t->final.expected[m->count] : NULL;
        enum graft_status status = metric_row_read(json_array_get(list, m->count), row, e);
        if (status != GRAFT_OK) return status;
    }
    return eval_score(&t->final, m, e);
}

/* Else the checkpoint's figures and those to come would be of different rows. */
static enum graft_status same_rows(const struct trainer *t, const json_t *state, struct error *e)
{
    const struct {
        const char *key, *now, *split, *role;
    } sets[] = {{"rows", t->rows_hash, "train", "trained on"},
                {"valid_rows", t->valid_hash, "valid", "measured with"},
                {"final_rows", t->final_hash, t->final_name, "measured with"}};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        const char *then = json_string_value(json_object_get(state, sets[i].key));
        if (then == NULL || strcmp(then, sets[i].now) == 0) continue;
        return error_set(e, GRAFT_E_INVALID,
                         "--resume: data.%s: the rows are not those that the checkpoint of step "
                         "%lld was %s; put them back, or begin anew with --overwrite",
                         sets[i].split, (long long)integer(state, "step"), sets[i].role);
    }
    return GRAFT_OK;
}

enum graft_status trainer_restore(struct trainer *t, const json_t *state, struct error *e)
{
    enum graft_status status = same_rows(t, state, e);
    if (status != GRAFT_OK) return status;
    double best = number(state, "best_loss");
    t->step = integer(state, "step");
    t->last_checkpoint = t->step;
    t->tokens_seen = (uint64_t)integer(state, "tokens_seen");
    t->seconds = number(state, "seconds");
    t->skipped_in_a_row = integer(state, "skipped_in_a_row");
    if (t->loss_scale.dynamic && number(state, "loss_scale") > 1.0) {
        t->loss_scale.value = number(state, "loss_scale");
        t->loss_scale.steps = integer(state, "steps_at_scale");
    }
    t->best_loss = isfinite(best) ? best : (double)INFINITY;
    t->best_step = integer(state, "best_step");
    t->bad_evals = integer(state, "bad_evals");
    t->stopped_early =
        t->settings->early_stopping.enabled && t->bad_evals >= t->settings->early_stopping.patience;
    status = restore_evals(t, json_object_get(state, "evals"), e);
    if (status == GRAFT_OK)
        status = restore_rows(t, json_object_get(state, "before"), &t->before, e);
    return status;
}

/* The next line of an effective recipe that a resumed run must not change; NULL at the end. */
static const char *next_fixed_line(const char **cursor, size_t *length, bool *skipping)
{
    static const char *const free_sections[] = {"backend:", "eval:", "checkpoint:"};
    static const char *const free_keys[] = {"  max_steps:", "  epochs:", "  compute:"};
    while (**cursor != '\0') {
        const char *line = *cursor;
        *length = strcspn(line, "\n");
        *cursor = line + *length + (line[*length] == '\n');
        if (*length == 0) continue;
        if (line[0] != ' ') {
            *skipping = false;
            for (size_t i = 0; i < 3; i++)
                *skipping |= strncmp(line, free_sections[i], strlen(free_sections[i])) == 0;
        }
        bool free_key = false;
        for (size_t i = 0; i < sizeof free_keys / sizeof free_keys[0]; i++)
            free_key |= strncmp(line, free_keys[i], strlen(free_keys[i])) == 0;
        if (!*skipping && !free_key) return line;
    }
    return NULL;
}

static const char *trimmed(const char *line, size_t *length)
{
    while (*length > 0 && *line == ' ') line++, --*length;
    return line;
}

enum graft_status trainer_same_recipe(const struct trainer *t, const json_t *state, struct error *e)
{
    const char *then = json_string_value(json_object_get(state, "recipe")), *now = t->recipe;
    bool skip_then = false, skip_now = false;
    if (then == NULL) return error_set(e, GRAFT_E_INVALID, "the checkpoint names no recipe");
    for (;;) {
        size_t a_length = 0, b_length = 0;
        const char *a = next_fixed_line(&then, &a_length, &skip_then);
        const char *b = next_fixed_line(&now, &b_length, &skip_now);
        if (a == NULL && b == NULL) return GRAFT_OK;
        if (a != NULL && b != NULL && a_length == b_length && memcmp(a, b, a_length) == 0) continue;
        a = a != NULL ? trimmed(a, &a_length) : "nothing";
        b = b != NULL ? trimmed(b, &b_length) : "nothing";
        return error_set(e, GRAFT_E_INVALID,
                         "--resume: the recipe changed: it was \"%.*s\", now it is \"%.*s\"; only "
                         "backend, compute, max_steps, epochs, eval and checkpoint may change",
                         (int)(a_length != 0 ? a_length : 7), a,
                         (int)(b_length != 0 ? b_length : 7), b);
    }
}

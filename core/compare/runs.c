/* SPDX-License-Identifier: Apache-2.0
 *
 * One run after the other, each by train_run; after each event the state is written.
 */
#include "compare/parts.h"

#include "base/json.h"
#include "base/log.h"
#include "file/paths.h"

#include <math.h>
#include <string.h>

struct run { /* what the callbacks of one run know */
    struct comparison *c;
    const struct compare_action *action;
};

static void progress(void *context, const struct train_progress *p)
{
    const struct run *r = context;
    const struct compare_request *request = r->c->request;
    const struct settings_compare *s = r->c->settings;
    struct compare_progress out = {.method = s->methods[r->action->method].name,
                                   .lr = s->methods[r->action->method].rates.items[r->action->rate],
                                   .seed = s->seeds.items[r->action->seed],
                                   .train = *p};
    compare_count(&r->c->state, &out.done, &out.total);
    if (request->progress != NULL) request->progress(request->context, &out);
}

static bool stop(void *context)
{
    const struct compare_request *request = ((const struct run *)context)->c->request;
    return request->stop != NULL && request->stop(request->context);
}

static enum graft_status measured(void *context, const struct train_measured *m, struct error *e)
{
    const struct run *r = context;
    const struct compare_action *a = r->action;
    if (m->phase != TRAIN_AFTER) return GRAFT_OK;
    return rows_time_answers(m, &compare_record_at(&r->c->state, a->method, a->rate, a->seed)->time,
                             e);
}

/* "order sha256" of a finished run; NULL where it is not there. mem_free. */
static char *order_of(const struct settings_compare *c, size_t method, size_t rate, size_t seed)
{
    json_t *fields = NULL, *field;
    size_t index;
    char *order = NULL, *path = compare_run_path(c, method, rate, seed, "/passport.json");
    if (path != NULL && path_kind(path) == PATH_FILE &&
        json_read_file(path, 1 << 20, &fields, NULL) == GRAFT_OK)
        json_array_foreach(fields, index, field)
        {
            const char *name = json_string_value(json_object_get(field, "name"));
            const char *value = json_string_value(json_object_get(field, "value"));
            if (name != NULL && value != NULL && strcmp(name, "order sha256") == 0 && order == NULL)
                order = mem_strdup(value);
        }
    json_decref(fields);
    mem_free(path);
    return order;
}

/* Every finished run of a seed trained the same rows in the same order: not hoped, looked at. */
static enum graft_status check_order(const struct comparison *c, const struct compare_action *a,
                                     struct error *e)
{
    enum graft_status status = GRAFT_OK;
    char *own = order_of(c->settings, a->method, a->rate, a->seed);
    for (size_t m = 0; m < c->settings->method_count && status == GRAFT_OK; m++) {
        size_t rate = compare_chosen(&c->state, m);
        if (m == a->method || rate == SIZE_MAX) continue;
        if (!compare_record_at(&c->state, m, rate, a->seed)->done) continue;
        char *other = order_of(c->settings, m, rate, a->seed);
        if (own == NULL || other == NULL || strcmp(own, other) != 0)
            status =
                error_set(e, GRAFT_E_FAILED, "it trained other rows, or in another order, than %s",
                          c->settings->methods[m].name);
        mem_free(other);
    }
    mem_free(own);
    return status;
}

/* A run that failed is a fact of the comparison; a stop or a disk that is full is not. */
static bool ends_comparison(enum graft_status status)
{
    return status == GRAFT_E_INTERRUPTED || status == GRAFT_E_IO;
}

static enum graft_status note_failure(struct comparison *c, const struct compare_action *a,
                                      const struct error *fault, struct error *e)
{
    struct compare_record *record = compare_record_at(&c->state, a->method, a->rate, a->seed);
    const struct settings_compare *s = c->settings;
    char number[32];
    record->error = arena_strdup(&c->state.arena, fault->text);
    if (record->error == NULL) return error_memory(e, "an error", 0);
    record->candidate.failed = true;
    log_warning("%s, lr %s, seed %lld: %s", s->methods[a->method].name,
                format_f64(s->methods[a->method].rates.items[a->rate], number),
                (long long)s->seeds.items[a->seed], fault->text);
    return GRAFT_OK;
}

/* "lora-r8, lr 0.001, seed 1: step 40, valid loss 0.0712" */
static void note(const struct comparison *c, const struct compare_action *a,
                 const struct train_outcome *outcome)
{
    const struct settings_compare *s = c->settings;
    const struct settings_method *m = &s->methods[a->method];
    struct str line = {0};
    char number[32], loss[32];
    str_printf(&line, "%s, lr %s, seed %lld: %s %lld", m->name,
               format_f64(m->rates.items[a->rate], number), (long long)s->seeds.items[a->seed],
               outcome->paused ? "paused at step" : "done, step", (long long)outcome->steps);
    if (isfinite(outcome->valid_loss))
        str_printf(&line, ", valid loss %s", format_f32((float)outcome->valid_loss, loss));
    size_t chosen = compare_chosen(&c->state, a->method);
    if (outcome->paused && chosen != SIZE_MAX)
        str_printf(&line, "; lr %s is chosen", format_f64(m->rates.items[chosen], number));
    if (!line.failed && c->request->note != NULL) c->request->note(c->request->context, line.data);
    str_free(&line);
}

/* Past its rung: the run goes on, but what it had there is not known any more. */
static enum graft_status check_rung(const struct compare_action *a,
                                    const struct train_outcome *outcome, struct error *e)
{
    if (a->pause_at == 0 || (outcome->paused && outcome->steps == a->pause_at)) return GRAFT_OK;
    return error_set(e, GRAFT_E_FAILED,
                     "it is past the rung of step %lld, and the state of the comparison does not "
                     "know its loss there: begin anew with --overwrite",
                     (long long)a->pause_at);
}

static enum graft_status note_success(struct comparison *c, const struct compare_action *a,
                                      const struct train_outcome *outcome, struct error *e)
{
    struct compare_record *record = compare_record_at(&c->state, a->method, a->rate, a->seed);
    struct error fault = {0};
    if (check_rung(a, outcome, e) != GRAFT_OK) /* going on would choose by what is left */
        return error_place(e, "%s", c->settings->methods[a->method].name);
    if (outcome->paused) {
        if (record->candidate.rungs < HALVING_RUNGS)
            record->candidate.loss[record->candidate.rungs++] = outcome->valid_loss;
        note(c, a, outcome);
        return GRAFT_OK;
    }
    record->done = true;
    if (check_order(c, a, &fault) == GRAFT_OK) {
        note(c, a, outcome);
        return GRAFT_OK;
    }
    record->done = false;
    return note_failure(c, a, &fault, e);
}

static enum graft_status train(struct comparison *c, const struct compare_action *a,
                               struct settings *s, bool begun, struct error *e)
{
    struct run run = {c, a};
    const struct eval_measure before = {.rows = c->base.file.after, .count = c->base.count};
    struct train_request request = {.settings = s,
                                    .mode = begun || c->request->mode == RUN_RESUME ? RUN_RESUME
                                                                                    : RUN_NEW,
                                    .progress = progress,
                                    .stop = stop,
                                    .context = &run,
                                    .pause_at = a->pause_at,
                                    .valid_at_end = true,
                                    .before = &before,
                                    .measured = measured};
    struct train_outcome outcome;
    struct error fault = {0};
    enum graft_status status = train_run(&request, &outcome, &fault);
    str_free(&outcome.table);
    if (status == GRAFT_OK) return note_success(c, a, &outcome, e);
    if (!ends_comparison(status)) return note_failure(c, a, &fault, e);
    *e = fault;
    return status;
}

static enum graft_status run_one(struct comparison *c, const struct compare_action *a,
                                 struct error *e)
{
    const struct settings_compare *settings = c->settings;
    struct compare_record *record = compare_record_at(&c->state, a->method, a->rate, a->seed);
    char *folder = compare_run_path(settings, a->method, a->rate, a->seed, "");
    struct settings *s = NULL;
    bool begun = record->begun;
    enum graft_status status =
        folder != NULL ? settings_compare_run(settings, a->method, a->rate, a->seed, folder, &s, e)
                       : error_memory(e, "a path", 0);
    record->begun = true;
    if (status == GRAFT_OK && !begun) status = compare_state_save(&c->state, settings->output, e);
    if (status == GRAFT_OK) status = train(c, a, s, begun, e);
    if (status == GRAFT_OK) status = compare_state_save(&c->state, settings->output, e);
    settings_free(s);
    mem_free(folder);
    return status;
}

enum graft_status compare_runs(struct comparison *c, struct error *e)
{
    struct compare_action action;
    while (compare_next(&c->state, &action)) {
        enum graft_status status = run_one(c, &action, e);
        if (status == GRAFT_E_INTERRUPTED)
            return error_set(e, status, "stopped in %s; go on with --resume",
                             c->settings->methods[action.method].name);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

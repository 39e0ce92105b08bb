/* SPDX-License-Identifier: Apache-2.0
 *
 * The step loop: micro-batches add gradients, one update, one line, now and then an evaluation or a
 * checkpoint. Nothing is built or planned here.
 */
#include "train/trainer.h"

#include "base/log.h"
#include "train/schedule.h"

#include <math.h>
#include <time.h>

enum { SKIPS_ALLOWED = 10 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Goes over micro-batch `micro` again: ", first in matmul of .." where something is found. */
static void blame(struct trainer *t, const struct packed_step *step, size_t micro, struct str *out)
{
    struct error ignored = {0}; /* the run ends with the fault that brought us here */
    double scale = t->loss_scale.value / (double)step->trained;
    struct str found = {0};
    pack_micro_batch(step, micro, &t->batch);
    if (loss_program_blame(t->session, &t->train_program, &t->batch, scale, (uint32_t)t->step + 1,
                           &found, &ignored) == GRAFT_OK &&
        found.length != 0)
        str_printf(out, ", first in %s", found.data);
    str_free(&found);
}

static enum graft_status bad_loss(struct trainer *t, const struct packed_step *step, size_t micro,
                                  struct error *e)
{
    const struct data_sequence *first = &t->tokens.rows[step->rows[step->begin[micro]]];
    const struct data_row *row = &t->rows.rows[first->source];
    struct str where = {0};
    blame(t, step, micro, &where);
    error_set(e, GRAFT_E_FAILED,
              "step %lld: the loss is not finite in the micro-batch of %zu rows that begins with "
              "%s:%u%s; the last checkpoint is of step %lld; a smaller optimizer.lr is the usual "
              "cure",
              (long long)t->step + 1, step->begin[micro + 1] - step->begin[micro],
              data_row_file(&t->rows, first->source), row->line,
              where.data != NULL ? where.data : "", (long long)t->last_checkpoint);
    str_free(&where);
    return GRAFT_E_FAILED;
}

static enum graft_status run_micro_batches(struct trainer *t, const struct packed_step *step,
                                           double *loss, struct error *e)
{
    double scale = t->loss_scale.value;
    *loss = 0;
    for (size_t m = 0; m < step->count; m++) {
        float part = 0;
        pack_micro_batch(step, m, &t->batch);
        t->train_program.once = m == 0 ? scale : 0.0;
        enum graft_status status =
            loss_program_run(t->session, &t->train_program, &t->batch,
                             scale / (double)step->trained, (uint32_t)t->step + 1, &part, e);
        if (status != GRAFT_OK) return status;
        if (!isfinite(part)) return bad_loss(t, step, m, e);
        *loss += (double)part / scale;
    }
    return GRAFT_OK;
}

static enum graft_status count_skip(struct trainer *t, const struct packed_step *step, bool skipped,
                                    struct error *e)
{
    if (loss_scale_step(&t->loss_scale, !skipped)) {
        log_info("step %lld: a gradient left the range of f16; the step changed nothing, the loss "
                 "scale is now %.0f",
                 (long long)t->step + 1, t->loss_scale.value);
        return GRAFT_OK;
    }
    t->skipped_in_a_row = skipped ? t->skipped_in_a_row + 1 : 0;
    if (!skipped) return GRAFT_OK;
    log_warning("step %lld: a gradient is not finite; the step changed nothing",
                (long long)t->step + 1);
    if (t->skipped_in_a_row < SKIPS_ALLOWED) return GRAFT_OK;
    struct str where = {0};
    for (size_t m = 0; m < step->count && where.length == 0; m++) blame(t, step, m, &where);
    error_set(e, GRAFT_E_FAILED,
              "step %lld: gradients were not finite in %d steps in a row%s; the last checkpoint is "
              "of step %lld",
              (long long)t->step + 1, SKIPS_ALLOWED, where.data != NULL ? where.data : "",
              (long long)t->last_checkpoint);
    str_free(&where);
    return GRAFT_E_FAILED;
}

static enum graft_status one_step(struct trainer *t, struct error *e)
{
    const struct settings *s = t->settings;
    struct packed_step step;
    double loss, began = now(), lr = s->optimizer.lr;
    float norm = 0;
    size_t rows = data_order_step(&t->order, (uint64_t)t->step, t->step_rows);
    enum graft_status status =
        pack_step(&t->tokens, t->step_rows, rows, t->micro_tokens, t->step_begin, &step, e);
    if (status == GRAFT_OK) status = run_micro_batches(t, &step, &loss, e);
    if (status != GRAFT_OK) return status;
    lr *= schedule_multiplier(&s->train.schedule, t->step, t->total_steps, s->optimizer.lr);
    t->update.loss_scale = t->loss_scale.value;
    status =
        update_run(t->session, &t->update, lr, s->optimizer.weight_decay, t->step + 1, &norm, e);
    if (status == GRAFT_OK) status = count_skip(t, &step, !isfinite(norm), e);
    if (status != GRAFT_OK) return status;
    t->step++;
    t->tokens_seen += step.token_count;
    struct report_step line = {.step = (uint64_t)t->step,
                               .loss = loss,
                               .tokens = step.trained,
                               .tokens_seen = t->tokens_seen,
                               .lr = lr,
                               .grad_norm = (double)norm,
                               .seconds = now() - began};
    t->seconds += line.seconds;
    return steps_append(t, &line, e);
}

static void show(const struct trainer *t)
{
    const struct train_request *r = t->request;
    const struct report_step *last = &t->steps[t->step_count - 1];
    size_t window = t->step_count < 20 ? t->step_count : 20;
    const struct report_step *from = last - (window - 1);
    double seconds = 0, tokens = 0;
    for (const struct report_step *s = from; s <= last; s++) {
        seconds += s->seconds;
        tokens += (double)(s->tokens_seen - (s == t->steps ? 0 : s[-1].tokens_seen));
    }
    struct train_progress p = {.phase = TRAIN_STEPS,
                               .done = t->step,
                               .total = t->total_steps,
                               .loss = last->loss,
                               .lr = last->lr,
                               .tokens_per_second = seconds > 0 ? tokens / seconds : 0,
                               .seconds_left =
                                   (double)(t->total_steps - t->step) * seconds / (double)window,
                               .memory = resident_bytes()};
    if (r->progress != NULL) r->progress(r->context, &p);
}

static enum graft_status drop_old(const struct trainer *t, struct error *e)
{
    int64_t *steps = NULL;
    size_t count = 0;
    const char *run = run_folder_path(t->folder);
    enum graft_status status = run_folder_checkpoints(run, &steps, &count, e);
    size_t keep = (size_t)t->settings->checkpoint.keep;
    /* Newer ones were passed over as damaged: they must not count among those that stay. */
    while (status == GRAFT_OK && count != 0 && steps[count - 1] > t->step)
        status = run_folder_drop(run, steps[--count], e);
    for (size_t i = 0; status == GRAFT_OK && i + keep < count; i++)
        status = run_folder_drop(run, steps[i], e);
    mem_free(steps);
    return status;
}

enum graft_status trainer_checkpoint(struct trainer *t, struct error *e)
{
    if (t->last_checkpoint == t->step && t->step != 0) return GRAFT_OK;
    json_t *state = trainer_state(t);
    if (state == NULL) return error_memory(e, "a checkpoint", 0);
    enum graft_status status = steps_sync(t, e);
    if (status == GRAFT_OK)
        status =
            checkpoint_save(t->session, run_folder_path(t->folder), t->step, state, &t->best, e);
    json_decref(state);
    if (status != GRAFT_OK) {
        error_place(e, "checkpoint of step %lld", (long long)t->step);
        if (t->last_checkpoint > 0)
            log_warning("the checkpoint of step %lld is kept; make room and go on with --resume",
                        (long long)t->last_checkpoint);
        return status;
    }
    t->last_checkpoint = t->step;
    return drop_old(t, e);
}

static enum graft_status evaluate(struct trainer *t, struct error *e)
{
    double loss = 0;
    enum graft_status status = trainer_valid_loss(t, &loss, e);
    if (status != GRAFT_OK) return status;
    if (!array_reserve(&t->evals, &t->eval_capacity, t->eval_count + 1, sizeof *t->evals))
        return error_memory(e, "an evaluation", sizeof *t->evals);
    t->evals[t->eval_count++] = (struct report_eval){.step = (uint64_t)t->step, .loss = loss};
    log_info("step %lld: valid loss %.4f", (long long)t->step, loss);
    if (!t->settings->early_stopping.enabled) return GRAFT_OK;
    if (loss < t->best_loss - t->settings->early_stopping.min_delta) {
        t->best_loss = loss;
        t->best_step = t->step;
        t->bad_evals = 0;
        return parameter_copy_take(t->session, &t->best, e);
    }
    t->bad_evals++;
    t->stopped_early = t->bad_evals >= t->settings->early_stopping.patience;
    return GRAFT_OK;
}

static bool due(int64_t every, int64_t step)
{
    return every > 0 && step % every == 0;
}

/* A stop while evaluating is a stop after this step: the evaluation is made again on resume. */
static enum graft_status stop_here(struct trainer *t, struct error *e)
{
    struct error saved = {0};
    enum graft_status status = trainer_checkpoint(t, &saved);
    if (status != GRAFT_OK) {
        *e = saved;
        return status;
    }
    return error_set(e, GRAFT_E_INTERRUPTED, "stopped after step %lld; go on with --resume",
                     (long long)t->step);
}

bool trainer_pauses(const struct trainer *t)
{
    return t->request->pause_at != 0 && t->step >= t->request->pause_at;
}

static bool evaluation_due(const struct trainer *t)
{
    int64_t evaluated = t->eval_count != 0 ? (int64_t)t->evals[t->eval_count - 1].step : 0;
    bool asked = due(t->settings->eval.every, t->step) || trainer_pauses(t) ||
                 (t->request->valid_at_end && t->step == t->total_steps);
    return t->has_valid && asked && evaluated < t->step;
}

enum graft_status trainer_steps(struct trainer *t, struct error *e)
{
    const struct train_request *r = t->request;
    for (;;) {
        enum graft_status status;
        if (evaluation_due(t)) {
            status = evaluate(t, e);
            if (status == GRAFT_E_INTERRUPTED) return stop_here(t, e);
            if (status != GRAFT_OK) return status;
        }
        if (t->step >= t->total_steps || t->stopped_early || trainer_pauses(t)) return GRAFT_OK;
        status = one_step(t, e);
        if (status != GRAFT_OK) return status;
        show(t);
        if (r->stop != NULL && r->stop(r->context)) return stop_here(t, e);
        if (due(t->settings->checkpoint.every, t->step)) status = trainer_checkpoint(t, e);
        if (status != GRAFT_OK) return status;
    }
}

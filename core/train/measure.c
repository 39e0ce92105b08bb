/* SPDX-License-Identifier: Apache-2.0
 *
 * Evaluations inside a run.
 */
#include "train/trainer.h"

#include <stdio.h>

/* Pages that are resident, from /proc; 0 where there is none. */
uint64_t resident_bytes(void)
{
    unsigned long long size, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) return 0;
    if (fscanf(file, "%llu %llu", &size, &resident) != 2) resident = 0;
    fclose(file);
    return (uint64_t)resident * 4096;
}

struct watch {
    struct trainer *t;
    enum train_phase phase;
};

static bool watch(void *context, size_t done, size_t total)
{
    const struct watch *w = context;
    const struct train_request *r = w->t->request;
    struct train_progress p = {.phase = w->phase,
                               .done = (int64_t)done,
                               .total = (int64_t)total,
                               .memory = resident_bytes()};
    if (r->progress != NULL) r->progress(r->context, &p);
    return r->stop != NULL && r->stop(r->context);
}

enum graft_status trainer_valid_loss(struct trainer *t, double *loss, struct error *e)
{
    struct watch w = {.t = t, .phase = TRAIN_VALID};
    struct eval_measure m = {0};
    enum graft_status status =
        eval_loss(t->session, &t->eval_program, &t->batch, &t->valid, watch, &w, &m, e);
    if (status == GRAFT_OK) *loss = m.loss;
    eval_measure_free(&m);
    return status;
}

enum graft_status trainer_measure(struct trainer *t, enum train_phase phase, struct eval_measure *m,
                                  struct error *e)
{
    struct watch w = {.t = t, .phase = phase};
    if (!t->has_final) return GRAFT_OK;
    enum graft_status status =
        eval_loss(t->session, &t->eval_program, &t->batch, &t->final, watch, &w, m, e);
    if (status == GRAFT_OK && t->generator != NULL)
        status = eval_answer(t->session, t->generator, &t->final,
                             (size_t)t->settings->eval.max_new_tokens, watch, &w, m, e);
    if (status == GRAFT_OK) status = eval_score(&t->final, m, e);
    const struct train_measured told = {phase, t->session, t->generator, &t->final, m};
    if (status == GRAFT_OK && t->request->measured != NULL)
        status = t->request->measured(t->request->context, &told, e);
    return status;
}

static enum graft_status copy_rows(const struct eval_measure *from, struct eval_measure *to,
                                   struct error *e)
{
    to->rows = mem_zalloc(from->count, sizeof *to->rows);
    if (to->rows == NULL) return error_memory(e, "answers", from->count * sizeof *to->rows);
    for (; to->count < from->count; to->count++) {
        struct metric_row *row = &to->rows[to->count];
        *row = from->rows[to->count];
        if (row->answer != NULL && (row->answer = mem_strdup(row->answer)) == NULL)
            return error_memory(e, "answers", from->count);
    }
    return GRAFT_OK;
}

enum graft_status trainer_before(struct trainer *t, struct error *e)
{
    const struct eval_measure *known = t->request->before;
    if (known == NULL || known->count != t->final.count)
        return trainer_measure(t, TRAIN_BEFORE, &t->before, e);
    enum graft_status status = copy_rows(known, &t->before, e);
    return status == GRAFT_OK ? eval_score(&t->final, &t->before, e) : status;
}

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
    return status;
}

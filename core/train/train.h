/* SPDX-License-Identifier: Apache-2.0
 *
 * A training run from settings to a finished output folder.
 */
#ifndef CORE_TRAIN_TRAIN_H
#define CORE_TRAIN_TRAIN_H

#include "base/hash.h"
#include "eval/eval.h"
#include "recipe/settings.h"
#include "report/report.h"
#include "train/folder.h"

enum train_phase {
    TRAIN_BEFORE, /* measuring the model as it is */
    TRAIN_STEPS,
    TRAIN_VALID, /* measuring while training */
    TRAIN_AFTER
};

struct train_progress {
    enum train_phase phase;
    int64_t done, total; /* steps, or rows of an evaluation */
    double loss, lr;     /* of the last step */
    double tokens_per_second;
    double seconds_left;
    uint64_t memory; /* resident bytes of the process */
};

/* The final split (test if given, else valid) as it was measured. Lives during the call alone. */
struct train_measured {
    enum train_phase phase; /* TRAIN_BEFORE or TRAIN_AFTER */
    struct session *session;
    struct generator *generator; /* NULL: no answers are asked for, or the rows have none */
    const struct eval_set *set;
    const struct eval_measure *measure;
};

struct train_request {
    struct settings *settings; /* `auto` values are replaced by what they became */
    enum run_mode mode;
    void (*progress)(void *context, const struct train_progress *progress);
    bool (*stop)(void *context); /* asked after every step; true: checkpoint and stop */
    void *context;

    /* For a caller that makes several runs; 0 and NULL in a run that stands alone. */
    int64_t pause_at;  /* after this step: valid loss, checkpoint, GRAFT_OK and outcome->paused */
    bool valid_at_end; /* the valid loss after the last step as well */
    const struct eval_measure *before; /* known already, of all rows: its rows are taken */
    enum graft_status (*measured)(void *context, const struct train_measured *m, struct error *e);
};

/* Which rows are trained, in which order: runs that agree in it had the same data and budget. */
struct train_rows {
    char hash[HASH_HEX_SIZE]; /* over the rows of each step and their trained tokens */
    uint64_t trained_tokens;
};

struct train_outcome {
    bool was_finished; /* --resume found nothing to do */
    bool paused;       /* at request->pause_at */
    double valid_loss; /* the last one; NAN */
    struct str table;  /* report_text of the run; str_free */
    int64_t steps;
};

/* GRAFT_E_INVALID: nothing was written. GRAFT_E_INTERRUPTED: stopped on request with a checkpoint.
 * Other failures keep the checkpoints made so far. */
GRAFT_MUST_USE enum graft_status train_run(const struct train_request *request,
                                           struct train_outcome *outcome, struct error *e);

/* What the run would need, class by class, without running it: `rows` has TRAIN_CLASSES places. */
enum { TRAIN_CLASSES = 10 };
struct train_plan {
    struct report_memory classes[TRAIN_CLASSES];
    size_t count;
    int64_t total;
    int64_t alone; /* more, on a backend that runs its ops one by one (graph/sweep.h) */
    int64_t parameters, base_parameters, steps;
    size_t micro_batch_tokens;
    bool recompute;
    size_t sites;
    struct train_rows rows;
    double steps_per_epoch;
};
GRAFT_MUST_USE enum graft_status train_plan(struct settings *settings, struct train_plan *plan,
                                            struct error *e);

#endif

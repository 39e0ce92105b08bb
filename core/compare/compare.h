/* SPDX-License-Identifier: Apache-2.0
 *
 * A comparison from its recipe to its report: every method on the same rows, in the same order,
 * with the same budget; the rate of each chosen on valid, the figures of test. All runs are made
 * by train_run, one after the other, each in a run folder of its own.
 */
#ifndef CORE_COMPARE_COMPARE_H
#define CORE_COMPARE_COMPARE_H

#include "recipe/compare.h"
#include "train/train.h"

struct compare_progress {
    const char *method; /* NULL: the base model */
    double lr;
    int64_t seed;
    size_t done, total; /* runs, as far as is known */
    struct train_progress train;
};

struct compare_request {
    const struct settings_compare *settings;
    enum run_mode mode;
    void (*progress)(void *context, const struct compare_progress *progress);
    void (*note)(void *context, const char *line); /* what was found: a rate chosen, a run done */
    bool (*stop)(void *context);
    void *context;
};

struct compare_outcome {
    struct str table; /* for a terminal; str_free */
    size_t failed;    /* methods that have a run that failed */
};

/* GRAFT_E_INVALID: nothing was started. GRAFT_E_INTERRUPTED: goes on with RUN_RESUME. A method that
 * fails is a row of the report and counted in the outcome, not an error. */
GRAFT_MUST_USE enum graft_status compare_run(const struct compare_request *request,
                                             struct compare_outcome *outcome, struct error *e);

#endif

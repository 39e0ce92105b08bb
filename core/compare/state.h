/* SPDX-License-Identifier: Apache-2.0
 *
 * What a comparison knows of its runs, in one small file that is replaced after each event: which
 * were begun, what the candidates of a sweep had at the rungs, which are done, which failed and
 * why. What to do next is a function of it, so a killed comparison goes on where it stopped.
 */
#ifndef CORE_COMPARE_STATE_H
#define CORE_COMPARE_STATE_H

#include "base/hash.h"
#include "base/memory.h"
#include "compare/halving.h"
#include "compare/rows.h"
#include "recipe/compare.h"

struct compare_record { /* of one run */
    bool begun, done;
    struct candidate candidate; /* of a sweep; failed also of other runs */
    const char *error;          /* of one that failed; else NULL */
    struct answer_time time;    /* NAN: not measured */
};

struct compare_method_state {
    const char *recipe;             /* the effective one without rate and seed */
    const char *error;              /* it cannot be run at all; NULL: it can */
    struct compare_record *records; /* [rates, seeds] */
};

struct compare_state {
    const struct settings_compare *settings;
    int64_t steps; /* of a run */
    struct compare_method_state *methods;
    struct answer_time base_time;
    struct arena arena;
};

struct compare_action {
    size_t method, rate, seed;
    int64_t pause_at; /* 0: to the end */
};

GRAFT_MUST_USE enum graft_status compare_state_create(const struct settings_compare *settings,
                                                      struct compare_state *state, struct error *e);
void compare_state_free(struct compare_state *state);
/* The recipes, with paths relative to the comparison's folder, which must exist. */
GRAFT_MUST_USE enum graft_status compare_state_recipes(struct compare_state *state,
                                                       struct error *e);

struct compare_record *compare_record_at(const struct compare_state *state, size_t method,
                                         size_t rate, size_t seed);
/* The rate of a method that is chosen, or SIZE_MAX while it is not (or if all failed). */
size_t compare_chosen(const struct compare_state *state, size_t method);
/* False when everything is done that can be done. The first seed of every method comes first. */
bool compare_next(const struct compare_state *state, struct compare_action *action);
/* Runs that are finished or given up, and all, with the losers of sweeps. */
void compare_count(const struct compare_state *state, size_t *done, size_t *total);
/* Has the method a run that failed and is needed? Its text, or NULL. */
const char *compare_failure(const struct compare_state *state, size_t method);

/* compare.state.json in the folder. Loading takes over the records of methods, rates and seeds that
 * this comparison has too; a method whose recipe changed is GRAFT_E_INVALID with the line. */
GRAFT_MUST_USE enum graft_status compare_state_save(const struct compare_state *state,
                                                    const char *folder, struct error *e);
GRAFT_MUST_USE enum graft_status compare_state_load(struct compare_state *state, const char *folder,
                                                    struct error *e);

/* "FOLDER/runs/NAME/lr-0.001/seed-1", with a file of it behind ("/report.json", ""); mem_free. */
char *compare_run_path(const struct settings_compare *settings, size_t method, size_t rate,
                       size_t seed, const char *file);

#endif

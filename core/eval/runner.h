/* SPDX-License-Identifier: Apache-2.0
 *
 * A set measured by itself, by programs of its own: what `graft eval` does, and a comparison with
 * the base model. A training run has its programs already.
 */
#ifndef CORE_EVAL_RUNNER_H
#define CORE_EVAL_RUNNER_H

#include "eval/eval.h"

/* Zero-initialized; session and set are borrowed and outlive it. */
struct eval_runner {
    struct session *session;
    const struct eval_set *set;
    size_t max_new_tokens;
    struct batch_slot slot;
    struct micro_batch batch;
    struct loss_program program;
    struct generator *generator; /* NULL: no answers are asked for, or the rows have none */
};

/* Before session_start; the set's metrics are chosen. eval_runner_fini also after a failure. */
GRAFT_MUST_USE enum graft_status eval_runner_plan(struct session *session,
                                                  const struct eval_set *set, size_t max_new_tokens,
                                                  struct eval_runner *runner, struct error *e);
/* After it: the loss, and answers where there is a generator; nothing is scored. */
GRAFT_MUST_USE enum graft_status eval_runner_run(struct eval_runner *runner,
                                                 eval_progress *progress, void *context,
                                                 struct eval_measure *measure, struct error *e);
void eval_runner_fini(struct eval_runner *runner);

#endif

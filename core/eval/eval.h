/* SPDX-License-Identifier: Apache-2.0
 *
 * How good a model is on a split: the loss of its rows, its own answers beside the expected ones,
 * and the chosen metrics of both. Knows no trainer.
 */
#ifndef CORE_EVAL_EVAL_H
#define CORE_EVAL_EVAL_H

#include "eval/metric.h"
#include "generate/generator.h"
#include "session/loss.h"

/* The rows of one split that are measured. Zero-initialized. */
struct eval_set {
    struct data_rows rows;
    struct data_tokens tokens;
    size_t count;               /* rows measured: the first ones */
    struct token_list *prompts; /* per row; NULL where a row has none (plain text) */
    const char **expected;      /* per row: the last answer; borrowed from rows */
    size_t longest_prompt;
    int32_t metrics; /* bits; 0: only the loss is wanted, and nothing is scored */
    struct metric_context *context;
    struct arena arena;
};

/* limit 0: every row. Rows that are too long for `options` are an error or left out, as there. */
GRAFT_MUST_USE enum graft_status eval_set_load(const struct session *session, const char *path,
                                               const struct data_tokenize_options *options,
                                               size_t limit, struct eval_set *set, struct error *e);
/* What is measured on it, checked; `train` as in metric_context_create. */
GRAFT_MUST_USE enum graft_status eval_set_choose(struct eval_set *set, int32_t metrics,
                                                 const struct data_rows *train, struct error *e);
/* Are answers wanted, and do all rows have prompts? Only then is a generator needed. */
bool eval_set_has_answers(const struct eval_set *set);
void eval_set_free(struct eval_set *set);

/* Asked now and then; true stops with GRAFT_E_INTERRUPTED. `done` of `total` rows so far. */
typedef bool eval_progress(void *context, size_t done, size_t total);

/* What one model gave on a set. Zero-initialized; the set outlives it. */
struct eval_measure {
    double loss;             /* sum of nll / predicted tokens, over all rows */
    struct metric_row *rows; /* [count]; the answers are owned, the rest is borrowed */
    size_t count;
    struct metric_scores scores; /* eval_score */
};

/* Each row's nll, and the loss of all; answers that were there are dropped. */
GRAFT_MUST_USE enum graft_status eval_loss(struct session *session, struct loss_program *program,
                                           struct micro_batch *batch, const struct eval_set *set,
                                           eval_progress *progress, void *context,
                                           struct eval_measure *measure, struct error *e);
/* After eval_loss: greedy answers, one per row. */
GRAFT_MUST_USE enum graft_status eval_answer(struct session *session, struct generator *generator,
                                             const struct eval_set *set, size_t max_new_tokens,
                                             eval_progress *progress, void *context,
                                             struct eval_measure *measure, struct error *e);
/* The set's metrics, from the rows. */
GRAFT_MUST_USE enum graft_status eval_score(const struct eval_set *set,
                                            struct eval_measure *measure, struct error *e);
void eval_measure_free(struct eval_measure *measure);

#endif

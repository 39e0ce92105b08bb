/* SPDX-License-Identifier: Apache-2.0
 *
 * How good a model is on a split: the loss of its rows, and its own answers beside the expected
 * ones. Knows no trainer.
 */
#ifndef CORE_EVAL_EVAL_H
#define CORE_EVAL_EVAL_H

#include "generate/generator.h"
#include "session/loss.h"

/* The rows of one split that are measured. Zero-initialized. */
struct eval_set {
    struct data_rows rows;
    struct data_tokens tokens;
    size_t count;               /* rows measured: the first ones */
    struct token_list *prompts; /* per row; empty sets (plain text) have none */
    const char **expected;      /* per row: the last answer; borrowed from rows */
    size_t longest_prompt;
    struct arena arena;
};

/* limit 0: every row. Rows that are too long for `options` are an error or left out, as there. */
GRAFT_MUST_USE enum graft_status eval_set_load(const struct session *session, const char *path,
                                               const struct data_tokenize_options *options,
                                               size_t limit, struct eval_set *set, struct error *e);
void eval_set_free(struct eval_set *set);

/* Asked now and then; true stops with GRAFT_E_INTERRUPTED. `done` of `total` rows so far. */
typedef bool eval_progress(void *context, size_t done, size_t total);

/* Sum of nll over predicted tokens / their number, in double over the whole split. */
GRAFT_MUST_USE enum graft_status eval_loss(struct session *session, struct loss_program *program,
                                           struct micro_batch *batch, const struct eval_set *set,
                                           eval_progress *progress, void *context, double *loss,
                                           struct error *e);

/* Greedy answers, one text per row. Zero-initialized. */
struct eval_answers {
    char **texts;
    size_t count;
};

GRAFT_MUST_USE enum graft_status eval_answer(struct session *session, struct generator *generator,
                                             const struct eval_set *set, size_t max_new_tokens,
                                             eval_progress *progress, void *context,
                                             struct eval_answers *answers, struct error *e);
void eval_answers_free(struct eval_answers *answers);

/* Share of answers that equal the expected text byte for byte; NAN without rows. */
double eval_exact_match(const struct eval_set *set, const struct eval_answers *answers);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The final split row by row, as one model answered it: what the bootstrap pairs and the page shows
 * side by side. Of a run it is its rows.jsonl; the base model has a file of the same kind.
 */
#ifndef CORE_COMPARE_ROWS_H
#define CORE_COMPARE_ROWS_H

#include "eval/rows.h"
#include "train/train.h"

struct rows {
    struct eval_rows file; /* `after` counts */
    size_t count;
    bool has_answers;
    const char **prompts;        /* [count]; of the base model alone */
    struct metric_scores scores; /* rows_score */
};

/* What the base model gave; with the prompts, since they are the same for all. */
GRAFT_MUST_USE enum graft_status rows_save_base(const char *path, const struct train_measured *m,
                                                struct error *e);
/* Zero-initialized `rows`; rows_free also after a failure. */
GRAFT_MUST_USE enum graft_status rows_load(const char *path, struct rows *rows, struct error *e);
GRAFT_MUST_USE enum graft_status rows_load_base(const char *path, struct rows *rows,
                                                struct error *e);
void rows_free(struct rows *rows);
GRAFT_MUST_USE enum graft_status rows_score(struct rows *rows, const struct metric_context *context,
                                            int32_t metrics, struct error *e);

/* Seconds to the first token of an answer and for each further one: prompts one by one, as in a
 * chat; medians. NAN where there is no generator. */
struct answer_time {
    double first_token, per_token;
};
GRAFT_MUST_USE enum graft_status rows_time_answers(const struct train_measured *m,
                                                   struct answer_time *time, struct error *e);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The final split row by row, as one model answered it: what the bootstrap pairs and the page shows
 * side by side. Kept beside each run, since a run's own report has the means alone. Metrics are not
 * kept: they follow from the rows.
 */
#ifndef CORE_COMPARE_ROWS_H
#define CORE_COMPARE_ROWS_H

#include "train/train.h"

struct rows {
    const char *split;
    size_t count;
    const char **prompts, **expected; /* [count]; NULL inside where a row has none */
    struct eval_measure measure;      /* scores: rows_score */
    bool has_answers;
    double first_token, per_token; /* seconds; NAN: not measured */
    struct arena arena;
};

/* What `m` measured. Where there is a generator, a few answers are timed, one at a time. */
GRAFT_MUST_USE enum graft_status rows_save(const char *path, const char *split,
                                           const struct train_measured *m, struct error *e);
/* Zero-initialized `rows`; rows_free also after a failure. */
GRAFT_MUST_USE enum graft_status rows_load(const char *path, struct rows *rows, struct error *e);
void rows_free(struct rows *rows);
GRAFT_MUST_USE enum graft_status rows_score(struct rows *rows, const struct metric_context *context,
                                            int32_t metrics, struct error *e);

#endif

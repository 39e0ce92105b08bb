/* SPDX-License-Identifier: Apache-2.0
 *
 * Measured rows as JSON: in a checkpoint, and as rows.jsonl of a run, from which any metric can be
 * computed later without the model.
 */
#ifndef CORE_EVAL_ROWS_H
#define CORE_EVAL_ROWS_H

#include "base/json.h"
#include "base/memory.h"
#include "eval/metric.h"

/* {nll, predicted, answer, ended}; NULL: no memory. What is expected is the data's, not the row's.
 */
json_t *metric_row_json(const struct metric_row *row);
/* The answer is a copy (mem_free). `expected` is left alone. */
GRAFT_MUST_USE enum graft_status metric_row_read(const json_t *object, struct metric_row *row,
                                                 struct error *e);

/* A row of rows.jsonl, with its line end: {file, line, expected, before, after}. */
struct eval_row_line {
    const char *file; /* without its folder */
    uint32_t line;
    const char *expected;                    /* NULL: plain text */
    const struct metric_row *before, *after; /* before NULL: not measured */
};
void eval_row_line(struct str *out, const struct eval_row_line *row);

/* What a rows.jsonl holds, as metric_scores_fill takes it. Zero-initialized. */
struct eval_rows {
    struct metric_row *before, *after; /* [count]; `has_before` false: before is zeros */
    const char **expected;             /* [count]; NULL: plain text */
    size_t count;
    bool has_before;
    struct arena arena; /* holds what is expected */
};
GRAFT_MUST_USE enum graft_status eval_rows_load(const char *path, struct eval_rows *rows,
                                                struct error *e);
void eval_rows_free(struct eval_rows *rows);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows that are measured although they were trained on: said, not refused.
 */
#include "train/trainer.h"

#include "audit/overlap.h"
#include "base/log.h"

/* The rows of a split. */
struct split {
    const char *name;
    const struct data_rows *rows;
};

static enum graft_status warn(struct split split, struct split other, const char *so,
                              struct error *e)
{
    struct data_overlap found;
    enum graft_status status = data_overlap(other.rows, split.rows, &found, e);
    if (status != GRAFT_OK || found.rows.count == 0) return status;
    struct overlap_pair first = found.rows.first[0];
    log_warning("data.%s: %zu of %zu rows stand in data.%s too (the first: %s:%u is %s:%u): %s; "
                "take them out of one",
                split.name, found.rows.count, split.rows->count, other.name,
                data_row_file(split.rows, first.row), split.rows->rows[first.row].line,
                data_row_file(other.rows, first.other), other.rows->rows[first.other].line, so);
    return GRAFT_OK;
}

enum graft_status trainer_warn_leaks(const struct trainer *t, struct error *e)
{
    static const char flattered[] = "measured on them, a model looks better than it is";
    static const char chosen[] = "where valid chooses the best step, test flatters it";
    const struct split train = {"train", &t->rows}, valid = {"valid", &t->valid.rows},
                       test = {"test", &t->final.rows};
    bool has_test = t->settings->data.test != NULL;
    enum graft_status status = GRAFT_OK;
    if (t->has_valid) status = warn(valid, train, flattered, e);
    if (status == GRAFT_OK && has_test) status = warn(test, train, flattered, e);
    if (status == GRAFT_OK && has_test && t->has_valid) status = warn(test, valid, chosen, e);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Measured rows that stand in the training files: whoever memorizes them looks better than it is.
 */
#include "compare/parts.h"

#include "audit/overlap.h"
#include "base/log.h"

static enum graft_status find(const struct data_rows *train, const char *path,
                              struct compare_leak *leak, struct error *e)
{
    struct data_rows rows = {0};
    struct data_overlap found;
    enum graft_status status = data_read(path, &rows, e);
    if (status == GRAFT_OK) status = data_overlap(train, &rows, &found, e);
    if (status == GRAFT_OK) {
        *leak = (struct compare_leak){.rows = found.rows.count, .of = rows.count};
        struct overlap_pair first = found.rows.first[0];
        if (leak->rows != 0)
            snprintf(leak->first, sizeof leak->first, "%s:%u is %s:%u",
                     data_row_file(&rows, first.row), rows.rows[first.row].line,
                     data_row_file(train, first.other), train->rows[first.other].line);
    }
    data_rows_free(&rows);
    return status;
}

/* Of the split that the figures are of. */
static enum graft_status judge(const char *split, bool allowed, const struct compare_leak *leak,
                               struct error *e)
{
    if (leak->rows == 0) return GRAFT_OK;
    if (!allowed)
        return error_set(e, GRAFT_E_INVALID,
                         "data.%s: %zu of %zu rows stand in data.train too (the first: %s); take "
                         "them out of one, or compare with compare.allow_test_in_train: true",
                         split, leak->rows, leak->of, leak->first);
    log_warning("%zu of %zu %s rows stand in data.train too: the figures flatter who memorizes",
                leak->rows, leak->of, split);
    return GRAFT_OK;
}

enum graft_status compare_check_leak(const struct settings *s, bool allowed,
                                     struct compare_leak *leak, struct error *e)
{
    struct data_rows train = {0};
    struct compare_leak chosen = {0};
    bool is_test = s->data.test != NULL;
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; i < s->data.train.count && status == GRAFT_OK; i++)
        status = data_read(s->data.train.items[i], &train, e);
    if (status == GRAFT_OK) status = find(&train, is_test ? s->data.test : s->data.valid, leak, e);
    if (status == GRAFT_OK) status = judge(is_test ? "test" : "valid", allowed, leak, e);
    if (status == GRAFT_OK && is_test && s->data.valid != NULL)
        status = find(&train, s->data.valid, &chosen, e);
    if (status == GRAFT_OK && chosen.rows != 0)
        log_warning("data.valid: %zu of %zu rows stand in data.train too (the first: %s): rates "
                    "chosen by them favour who memorizes; take them out of one",
                    chosen.rows, chosen.of, chosen.first);
    data_rows_free(&train);
    return status;
}

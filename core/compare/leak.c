/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of the final split that stand in the training files: whoever memorizes them looks better
 * than it is.
 */
#include "compare/parts.h"

#include "audit/overlap.h"
#include "base/log.h"

static enum graft_status find(const struct settings *s, const char *path, struct compare_leak *leak,
                              struct error *e)
{
    struct data_rows train = {0}, test = {0};
    struct data_overlap found;
    enum graft_status status = data_read(path, &test, e);
    for (size_t i = 0; i < s->data.train.count && status == GRAFT_OK; i++)
        status = data_read(s->data.train.items[i], &train, e);
    if (status == GRAFT_OK) status = data_overlap(&train, &test, &found, e);
    if (status == GRAFT_OK) {
        *leak = (struct compare_leak){.rows = found.rows.count, .of = test.count};
        struct overlap_pair first = found.rows.first[0];
        if (leak->rows != 0)
            snprintf(leak->first, sizeof leak->first, "%s:%u is %s:%u",
                     data_row_file(&test, first.row), test.rows[first.row].line,
                     data_row_file(&train, first.other), train.rows[first.other].line);
    }
    data_rows_free(&train);
    data_rows_free(&test);
    return status;
}

enum graft_status compare_check_leak(const struct settings *s, bool allowed,
                                     struct compare_leak *leak, struct error *e)
{
    bool is_test = s->data.test != NULL;
    const char *split = is_test ? "test" : "valid";
    enum graft_status status = find(s, is_test ? s->data.test : s->data.valid, leak, e);
    if (status != GRAFT_OK || leak->rows == 0) return status;
    if (!allowed)
        return error_set(e, GRAFT_E_INVALID,
                         "data.%s: %zu of %zu rows stand in data.train too (the first: %s); take "
                         "them out of one, or compare with compare.allow_test_in_train: true",
                         split, leak->rows, leak->of, leak->first);
    log_warning("%zu of %zu %s rows stand in data.train too: the figures flatter who memorizes",
                leak->rows, leak->of, split);
    return GRAFT_OK;
}

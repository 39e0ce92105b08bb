/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of the final split that stand in the training files: whoever memorizes them looks better
 * than it is. Equal means the same roles and texts, byte for byte.
 */
#include "compare/parts.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    unsigned char digest[HASH_SIZE];
    size_t row;
};

static void digest_row(const struct data_row *row, unsigned char digest[HASH_SIZE])
{
    struct hash hash;
    hash_begin(&hash);
    if (row->messages == NULL) hash_add(&hash, row->text, row->text_length);
    for (size_t i = 0; i < row->message_count; i++) {
        hash_add(&hash, row->messages[i].role, strlen(row->messages[i].role) + 1);
        hash_add(&hash, row->messages[i].content, strlen(row->messages[i].content) + 1);
    }
    hash_end(&hash, digest);
}

static int by_digest(const void *a, const void *b)
{
    return memcmp(((const struct entry *)a)->digest, ((const struct entry *)b)->digest, HASH_SIZE);
}

static enum graft_status count_rows(const struct data_rows *train, const struct data_rows *test,
                                    struct compare_leak *leak, struct error *e)
{
    struct entry *entries = mem_zalloc(train->count, sizeof *entries);
    if (entries == NULL) return error_memory(e, "rows", train->count * sizeof *entries);
    for (size_t i = 0; i < train->count; i++) {
        digest_row(&train->rows[i], entries[i].digest);
        entries[i].row = i;
    }
    if (train->count != 0) qsort(entries, train->count, sizeof *entries, by_digest);
    *leak = (struct compare_leak){.of = test->count};
    for (size_t i = 0; i < test->count && train->count != 0; i++) {
        struct entry key;
        digest_row(&test->rows[i], key.digest);
        const struct entry *found =
            bsearch(&key, entries, train->count, sizeof *entries, by_digest);
        if (found == NULL || leak->rows++ != 0) continue;
        snprintf(leak->first, sizeof leak->first, "%s:%u is %s:%u", data_row_file(test, i),
                 test->rows[i].line, data_row_file(train, found->row),
                 train->rows[found->row].line);
    }
    mem_free(entries);
    return GRAFT_OK;
}

enum graft_status compare_find_leak(const struct settings *s, struct compare_leak *leak,
                                    struct error *e)
{
    struct data_rows train = {0}, test = {0};
    const char *path = s->data.test != NULL ? s->data.test : s->data.valid;
    enum graft_status status = data_read(path, &test, e);
    for (size_t i = 0; i < s->data.train.count && status == GRAFT_OK; i++)
        status = data_read(s->data.train.items[i], &train, e);
    if (status == GRAFT_OK) status = count_rows(&train, &test, leak, e);
    data_rows_free(&train);
    data_rows_free(&test);
    return status;
}

enum graft_status compare_check_leak(const struct settings *s, bool allowed,
                                     struct compare_leak *leak, struct error *e)
{
    const char *split = s->data.test != NULL ? "test" : "valid";
    enum graft_status status = compare_find_leak(s, leak, e);
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

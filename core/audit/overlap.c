/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows by the hashes of what they say.
 */
#include "audit/overlap.h"

#include "audit/repair.h"
#include "audit/seen.h"

#include <string.h>

/* Three forms of a row. A plain text has no question. */
struct row_keys {
    struct seen_key whole, loose, question;
    bool has_question;
};

struct forms {
    struct str exact, loose;
};

static void add_text(struct forms *f, const char *role, const char *text, size_t length)
{
    size_t at;
    str_puts(&f->exact, role);
    str_putc(&f->exact, '\0');
    str_puts(&f->loose, role);
    str_putc(&f->loose, '\0');
    at = f->exact.length;
    text_squeeze(text, length, &f->exact);
    if (!f->exact.failed) text_loosen(f->exact.data + at, f->exact.length - at, &f->loose);
    str_putc(&f->exact, '\0');
    str_putc(&f->loose, '\0');
}

static enum graft_status make_keys(const struct data_row *row, struct forms *f,
                                   struct row_keys *keys, struct error *e)
{
    str_clear(&f->exact);
    str_clear(&f->loose);
    keys->has_question = row->messages != NULL && row->message_count > 1;
    if (row->messages == NULL) add_text(f, "text", row->text, row->text_length);
    for (size_t i = 0; i < row->message_count; i++) {
        const struct chat_message *m = &row->messages[i];
        if (i + 1 == row->message_count && !f->exact.failed && f->exact.length != 0)
            keys->question = seen_key_of(f->exact.data, f->exact.length, 0);
        add_text(f, m->role, m->content, m->length);
    }
    if (f->exact.failed || f->loose.failed) return error_memory(e, "a row", f->exact.length);
    keys->whole = seen_key_of(f->exact.data, f->exact.length, 0);
    keys->loose = seen_key_of(f->loose.data, f->loose.length, 0);
    return GRAFT_OK;
}

static void forms_free(struct forms *f)
{
    str_free(&f->exact);
    str_free(&f->loose);
}

static void count(struct overlap_count *c, size_t row, const struct seen_entry *other)
{
    if (c->count < OVERLAP_LISTED) c->first[c->count] = (struct overlap_pair){row, other->line - 1};
    c->count++;
}

/* Adds what is not there; the entry's line is the row's number from 1. */
static enum graft_status add(struct seen *s, struct seen_key key, size_t row, struct error *e)
{
    if (seen_find(s, key) != NULL) return GRAFT_OK;
    return seen_add(s, key, (uint32_t)row + 1, 0, e);
}

struct sets {
    struct seen whole, loose, question;
};

static void sets_free(struct sets *s)
{
    seen_free(&s->whole);
    seen_free(&s->loose);
    seen_free(&s->question);
}

static enum graft_status add_row(struct sets *s, const struct row_keys *keys, size_t row,
                                 struct error *e)
{
    enum graft_status status = add(&s->whole, keys->whole, row, e);
    if (status == GRAFT_OK) status = add(&s->loose, keys->loose, row, e);
    if (status == GRAFT_OK && keys->has_question)
        status = add(&s->question, keys->question, row, e);
    return status;
}

enum graft_status data_overlap(const struct data_rows *trained, const struct data_rows *tested,
                               struct data_overlap *out, struct error *e)
{
    struct data_overlap found = {0};
    struct sets sets = {0};
    struct forms forms = {0};
    struct row_keys keys;
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; status == GRAFT_OK && i < trained->count; i++) {
        status = make_keys(&trained->rows[i], &forms, &keys, e);
        if (status == GRAFT_OK) status = add_row(&sets, &keys, i, e);
    }
    for (size_t i = 0; status == GRAFT_OK && i < tested->count; i++) {
        const struct seen_entry *other;
        status = make_keys(&tested->rows[i], &forms, &keys, e);
        if (status != GRAFT_OK) break;
        if ((other = seen_find(&sets.whole, keys.whole)) != NULL)
            count(&found.rows, i, other);
        else if (keys.has_question && (other = seen_find(&sets.question, keys.question)) != NULL)
            count(&found.questions, i, other);
    }
    sets_free(&sets);
    forms_free(&forms);
    if (status == GRAFT_OK) *out = found;
    return status;
}

enum graft_status data_repeats(const struct data_rows *rows, struct data_repeats *out,
                               struct error *e)
{
    struct data_repeats found = {0};
    struct sets sets = {0};
    struct forms forms = {0};
    struct row_keys keys;
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; status == GRAFT_OK && i < rows->count; i++) {
        const struct seen_entry *other;
        status = make_keys(&rows->rows[i], &forms, &keys, e);
        if (status != GRAFT_OK) break;
        if ((other = seen_find(&sets.whole, keys.whole)) != NULL)
            count(&found.duplicates, i, other);
        else if (keys.has_question && (other = seen_find(&sets.question, keys.question)) != NULL)
            count(&found.conflicts, i, other);
        else if ((other = seen_find(&sets.loose, keys.loose)) != NULL)
            count(&found.near, i, other);
        status = add_row(&sets, &keys, i, e);
    }
    sets_free(&sets);
    forms_free(&forms);
    if (status == GRAFT_OK) *out = found;
    return status;
}

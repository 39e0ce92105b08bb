/* SPDX-License-Identifier: Apache-2.0
 *
 * Files to rows, and what is wrong with a record by itself.
 */
#include "audit/parts.h"

#include "audit/record.h"
#include "audit/repair.h"

#include <stdio.h>
#include <string.h>

enum { POLL = 256 };

struct reading {
    struct audit *audit;
    struct audit_split *split;
    const char *path;
    struct raw raw;
    struct data_feed *feed;
};

static void found(struct reading *r, enum audit_kind kind, const char *detail)
{
    struct audit_place place = {r->path, r->raw.record.line};
    audit_add(r->split, kind, place, (struct audit_place){0}, detail);
}

/* What holds of any text of the record, once. */
static void look_at_texts(struct reading *r)
{
    static const struct {
        enum rule rule;
        enum audit_kind kind;
    } kinds[] = {
        {RULE_REPLACEMENT_CHAR, AUDIT_REPLACEMENT_CHAR},
        {RULE_CONTROL_CHARS, AUDIT_CONTROL_CHARS},
        {RULE_HTML, AUDIT_HTML},
        {RULE_WHITESPACE, AUDIT_WHITESPACE},
    };
    const struct record *record = &r->raw.record;
    unsigned faults = 0;
    bool mojibake = false;
    for (const struct record_text *t = record->texts; t < record->texts + record->text_count; t++) {
        if (t->value == NULL) continue;
        const char *text = json_string_value(t->value);
        faults |= text_faults(text, json_string_length(t->value));
        mojibake = mojibake || text_is_mojibake(text, json_string_length(t->value));
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((faults & RULE_BIT(kinds[i].rule)) != 0) found(r, kinds[i].kind, NULL);
    if (mojibake) found(r, AUDIT_MOJIBAKE, NULL);
}

/* Is a question or an answer empty, or empty to the eye? */
static bool is_empty(const struct record *record, enum text_role role)
{
    for (const struct record_text *t = record->texts; t < record->texts + record->text_count; t++)
        if (t->role == role && (t->value == NULL || text_is_blank(json_string_value(t->value),
                                                                  json_string_length(t->value))))
            return true;
    return false;
}

static bool holds_nul(const struct record *record)
{
    for (const struct record_text *t = record->texts; t < record->texts + record->text_count; t++)
        if (t->value != NULL && strlen(json_string_value(t->value)) != json_string_length(t->value))
            return true;
    return false;
}

static bool is_ascii(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)bytes[i] >= 0x80) return false;
    return true;
}

static enum graft_status look_at_record(struct reading *r, struct error *e)
{
    struct record *record = &r->raw.record;
    struct error why = {0};
    if (record->encoding != ENCODING_UTF8 && !is_ascii(record->bytes, record->length))
        found(r, AUDIT_ENCODING,
              record->fault == RULE_BAD_ENCODING ? record->detail
                                                 : encoding_name(record->encoding));
    if (record->fault != RULES) {
        if (record->fault != RULE_BAD_ENCODING) found(r, AUDIT_BAD_ROW, record->detail);
        return GRAFT_OK;
    }
    look_at_texts(r);
    if (is_empty(record, TEXT_QUESTION)) found(r, AUDIT_EMPTY_QUESTION, NULL);
    if (is_empty(record, TEXT_ANSWER)) {
        found(r, AUDIT_EMPTY_ANSWER, NULL);
        return GRAFT_OK;
    }
    if (holds_nul(record)) {
        found(r, AUDIT_BAD_ROW, "binary: a NUL in a text");
        return GRAFT_OK;
    }
    enum graft_status status = data_feed_add(r->feed, record->object, record->line, &why);
    if (status == GRAFT_E_INVALID) {
        if (is_empty(record, TEXT_QUESTION)) /* and the trainer will not have it */
            r->split->findings[AUDIT_EMPTY_QUESTION].severity = AUDIT_ERROR;
        else
            found(r, AUDIT_BAD_ROW, why.text);
        return GRAFT_OK;
    }
    if (status != GRAFT_OK && e != NULL) *e = why;
    return status;
}

static enum graft_status read_records(struct reading *r, struct error *e)
{
    for (bool more = true;;) {
        enum graft_status status = raw_next(&r->raw, &more, e);
        if (status != GRAFT_OK || !more) return status;
        status = look_at_record(r, e);
        if (status != GRAFT_OK) return status;
        if (++r->split->records % POLL == 0 && r->audit->stop != NULL && r->audit->stop(NULL))
            return error_set(e, GRAFT_E_INTERRUPTED, "stopped");
    }
}

static enum graft_status read_file(struct reading *r, struct error *e)
{
    size_t before = r->split->records;
    enum graft_status status = raw_open(r->path, &r->raw, e);
    if (status != GRAFT_OK) return status;
    if (r->path == r->split->files[0]) r->split->encoding = r->raw.encoding;
    if (stream_has_mark(r->raw.stream))
        audit_add(r->split, AUDIT_BYTE_ORDER_MARK, (struct audit_place){r->path, 1},
                  (struct audit_place){0}, NULL);
    status = data_feed_begin(r->path, &r->split->rows, &r->feed, e);
    if (status != GRAFT_OK) return status;
    status = read_records(r, e);
    size_t skipped = data_feed_end(r->feed);
    for (size_t i = 0; i < skipped; i++)
        audit_add(r->split, AUDIT_LEADING_ANSWER, (struct audit_place){r->path, 1},
                  (struct audit_place){0}, NULL);
    if (status == GRAFT_OK && r->split->records == before)
        status = error_set(e, GRAFT_E_INVALID, "%s: no rows: the file is blank", r->path);
    return status;
}

enum graft_status audit_read(struct audit *audit, struct audit_split *split, struct error *e)
{
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; status == GRAFT_OK && i < split->file_count; i++) {
        struct reading r = {.audit = audit, .split = split, .path = split->files[i]};
        status = read_file(&r, e);
        raw_close(&r.raw);
    }
    return status;
}

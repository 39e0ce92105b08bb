/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes to records: the encoding, then JSON or the fields of a CSV.
 */
#include "audit/record.h"

#include "base/memory.h"
#include "data/csv.h"

#include <stdio.h>
#include <string.h>

static enum graft_status find_encoding(struct raw *s, struct error *e)
{
    struct encoding_evidence evidence = {0};
    struct piece line;
    for (;;) {
        enum graft_status status = stream_next_line(s->stream, &line, e);
        if (status != GRAFT_OK || line.bytes == NULL) {
            s->encoding = encoding_of(&evidence);
            return status == GRAFT_OK ? stream_rewind(s->stream, e) : status;
        }
        status = decoder_look(s->decoder, line.bytes, line.length, &evidence, e);
        if (status != GRAFT_OK) return status;
    }
}

static void set_fault(struct record *r, enum rule rule, const char *detail)
{
    r->fault = rule;
    snprintf(r->detail, sizeof r->detail, "%.*s", RECORD_DETAIL - 1, detail);
}

/* What is Latin-1 but for characters that only Windows-1252 has is most likely that. */
static bool may_be_windows_1252(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c >= 0x80 && c < 0xA0 && windows_1252(c) == c) return false;
    }
    return true;
}

static enum graft_status decode(struct raw *s, struct error *e)
{
    struct record *r = &s->record;
    r->encoding = s->encoding;
    if (s->encoding == ENCODING_NONE) {
        enum graft_status status = decoder_find(s->decoder, r->bytes, r->length, &r->encoding, e);
        if (status != GRAFT_OK) return status;
    }
    str_clear(&r->text);
    if (r->encoding == ENCODING_NONE) {
        set_fault(r, RULE_BAD_ENCODING,
                  may_be_windows_1252(r->bytes, r->length)
                      ? "neither UTF-8 nor GBK nor Latin-1; if it is Windows-1252: iconv -f "
                        "WINDOWS-1252 -t UTF-8"
                      : "neither UTF-8 nor GBK nor Latin-1");
        return GRAFT_OK;
    }
    return decoder_read(s->decoder, r->encoding, r->bytes, r->length, &r->text, e);
}

static enum graft_status parse_json(struct record *r, struct error *e)
{
    json_error_t fault;
    r->mark = r->text.length >= 3 && memcmp(r->text.data, "\xEF\xBB\xBF", 3) == 0;
    const char *text = r->text.data + (r->mark ? 3 : 0);
    size_t length = r->text.length - (r->mark ? 3 : 0);
    json_decref(r->object);
    r->object =
        json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &fault);
    if (r->object == NULL) {
        if (json_error_code(&fault) == json_error_out_of_memory || fault.text[0] == '\0')
            return error_memory(e, "a record", length);
        snprintf(r->detail, sizeof r->detail, "not valid JSON at column %d: %.120s", fault.column,
                 fault.text);
        r->fault = RULE_BAD_RECORD;
    } else if (!json_is_object(r->object)) {
        set_fault(r, RULE_BAD_RECORD, "no JSON object");
    }
    return GRAFT_OK;
}

static enum graft_status fields_to_object(const struct csv *c, const json_t *names, json_t *object,
                                          struct error *e)
{
    for (size_t i = 0; i < c->count; i++) {
        size_t end = i + 1 < c->count ? c->begin[i + 1] : c->text.length;
        json_t *text = json_stringn_nocheck(c->text.data + c->begin[i], end - c->begin[i] - 1);
        const char *name = json_string_value(json_array_get(names, i));
        if (json_object_set_new_nocheck(object, name, text) != 0)
            return error_memory(e, "a record", c->text.length);
    }
    return GRAFT_OK;
}

static enum graft_status parse_csv(struct raw *s, struct error *e)
{
    struct record *r = &s->record;
    struct error why = {0};
    struct csv c = {.path = s->path, .p = r->text.data, .line = r->line};
    c.end = c.p + r->text.length;
    enum graft_status status = csv_next(&c, &why);
    if (status == GRAFT_E_INVALID) {
        const char *text = strstr(why.text, "not valid CSV");
        set_fault(r, RULE_BAD_RECORD, text != NULL ? text : why.text);
        status = GRAFT_OK;
    } else if (status != GRAFT_OK) {
        if (e != NULL) *e = why;
    } else if (c.count != json_array_size(s->names)) {
        snprintf(r->detail, sizeof r->detail, "%zu fields where the first line names %zu", c.count,
                 json_array_size(s->names));
        r->fault = RULE_BAD_RECORD;
    } else {
        json_decref(r->object);
        r->object = json_object();
        status = r->object != NULL ? fields_to_object(&c, s->names, r->object, e)
                                   : error_memory(e, "a record", r->text.length);
    }
    csv_free(&c);
    return status;
}

/* Takes one piece of the stream into s->record. */
static enum graft_status take(struct raw *s, const struct piece *piece, struct error *e)
{
    struct record *r = &s->record;
    json_decref(r->object);
    r->object = NULL;
    r->line = piece->line;
    r->bytes = piece->bytes;
    r->length = piece->length;
    r->fault = RULES;
    r->detail[0] = '\0';
    r->mark = false;
    r->text_count = 0;
    enum graft_status status = decode(s, e);
    if (status == GRAFT_OK && r->fault == RULES && piece->fault != NULL)
        set_fault(r, RULE_BAD_RECORD, piece->fault);
    return status;
}

static enum graft_status read_names(struct raw *s, struct error *e)
{
    struct piece piece;
    struct record *r = &s->record;
    enum graft_status status = stream_next(s->stream, &piece, e);
    if (status != GRAFT_OK) return status;
    if (piece.bytes == NULL)
        return error_set(e, GRAFT_E_INVALID, "%s: no rows: the file is blank", s->path);
    if ((s->names = json_array()) == NULL) return error_memory(e, s->path, sizeof *s->names);
    status = take(s, &piece, e);
    if (status != GRAFT_OK) return status;
    if (r->fault != RULES)
        return error_set(e, GRAFT_E_INVALID, "%s:%u: the names of the columns: %s", s->path,
                         r->line, r->detail);
    struct csv c = {.path = s->path, .p = r->text.data, .line = r->line};
    c.end = c.p + r->text.length;
    status = csv_names(&c, s->names, e);
    csv_free(&c);
    return status;
}

static enum graft_status open_parts(struct raw *s, struct error *e)
{
    enum graft_status status = stream_open(s->path, &s->stream, e);
    if (status == GRAFT_OK) status = decoder_create(&s->decoder, e);
    if (status == GRAFT_OK) status = find_encoding(s, e);
    if (status == GRAFT_OK && stream_kind(s->stream) == STREAM_CSV) status = read_names(s, e);
    return status;
}

enum graft_status raw_open(const char *path, struct raw *raw, struct error *e)
{
    struct raw s = {.path = path};
    enum graft_status status = open_parts(&s, e);
    if (status != GRAFT_OK) {
        raw_close(&s);
        return status;
    }
    *raw = s;
    return GRAFT_OK;
}

void raw_close(struct raw *s)
{
    json_decref(s->record.object);
    str_free(&s->record.text);
    mem_free(s->record.texts);
    json_decref(s->names);
    decoder_destroy(s->decoder);
    stream_close(s->stream);
    *s = (struct raw){0};
}

enum graft_status raw_next(struct raw *s, bool *more, struct error *e)
{
    struct piece piece;
    enum graft_status status = stream_next(s->stream, &piece, e);
    if (status != GRAFT_OK) return status;
    *more = piece.bytes != NULL;
    if (!*more) return GRAFT_OK;
    s->record.number++;
    status = take(s, &piece, e);
    if (status == GRAFT_OK && s->record.fault == RULES)
        status = stream_kind(s->stream) == STREAM_CSV ? parse_csv(s, e) : parse_json(&s->record, e);
    if (status == GRAFT_OK && s->record.fault == RULES) status = record_find_texts(&s->record, e);
    return status;
}

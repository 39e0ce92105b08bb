/* SPDX-License-Identifier: Apache-2.0
 *
 * One record after the other through the rules: dropped, repaired or passed on.
 */
#include "audit/clean.h"

#include "audit/record.h"
#include "audit/repair.h"
#include "audit/seen.h"
#include "base/memory.h"
#include "file/atomic.h"
#include "file/paths.h"

#include <stdio.h>
#include <string.h>

enum { FLUSH = 1 << 16, POLL = 256 };

struct cleaning {
    const struct clean_request *request;
    struct clean_result *result;
    struct raw raw;
    struct seen exact, near;
    struct atomic_file *output, *list;
    struct str rows, entries;                 /* not yet written */
    struct str key, loose, scratch, repaired; /* of one record */
    /* what happens to the record at hand */
    unsigned repairs; /* RULE_BITs */
    enum rule drop;   /* RULES: it is kept */
    char detail[RECORD_DETAIL];
    uint32_t original; /* line of the record that a duplicate repeats */
};

static void drop(struct cleaning *c, enum rule rule, const char *detail)
{
    c->drop = rule;
    snprintf(c->detail, sizeof c->detail, "%.*s", RECORD_DETAIL - 1, detail);
}

static bool applies(const struct cleaning *c, enum rule rule)
{
    return (c->request->keep & RULE_BIT(rule)) == 0;
}

/* ---- the rules that look at one record ---- */

static enum graft_status repair_texts(struct cleaning *c, struct error *e)
{
    const unsigned repairs =
        RULE_BIT(RULE_HTML) | RULE_BIT(RULE_CONTROL_CHARS) | RULE_BIT(RULE_WHITESPACE);
    struct record *r = &c->raw.record;
    for (struct record_text *t = r->texts; t < r->texts + r->text_count; t++) {
        if (t->value == NULL) continue;
        const char *text = json_string_value(t->value);
        size_t length = json_string_length(t->value);
        unsigned faults = text_faults(text, length) & ~c->request->keep;
        if ((faults & RULE_BIT(RULE_REPLACEMENT_CHAR)) != 0) {
            drop(c, RULE_REPLACEMENT_CHAR, t->key);
            return GRAFT_OK;
        }
        if ((faults & repairs) == 0) continue;
        c->repairs |= faults & repairs;
        text_repair(text, length, faults & repairs, &c->scratch, &c->repaired);
        if (c->repaired.failed || c->scratch.failed ||
            json_string_setn_nocheck(t->value, c->repaired.data, c->repaired.length) != 0)
            return error_memory(e, "a record", length);
    }
    return GRAFT_OK;
}

static bool is_empty(const struct record_text *t)
{
    return t->value == NULL ||
           text_is_blank(json_string_value(t->value), json_string_length(t->value));
}

static void drop_empty(struct cleaning *c)
{
    static const struct {
        enum text_role role;
        enum rule rule;
    } needed[] = {{TEXT_QUESTION, RULE_EMPTY_INSTRUCTION}, {TEXT_ANSWER, RULE_EMPTY_OUTPUT}};
    const struct record *r = &c->raw.record;
    for (size_t i = 0; i < 2; i++)
        for (const struct record_text *t = r->texts; t < r->texts + r->text_count; t++)
            if (c->drop == RULES && t->role == needed[i].role && applies(c, needed[i].rule) &&
                is_empty(t))
                drop(c, needed[i].rule, t->key);
}

static void drop_long(struct cleaning *c)
{
    const struct record *r = &c->raw.record;
    size_t most = c->request->longest;
    if (most == 0 || !applies(c, RULE_TOO_LONG)) return;
    for (const struct record_text *t = r->texts; t < r->texts + r->text_count; t++) {
        size_t bytes = t->value != NULL ? json_string_length(t->value) : 0;
        if (bytes <= most) continue;
        size_t characters = text_count(json_string_value(t->value), bytes);
        if (characters <= most) continue;
        char detail[RECORD_DETAIL];
        snprintf(detail, sizeof detail, "%s: %zu characters, at most %zu", t->key, characters,
                 most);
        drop(c, RULE_TOO_LONG, detail);
        return;
    }
}

/* ---- the rules that compare records ---- */

/* The texts as they came and their encoding: tells a plain repetition from one that repairs have
 * brought out. */
static uint64_t mark_of(const struct record *r)
{
    uint64_t mark = (uint64_t)r->encoding;
    for (const struct record_text *t = r->texts; t < r->texts + r->text_count; t++)
        mark = seen_key_of(t->value != NULL ? json_string_value(t->value) : "",
                           t->value != NULL ? json_string_length(t->value) : 0, mark)
                   .word[0];
    return mark;
}

/* The record's texts as they are compared, exactly and loosely: who says what, without the extras
 * that say nothing. */
static enum graft_status make_keys(struct cleaning *c, struct seen_key *exact,
                                   struct seen_key *near, struct error *e)
{
    static const char roles[] = "QXA";
    const struct record *r = &c->raw.record;
    str_clear(&c->key);
    str_clear(&c->loose);
    for (const struct record_text *t = r->texts; t < r->texts + r->text_count; t++) {
        if (is_empty(t)) continue;
        str_putc(&c->key, roles[t->role]);
        str_putc(&c->loose, roles[t->role]);
        size_t at = c->key.length;
        text_squeeze(json_string_value(t->value), json_string_length(t->value), &c->key);
        if (!c->key.failed) text_loosen(c->key.data + at, c->key.length - at, &c->loose);
        str_putc(&c->key, '\0');
        str_putc(&c->loose, '\0');
    }
    if (c->key.failed || c->loose.failed) return error_memory(e, "a record", c->key.length);
    *exact = seen_key_of(c->key.data, c->key.length, 0);
    *near = seen_key_of(c->loose.data, c->loose.length, 0);
    return GRAFT_OK;
}

static enum graft_status drop_repeated(struct cleaning *c, uint64_t mark, struct error *e)
{
    const struct record *r = &c->raw.record;
    struct seen_key exact, near;
    enum graft_status status = make_keys(c, &exact, &near, e);
    if (status != GRAFT_OK) return status;
    const struct seen_entry *first = seen_find(&c->exact, exact);
    if (first != NULL) {
        enum rule rule = first->mark == mark ? RULE_DUPLICATE : RULE_DUPLICATE_AFTER_REPAIR;
        if (!applies(c, rule)) return GRAFT_OK;
        c->original = first->line;
        drop(c, rule, "");
        return GRAFT_OK;
    }
    const struct seen_entry *like = seen_find(&c->near, near);
    if (like != NULL && c->request->near_duplicates) {
        c->original = like->line;
        drop(c, RULE_NEAR_DUPLICATE, "");
        return GRAFT_OK;
    }
    if (like != NULL) {
        struct clean_found *kept = &c->result->found[RULE_NEAR_DUPLICATE];
        if (kept->count < CLEAN_LISTED) kept->lines[kept->count] = r->line;
        kept->count++;
    } else {
        status = seen_add(&c->near, near, r->line, 0, e);
    }
    return status == GRAFT_OK ? seen_add(&c->exact, exact, r->line, mark, e) : status;
}

static enum graft_status judge(struct cleaning *c, struct error *e)
{
    const struct record *r = &c->raw.record;
    c->repairs = 0;
    c->drop = RULES;
    c->detail[0] = '\0';
    c->original = 0;
    if (r->fault != RULES) {
        drop(c, r->fault, r->detail);
        return GRAFT_OK;
    }
    uint64_t mark = mark_of(r);
    enum graft_status status = repair_texts(c, e);
    if (status != GRAFT_OK) return status;
    if (r->mark) c->repairs |= RULE_BIT(RULE_CONTROL_CHARS);
    if (c->raw.encoding == ENCODING_NONE && r->encoding == ENCODING_GBK)
        c->repairs |= RULE_BIT(RULE_GBK);
    if (c->raw.encoding == ENCODING_NONE && r->encoding == ENCODING_LATIN1)
        c->repairs |= RULE_BIT(RULE_LATIN1);
    if (c->drop == RULES) drop_empty(c);
    if (c->drop == RULES) drop_long(c);
    return c->drop == RULES ? drop_repeated(c, mark, e) : GRAFT_OK;
}

/* ---- what is written ---- */

static enum graft_status flush(struct atomic_file *file, struct str *text, size_t least,
                               struct error *e)
{
    if (text->failed) return error_memory(e, "a record", text->length);
    if (file == NULL || text->length <= least) return GRAFT_OK;
    enum graft_status status = atomic_write(file, text->data, text->length, e);
    str_clear(text);
    return status;
}

/* {"line":12,"record":11,"id":"T7","action":"drop","reasons":["duplicate"],"of":3} */
static void list_record(struct cleaning *c)
{
    const struct record *r = &c->raw.record;
    struct str *out = &c->entries;
    const json_t *id = json_object_get(r->object, "id");
    bool first = true;
    str_printf(out, "{\"line\":%u,\"record\":%u", r->line, r->number);
    if (json_is_string(id) || json_is_integer(id)) {
        str_puts(out, ",\"id\":");
        json_write(out, id, 0, false);
    }
    str_printf(out, ",\"action\":\"%s\",\"reasons\":[", c->drop != RULES ? "drop" : "repair");
    for (enum rule i = 0; i < RULES; i++) {
        if (c->drop != RULES ? i != c->drop : (c->repairs & RULE_BIT(i)) == 0) continue;
        str_printf(out, "%s\"%s\"", first ? "" : ",", rules[i].name);
        first = false;
    }
    str_putc(out, ']');
    if (c->original != 0) str_printf(out, ",\"of\":%u", c->original);
    if (c->detail[0] != '\0') {
        str_puts(out, ",\"detail\":");
        json_write_string(out, c->detail, strlen(c->detail));
    }
    str_puts(out, "}\n");
}

static void count(struct clean_result *result, enum rule rule, uint32_t line)
{
    struct clean_found *found = &result->found[rule];
    if (found->count < CLEAN_LISTED) found->lines[found->count] = line;
    found->count++;
}

/* A record that was right is written as it stood. */
static void write_row(struct cleaning *c)
{
    const struct record *r = &c->raw.record;
    if (c->result->kind == STREAM_LINES && c->repairs == 0)
        str_add(&c->rows, r->text.data, r->text.length);
    else
        json_write(&c->rows, r->object, 0, false);
    str_putc(&c->rows, '\n');
}

static enum graft_status settle(struct cleaning *c, struct error *e)
{
    struct clean_result *result = c->result;
    uint32_t line = c->raw.record.line;
    result->records++;
    if (c->drop != RULES) {
        result->dropped++;
        count(result, c->drop, line);
    } else {
        result->kept++;
        result->repaired += c->repairs != 0;
        for (enum rule i = 0; i < RULES; i++)
            if ((c->repairs & RULE_BIT(i)) != 0) count(result, i, line);
        write_row(c);
    }
    if (c->list != NULL && (c->drop != RULES || c->repairs != 0)) list_record(c);
    enum graft_status status = flush(c->output, &c->rows, FLUSH, e);
    return status == GRAFT_OK ? flush(c->list, &c->entries, FLUSH, e) : status;
}

static enum graft_status clean_records(struct cleaning *c, struct error *e)
{
    for (;;) {
        bool more = false;
        enum graft_status status = raw_next(&c->raw, &more, e);
        if (status != GRAFT_OK || !more) return status;
        status = judge(c, e);
        if (status == GRAFT_OK) status = settle(c, e);
        if (status != GRAFT_OK) return status;
        if (c->result->records % POLL == 0 && c->request->stop != NULL && c->request->stop(NULL))
            return error_set(e, GRAFT_E_INTERRUPTED, "stopped: nothing was written");
    }
}

static enum graft_status check_left(const struct cleaning *c, struct error *e)
{
    const struct clean_result *result = c->result;
    if (result->kept != 0) return GRAFT_OK;
    if (result->records == 0)
        return error_set(e, GRAFT_E_INVALID, "%s: no rows: the file is blank", c->request->input);
    enum rule most = 0;
    for (enum rule i = 0; i < RULES; i++)
        if (rules[i].drops && result->found[i].count > result->found[most].count) most = i;
    return error_set(e, GRAFT_E_INVALID,
                     "%s:%u: no record is left of %zu; %zu are dropped as %s (%s)%s%s",
                     c->request->input, result->found[most].lines[0], result->records,
                     result->found[most].count, rules[most].name, rules[most].finds,
                     c->drop == most && c->detail[0] != '\0' ? "; the last one: " : "",
                     c->drop == most ? c->detail : "");
}

/* The list first: rows never lie there without the account of how they came about. */
static enum graft_status commit(struct cleaning *c, struct error *e)
{
    enum graft_status status = flush(c->output, &c->rows, 0, e);
    if (status == GRAFT_OK) status = flush(c->list, &c->entries, 0, e);
    if (status == GRAFT_OK && c->list != NULL) {
        struct atomic_file *list = c->list;
        c->list = NULL;
        status = atomic_commit(list, e);
    }
    if (status != GRAFT_OK) return status;
    struct atomic_file *output = c->output;
    c->output = NULL;
    return atomic_commit(output, e);
}

/* The file's folder is made if need be. */
static enum graft_status begin_file(const char *path, struct atomic_file **file, struct error *e)
{
    char *folder = path_parent(path);
    if (folder == NULL) return error_memory(e, "a file name", 0);
    enum graft_status status = folder_make(folder, e);
    mem_free(folder);
    return status == GRAFT_OK ? atomic_begin(path, file, e) : status;
}

static enum graft_status clean(struct cleaning *c, struct error *e)
{
    const struct clean_request *q = c->request;
    enum graft_status status = raw_open(q->input, &c->raw, e);
    if (status != GRAFT_OK) return status;
    c->result->encoding = c->raw.encoding;
    c->result->kind = stream_kind(c->raw.stream);
    status = begin_file(q->output, &c->output, e);
    if (status == GRAFT_OK && q->dropped != NULL) status = begin_file(q->dropped, &c->list, e);
    if (status == GRAFT_OK) status = clean_records(c, e);
    if (status == GRAFT_OK) status = check_left(c, e);
    return status == GRAFT_OK ? commit(c, e) : status;
}

enum graft_status clean_file(const struct clean_request *request, struct clean_result *result,
                             struct error *e)
{
    *result = (struct clean_result){0};
    struct cleaning c = {.request = request, .result = result};
    enum graft_status status = clean(&c, e);
    atomic_abort(c.output);
    atomic_abort(c.list);
    raw_close(&c.raw);
    seen_free(&c.exact);
    seen_free(&c.near);
    str_free(&c.rows);
    str_free(&c.entries);
    str_free(&c.key);
    str_free(&c.loose);
    str_free(&c.scratch);
    str_free(&c.repaired);
    return status;
}

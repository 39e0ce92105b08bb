/* SPDX-License-Identifier: Apache-2.0
 *
 * CSV as RFC 4180 has it: commas, double quotes, "" for a quote, line breaks inside quotes, CRLF
 * or LF, the first line names the columns. A line becomes a record like any other.
 */
#include "data/csv.h"

#include "data/parts.h"

#include <string.h>

static enum graft_status fault(struct csv *c, uint32_t line, struct error *e, const char *what)
{
    return error_set(e, GRAFT_E_INVALID, "%s:%u: not valid CSV: %s", c->path, line, what);
}

static enum graft_status quoted_field(struct csv *c, struct error *e)
{
    uint32_t opened = c->line;
    for (c->p++; c->p < c->end; c->p++) {
        const char *run = c->p;
        for (; c->p < c->end && *c->p != '"'; c->p++) c->line += *c->p == '\n';
        bool doubled = c->end - c->p > 1 && c->p[1] == '"';
        c->p += doubled;
        str_add(&c->text, run, (size_t)(c->p - run)); /* of two quotes the first */
        if (!doubled) break;
    }
    if (c->p == c->end) return fault(c, opened, e, "the quote that opens here is not closed");
    c->p++;
    bool ends = c->p == c->end || *c->p == ',' || *c->p == '\n' ||
                (*c->p == '\r' && c->p + 1 < c->end && c->p[1] == '\n');
    return ends ? GRAFT_OK : fault(c, c->line, e, "text after a closing quote");
}

static enum graft_status plain_field(struct csv *c, struct error *e)
{
    const char *start = c->p;
    while (c->p < c->end && *c->p != ',' && *c->p != '\n') {
        if (*c->p == '"')
            return fault(c, c->line, e, "a quote inside a field that does not begin with one");
        c->p++;
    }
    size_t length = (size_t)(c->p - start);
    if (length != 0 && start[length - 1] == '\r' && (c->p == c->end || *c->p == '\n')) length--;
    str_add(&c->text, start, length);
    return GRAFT_OK;
}

static enum graft_status next_field(struct csv *c, struct error *e)
{
    if (!array_reserve(&c->begin, &c->capacity, c->count + 1, sizeof *c->begin))
        return error_memory(e, c->path, (c->count + 1) * sizeof *c->begin);
    c->begin[c->count++] = c->text.length;
    bool quoted = c->p < c->end && *c->p == '"';
    enum graft_status status = quoted ? quoted_field(c, e) : plain_field(c, e);
    str_putc(&c->text, '\0');
    if (status == GRAFT_OK && c->text.failed) status = error_memory(e, c->path, c->text.length);
    return status;
}

static void skip_blank_lines(struct csv *c)
{
    while (c->p < c->end) {
        bool crlf = *c->p == '\r' && c->p + 1 < c->end && c->p[1] == '\n';
        if (*c->p != '\n' && !crlf) break;
        c->p += crlf ? 2 : 1;
        c->line++;
    }
}

enum graft_status csv_next(struct csv *c, struct error *e)
{
    str_clear(&c->text);
    c->count = 0;
    skip_blank_lines(c);
    c->first_line = c->line;
    if (c->p == c->end) return GRAFT_OK;
    for (;;) {
        enum graft_status status = next_field(c, e);
        if (status != GRAFT_OK) return status;
        if (c->p == c->end || *c->p != ',') break;
        c->p++;
    }
    if (c->p < c->end && *c->p == '\r') c->p++;
    if (c->p < c->end) c->p++;
    c->line++;
    return GRAFT_OK;
}

enum graft_status csv_names(struct csv *c, json_t *names, struct error *e)
{
    enum graft_status status = csv_next(c, e);
    if (status != GRAFT_OK) return status;
    for (size_t i = 0; i < c->count; i++) {
        const char *name = c->text.data + c->begin[i];
        for (size_t k = 0; k < i; k++)
            if (strcmp(name, c->text.data + c->begin[k]) == 0)
                return error_set(e, GRAFT_E_INVALID, "%s:%u: two columns are named `%s`", c->path,
                                 c->first_line, name);
        if (json_array_append_new(names, json_string(name)) != 0)
            return error_memory(e, c->path, strlen(name));
    }
    const char *only = c->text.data + c->begin[0];
    if (c->count == 1 && strpbrk(only, ";\t") != NULL)
        return error_set(e, GRAFT_E_INVALID,
                         "%s:%u: the columns seem to be parted by %s; only commas are read",
                         c->path, c->first_line, strchr(only, ';') != NULL ? "`;`" : "tabs");
    return GRAFT_OK;
}

void csv_free(struct csv *c)
{
    str_free(&c->text);
    mem_free(c->begin);
}

static enum graft_status make_record(struct csv *c, const json_t *names, json_t *record,
                                     struct error *e)
{
    if (c->count != json_array_size(names))
        return error_set(e, GRAFT_E_INVALID, "%s:%u: %zu fields where the first line names %zu",
                         c->path, c->first_line, c->count, json_array_size(names));
    for (size_t i = 0; i < c->count; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        json_t *text = json_string(c->text.data + c->begin[i]);
        if (json_object_set_new(record, name, text) != 0)
            return error_memory(e, c->path, c->text.length);
    }
    return GRAFT_OK;
}

static enum graft_status read_records(struct reader *r, struct csv *c, const json_t *names,
                                      json_t *record, struct error *e)
{
    for (;;) {
        enum graft_status status = csv_next(c, e);
        if (status != GRAFT_OK || c->count == 0) return status;
        status = make_record(c, names, record, e);
        if (status != GRAFT_OK) return status;
        status = record_read(r, record, c->first_line, e);
        if (status != GRAFT_OK) {
            error_place(e, "%s:%u", c->path, c->first_line);
            return status;
        }
    }
}

enum graft_status csv_read(struct reader *r, struct error *e)
{
    struct csv c = {.path = r->path, .p = r->bytes, .end = r->end, .line = 1};
    json_t *names = json_array(), *record = json_object();
    enum graft_status status = GRAFT_OK;
    if (names == NULL || record == NULL) status = error_memory(e, r->path, sizeof(void *));
    if (status == GRAFT_OK) status = csv_names(&c, names, e);
    if (status == GRAFT_OK) status = read_records(r, &c, names, record, e);
    json_decref(names);
    json_decref(record);
    csv_free(&c);
    return status;
}

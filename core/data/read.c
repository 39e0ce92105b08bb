/* SPDX-License-Identifier: Apache-2.0
 *
 * A data file to rows: the container (JSONL, a JSON array, CSV) is found by content and name, the
 * bytes are checked before they are parsed, and every complaint names file and line.
 */
#include "data/parts.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static enum graft_status load(const char *path, char **bytes, size_t *length, struct error *e)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        error_errno(e, "cannot open", path);
        if (e != NULL) e->status = GRAFT_E_INVALID;
        return GRAFT_E_INVALID;
    }
    enum graft_status status = GRAFT_OK;
    char *data = NULL;
    size_t size = 0;
    if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode)) {
        status = error_set(e, GRAFT_E_INVALID, "%s: not a regular file", path);
    } else if (info.st_size == 0) {
        status = error_set(e, GRAFT_E_INVALID, "%s: the file is empty", path);
    } else if ((data = mem_alloc(size = (size_t)info.st_size)) == NULL) {
        status = error_memory(e, path, size);
    } else if (fread(data, 1, size, file) != size) {
        status = error_errno(e, "cannot read", path);
    }
    fclose(file);
    if (status != GRAFT_OK) {
        mem_free(data);
        return status;
    }
    *bytes = data;
    *length = size;
    return GRAFT_OK;
}

static uint32_t line_of(const char *bytes, const char *at)
{
    uint32_t line = 1;
    for (const char *p = bytes; (p = memchr(p, '\n', (size_t)(at - p))) != NULL; p++) line++;
    return line;
}

static enum graft_status check_bytes(const char *path, const char *bytes, size_t length,
                                     struct error *e)
{
    if (length >= 2 && (memcmp(bytes, "\xFF\xFE", 2) == 0 || memcmp(bytes, "\xFE\xFF", 2) == 0))
        return error_set(e, GRAFT_E_INVALID,
                         "%s: the file is UTF-16; convert it: iconv -f UTF-16 -t UTF-8", path);
    const char *nul = memchr(bytes, '\0', length);
    if (nul != NULL)
        return error_set(e, GRAFT_E_INVALID,
                         "%s: binary: a NUL byte at offset %zu; data is JSONL, JSON or CSV text",
                         path, (size_t)(nul - bytes));
    size_t bad = utf8_check(bytes, length);
    if (bad != length)
        return error_set(
            e, GRAFT_E_INVALID,
            "%s:%u: not UTF-8: byte 0x%02X at offset %zu; convert the file: graft data "
            "clean (GBK, Latin-1), or iconv -f ITS-ENCODING -t UTF-8",
            path, line_of(bytes, bytes + bad), (unsigned char)bytes[bad], bad);
    return GRAFT_OK;
}

static enum graft_status parse_object(struct reader *r, const char *text, size_t length,
                                      uint32_t line, json_t **object, struct error *e)
{
    json_error_t fault;
    *object = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &fault);
    if (*object != NULL) return GRAFT_OK;
    /* jansson says nothing where it could not even begin */
    if (json_error_code(&fault) == json_error_out_of_memory || fault.text[0] == '\0')
        return error_memory(e, r->path, length);
    return error_set(e, GRAFT_E_INVALID, "%s:%u:%d: not valid JSON%s: %s", r->path,
                     line + (uint32_t)(fault.line > 0 ? fault.line - 1 : 0), fault.column,
                     r->by_line ? " (one object a line)" : "", fault.text);
}

static enum graft_status add_record(struct reader *r, const char *text, size_t length,
                                    uint32_t line, struct error *e)
{
    json_t *object;
    enum graft_status status = parse_object(r, text, length, line, &object, e);
    if (status != GRAFT_OK) return status;
    status = record_read(r, object, line, e);
    json_decref(object);
    if (status != GRAFT_OK) error_place(e, "%s:%u", r->path, line);
    return status;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One object a line; blank lines are skipped. */
static enum graft_status read_lines(struct reader *r, struct error *e)
{
    uint32_t line = 1;
    r->by_line = true;
    for (const char *p = r->bytes; p < r->end; line++) {
        const char *stop = memchr(p, '\n', (size_t)(r->end - p));
        const char *next = stop == NULL ? r->end : stop + 1;
        const char *last = stop == NULL ? r->end : stop;
        while (p < last && is_space(*p)) p++;
        while (last > p && is_space(last[-1])) last--;
        if (p < last) {
            enum graft_status status = add_record(r, p, (size_t)(last - p), line, e);
            if (status != GRAFT_OK) return status;
        }
        p = next;
    }
    return GRAFT_OK;
}

/* The end of the value that begins with a bracket at p, or NULL when it is not closed. */
static const char *value_end(const char *p, const char *end)
{
    size_t depth = 0;
    bool quoted = false;
    for (; p < end; p++) {
        if (quoted) {
            if (*p == '\\')
                p++;
            else if (*p == '"')
                quoted = false;
        } else if (*p == '"') {
            quoted = true;
        } else if (*p == '{' || *p == '[') {
            depth++;
        } else if ((*p == '}' || *p == ']') && --depth == 0) {
            return p + 1;
        }
    }
    return NULL;
}

static const char *skip_space(const char *p, const char *end, uint32_t *line)
{
    for (; p < end && is_space(*p); p++) *line += *p == '\n';
    return p;
}

/* The objects of one array are parsed one by one, so that each has its line. */
static enum graft_status read_array(struct reader *r, const char *p, uint32_t line, struct error *e)
{
    bool first = true;
    for (p++;; first = false) {
        p = skip_space(p, r->end, &line);
        if (p < r->end && *p == ']') break;
        if (!first && (p == r->end || *p != ','))
            return error_set(e, GRAFT_E_INVALID, "%s:%u: not valid JSON: `,` or `]` expected",
                             r->path, line);
        if (!first) p = skip_space(p + 1, r->end, &line);
        if (p == r->end || *p != '{')
            return error_set(e, GRAFT_E_INVALID, "%s:%u: a row must be an object `{...}`", r->path,
                             line);
        const char *stop = value_end(p, r->end);
        if (stop == NULL)
            return error_set(e, GRAFT_E_INVALID,
                             "%s:%u: not valid JSON: the object that begins here is not closed",
                             r->path, line);
        enum graft_status status = add_record(r, p, (size_t)(stop - p), line, e);
        if (status != GRAFT_OK) return status;
        for (; p < stop; p++) line += *p == '\n';
    }
    p = skip_space(p + 1, r->end, &line);
    if (p < r->end)
        return error_set(e, GRAFT_E_INVALID, "%s:%u: not valid JSON: text after the array", r->path,
                         line);
    return GRAFT_OK;
}

static enum graft_status read_container(struct reader *r, struct error *e)
{
    uint32_t line = 1;
    const char *p = skip_space(r->bytes, r->end, &line);
    if (p == r->end)
        return error_set(e, GRAFT_E_INVALID, "%s: no rows: the file is blank", r->path);
    if (text_ends(r->path, ".csv") || text_ends(r->path, ".CSV")) return csv_read(r, e);
    if (*p == '[') return read_array(r, p, line, e);
    if (*p == '{' || text_ends(r->path, ".jsonl") || text_ends(r->path, ".json"))
        return read_lines(r, e);
    return error_set(e, GRAFT_E_INVALID,
                     "%s: not a known kind of data file; known: .jsonl, .json, .csv", r->path);
}

static enum graft_status begin_file(struct reader *r, struct error *e)
{
    struct data_rows *rows = r->rows;
    char *path = arena_strdup(&rows->arena, r->path);
    if (path == NULL ||
        !array_reserve(&rows->files, &rows->file_capacity, rows->file_count + 1,
                       sizeof *rows->files) ||
        !array_reserve(&rows->formats, &rows->format_capacity, rows->file_count + 1,
                       sizeof *rows->formats))
        return error_memory(e, r->path, strlen(r->path) + 1);
    rows->files[rows->file_count] = path;
    r->file = (uint32_t)rows->file_count;
    return GRAFT_OK;
}

static enum graft_status read_rows(struct reader *r, struct error *e)
{
    size_t before = r->rows->count;
    enum graft_status status = begin_file(r, e);
    if (status == GRAFT_OK) status = read_container(r, e);
    if (status == GRAFT_OK && r->rows->count == before)
        status = error_set(e, GRAFT_E_INVALID, "%s: no rows", r->path);
    mem_free(r->messages);
    if (status != GRAFT_OK) {
        r->rows->count = before;
        return status;
    }
    r->rows->formats[r->rows->file_count++] = r->format;
    if (r->skipped_turns != 0)
        log_warning("%s: %zu answers stand before the first question of their row and were left "
                    "out (first: line %u)",
                    r->path, r->skipped_turns, r->skipped_line);
    return GRAFT_OK;
}

enum graft_status data_read(const char *path, struct data_rows *out, struct error *e)
{
    char *bytes;
    size_t length;
    enum graft_status status = load(path, &bytes, &length, e);
    if (status != GRAFT_OK) return status;
    status = check_bytes(path, bytes, length, e);
    if (status == GRAFT_OK) {
        bool mark = length >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0;
        struct reader r = {.rows = out, .path = path, .bytes = bytes, .end = bytes + length};
        if (mark) r.bytes += 3;
        status = read_rows(&r, e);
    }
    mem_free(bytes);
    return status;
}

struct data_feed {
    struct reader reader;
};

enum graft_status data_feed_begin(const char *path, struct data_rows *out, struct data_feed **feed,
                                  struct error *e)
{
    struct data_feed *f = mem_zalloc(1, sizeof *f);
    if (f == NULL) return error_memory(e, path, sizeof *f);
    f->reader = (struct reader){.rows = out, .path = path};
    enum graft_status status = begin_file(&f->reader, e);
    if (status != GRAFT_OK) {
        mem_free(f);
        return status;
    }
    out->formats[out->file_count++] = DATA_NONE;
    *feed = f;
    return GRAFT_OK;
}

enum graft_status data_feed_add(struct data_feed *f, const json_t *record, uint32_t line,
                                struct error *e)
{
    struct reader *r = &f->reader;
    enum graft_status status = record_read(r, record, line, e);
    r->rows->formats[r->file] = r->format;
    return status;
}

size_t data_feed_end(struct data_feed *f)
{
    size_t skipped = f->reader.skipped_turns;
    mem_free(f->reader.messages);
    mem_free(f);
    return skipped;
}

void data_rows_free(struct data_rows *rows)
{
    arena_free(&rows->arena);
    mem_free(rows->rows);
    mem_free(rows->files);
    mem_free(rows->formats);
    *rows = (struct data_rows){0};
}

const char *data_row_file(const struct data_rows *rows, size_t row)
{
    return rows->files[rows->rows[row].file];
}

const char *data_format_name(enum data_format format)
{
    static const char *const names[] = {
        "nothing", "Alpaca", "messages", "ShareGPT", "prompt/completion", "plain text",
    };
    return names[format];
}

const char *data_row_answer(const struct data_row *row)
{
    return row->messages == NULL ? NULL : row->messages[row->message_count - 1].content;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A window over the file that grows until it holds the next record.
 */
#include "audit/stream.h"

#include "base/memory.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    CHUNK = 1 << 20,
    RECORD_MOST = 64 << 20, /* a longer record is no row of text */
    QUOTED_MOST = 1 << 20   /* a quoted field that goes on for longer was never meant to be one */
};

struct stream {
    const char *path;
    FILE *file;
    char *buffer;
    size_t begin, end, capacity; /* what is read and not yet given */
    bool ended;                  /* the file */
    bool mark, closed;           /* closed: the array's `]` is passed */
    bool first;                  /* no element of the array yet */
    enum stream_kind kind;
    uint32_t line; /* of `begin` */
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Reads more behind what is there. */
static enum graft_status fill(struct stream *s, struct error *e)
{
    if (s->begin != 0) {
        memmove(s->buffer, s->buffer + s->begin, s->end - s->begin);
        s->end -= s->begin;
        s->begin = 0;
    }
    if (s->end > RECORD_MOST)
        return error_set(e, GRAFT_E_INVALID,
                         "%s:%u: a record of more than 64 MiB; JSONL has one object a line",
                         s->path, s->line);
    if (!array_reserve(&s->buffer, &s->capacity, s->end + CHUNK, 1))
        return error_memory(e, s->path, s->end + CHUNK);
    size_t n = fread(s->buffer + s->end, 1, s->capacity - s->end, s->file);
    if (n == 0 && ferror(s->file)) return error_errno(e, "cannot read", s->path);
    s->end += n;
    s->ended = n == 0;
    return GRAFT_OK;
}

/* Is there a byte `at` behind the beginning? Reads if need be. */
static enum graft_status has_byte(struct stream *s, size_t at, bool *there, struct error *e)
{
    while (s->end - s->begin <= at && !s->ended) {
        enum graft_status status = fill(s, e);
        if (status != GRAFT_OK) return status;
    }
    *there = s->end - s->begin > at;
    return GRAFT_OK;
}

static void give(struct stream *s, size_t length, struct piece *piece)
{
    *piece = (struct piece){s->buffer + s->begin, length, s->line, NULL};
    for (const char *p = piece->bytes, *stop = p + length;
         (p = memchr(p, '\n', (size_t)(stop - p))) != NULL; p++)
        s->line++;
    s->begin += length;
}

enum graft_status stream_next_line(struct stream *s, struct piece *piece, struct error *e)
{
    size_t at = 0;
    for (;;) {
        const char *start = s->buffer + s->begin, *stop;
        size_t have = s->end - s->begin;
        if (have > at && (stop = memchr(start + at, '\n', have - at)) != NULL) {
            give(s, (size_t)(stop - start) + 1, piece);
            return GRAFT_OK;
        }
        at = have;
        if (s->ended) {
            give(s, have, piece);
            if (have == 0) piece->bytes = NULL;
            return GRAFT_OK;
        }
        enum graft_status status = fill(s, e);
        if (status != GRAFT_OK) return status;
    }
}

static void trim(struct piece *piece)
{
    while (piece->length != 0 && is_space(*piece->bytes)) {
        piece->bytes++;
        piece->length--;
    }
    while (piece->length != 0 && is_space(piece->bytes[piece->length - 1])) piece->length--;
}

static enum graft_status next_line(struct stream *s, struct piece *piece, struct error *e)
{
    enum graft_status status;
    do {
        status = stream_next_line(s, piece, e);
        if (status == GRAFT_OK && piece->bytes != NULL) trim(piece);
    } while (status == GRAFT_OK && piece->bytes != NULL && piece->length == 0);
    return status;
}

enum csv_state { FIELD_BEGINS, PLAIN, QUOTED, CLOSED, BROKEN /* text after a closing quote */ };

static enum csv_state csv_after(enum csv_state state, char c)
{
    if (state == QUOTED) return c == '"' ? CLOSED : QUOTED;
    if (c == ',') return FIELD_BEGINS;
    if (c == '"' && state != PLAIN) return QUOTED;
    return state == CLOSED && c != '\r' ? BROKEN : PLAIN;
}

/* The length of a CSV record with its line end: quotes hide line breaks. *whole: its quotes are
 * closed. */
static enum graft_status csv_length(struct stream *s, size_t *length, bool *whole, struct error *e)
{
    enum csv_state state = FIELD_BEGINS;
    for (size_t at = 0;;) {
        bool there, ends = false;
        enum graft_status status = has_byte(s, at, &there, e);
        if (status != GRAFT_OK) return status;
        for (const char *p = s->buffer + s->begin; at < s->end - s->begin && !ends; at++) {
            ends = (p[at] == '\n' && state != QUOTED) || (state == QUOTED && at > QUOTED_MOST);
            if (!ends) state = csv_after(state, p[at]);
            ends = ends || state == BROKEN;
        }
        if (ends || !there) {
            *length = at;
            *whole = state != QUOTED && state != BROKEN;
            return GRAFT_OK;
        }
    }
}

/* A quote that is not closed, or by the quote of a later record, would take records with it: only
 * its line is given up. */
static enum graft_status next_csv(struct stream *s, struct piece *piece, struct error *e)
{
    for (;;) {
        size_t length;
        bool whole;
        enum graft_status status = csv_length(s, &length, &whole, e);
        if (status != GRAFT_OK) return status;
        if (!whole) {
            status = stream_next_line(s, piece, e);
            if (status == GRAFT_OK)
                piece->fault = "a quoted field is not closed, or text follows its closing quote";
        } else {
            give(s, length, piece);
            if (length == 0) piece->bytes = NULL;
        }
        if (status != GRAFT_OK || piece->bytes == NULL) return status;
        while (piece->length != 0 &&
               (piece->bytes[piece->length - 1] == '\n' || piece->bytes[piece->length - 1] == '\r'))
            piece->length--;
        if (piece->length != 0) return GRAFT_OK;
    }
}

static enum graft_status skip_space(struct stream *s, bool *there, struct error *e)
{
    for (;;) {
        enum graft_status status = has_byte(s, 0, there, e);
        if (status != GRAFT_OK || !*there || !is_space(s->buffer[s->begin])) return status;
        s->line += s->buffer[s->begin++] == '\n';
    }
}

static enum graft_status fault(struct stream *s, struct error *e, const char *what)
{
    return error_set(e, GRAFT_E_INVALID, "%s:%u: not valid JSON: %s", s->path, s->line, what);
}

/* The length of the object that begins here. */
static enum graft_status object_length(struct stream *s, size_t *length, struct error *e)
{
    size_t depth = 0;
    bool quoted = false, there;
    for (size_t at = 0;; at++) {
        enum graft_status status = has_byte(s, at, &there, e);
        if (status != GRAFT_OK) return status;
        if (!there) return fault(s, e, "the object that begins here is not closed");
        char c = s->buffer[s->begin + at];
        if (quoted && c == '\\')
            at++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']') && --depth == 0) {
            *length = at + 1;
            return GRAFT_OK;
        }
    }
}

static enum graft_status end_array(struct stream *s, struct piece *piece, struct error *e)
{
    bool there;
    enum graft_status status = skip_space(s, &there, e);
    if (status == GRAFT_OK && there) return fault(s, e, "text after the array");
    *piece = (struct piece){0};
    return status;
}

static enum graft_status next_element(struct stream *s, struct piece *piece, struct error *e)
{
    bool there;
    size_t length = 0;
    if (s->closed) return end_array(s, piece, e);
    enum graft_status status = skip_space(s, &there, e);
    if (status != GRAFT_OK) return status;
    if (there && s->buffer[s->begin] == ']') {
        s->begin++;
        s->closed = true;
        return end_array(s, piece, e);
    }
    if (!s->first) {
        if (!there || s->buffer[s->begin] != ',') return fault(s, e, "`,` or `]` expected");
        s->begin++;
        status = skip_space(s, &there, e);
        if (status != GRAFT_OK) return status;
    }
    if (!there || s->buffer[s->begin] != '{')
        return error_set(e, GRAFT_E_INVALID, "%s:%u: a row must be an object `{...}`", s->path,
                         s->line);
    s->first = false;
    status = object_length(s, &length, e);
    if (status == GRAFT_OK) give(s, length, piece);
    return status;
}

enum graft_status stream_next(struct stream *s, struct piece *piece, struct error *e)
{
    switch (s->kind) {
    case STREAM_LINES: return next_line(s, piece, e);
    case STREAM_ARRAY: return next_element(s, piece, e);
    case STREAM_CSV: return next_csv(s, piece, e);
    }
    return GRAFT_E_INVALID;
}

/* Past the mark, and past the bracket of an array; finds the container. */
static enum graft_status begin(struct stream *s, struct error *e)
{
    bool there;
    s->line = 1;
    s->first = true;
    enum graft_status status = has_byte(s, 2, &there, e);
    if (status != GRAFT_OK) return status;
    const char *bytes = s->buffer;
    if (s->end >= 2 && (memcmp(bytes, "\xFF\xFE", 2) == 0 || memcmp(bytes, "\xFE\xFF", 2) == 0))
        return error_set(e, GRAFT_E_INVALID,
                         "%s: the file is UTF-16; convert it: iconv -f UTF-16 -t UTF-8", s->path);
    s->mark = there && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0;
    if (s->mark) s->begin = 3;
    bool csv = text_ends(s->path, ".csv") || text_ends(s->path, ".CSV");
    s->kind = csv ? STREAM_CSV : STREAM_LINES;
    if (csv || text_ends(s->path, ".jsonl")) return GRAFT_OK;
    status = skip_space(s, &there, e);
    if (status != GRAFT_OK) return status;
    if (there && s->buffer[s->begin] == '[') {
        s->kind = STREAM_ARRAY;
        s->begin++;
    } else if (there && s->buffer[s->begin] != '{' && !text_ends(s->path, ".json")) {
        return error_set(e, GRAFT_E_INVALID,
                         "%s: not a known kind of data file; known: .jsonl, .json, .csv", s->path);
    }
    return GRAFT_OK;
}

enum graft_status stream_rewind(struct stream *s, struct error *e)
{
    rewind(s->file);
    s->begin = s->end = 0;
    s->ended = s->closed = false;
    return begin(s, e);
}

static enum graft_status open_file(struct stream *s, struct error *e)
{
    struct stat info;
    s->file = fopen(s->path, "rb");
    if (s->file == NULL) {
        error_errno(e, "cannot open", s->path);
        if (e != NULL) e->status = GRAFT_E_INVALID;
        return GRAFT_E_INVALID;
    }
    if (fstat(fileno(s->file), &info) != 0 || !S_ISREG(info.st_mode))
        return error_set(e, GRAFT_E_INVALID, "%s: not a regular file", s->path);
    if (info.st_size == 0) return error_set(e, GRAFT_E_INVALID, "%s: the file is empty", s->path);
    setvbuf(s->file, NULL, _IONBF, 0);
    return begin(s, e);
}

enum graft_status stream_open(const char *path, struct stream **stream, struct error *e)
{
    struct stream *s = mem_zalloc(1, sizeof *s);
    if (s == NULL) return error_memory(e, path, sizeof *s);
    s->path = path;
    enum graft_status status = open_file(s, e);
    if (status != GRAFT_OK) {
        stream_close(s);
        return status;
    }
    *stream = s;
    return GRAFT_OK;
}

void stream_close(struct stream *s)
{
    if (s == NULL) return;
    if (s->file != NULL) fclose(s->file);
    mem_free(s->buffer);
    mem_free(s);
}

enum stream_kind stream_kind(const struct stream *s)
{
    return s->kind;
}

bool stream_has_mark(const struct stream *s)
{
    return s->mark;
}

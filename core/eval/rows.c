/* SPDX-License-Identifier: Apache-2.0
 *
 * Measured rows to JSON and back.
 */
#include "eval/rows.h"

#include "base/memory.h"
#include "file/map.h"

#include <string.h>

json_t *metric_row_json(const struct metric_row *row)
{
    json_t *answer = row->answer != NULL ? json_string(row->answer) : json_null();
    return json_pack("{s:f, s:I, s:o, s:b}", "nll", row->nll, "predicted",
                     (json_int_t)row->predicted, "answer", answer, "ended", row->ended);
}

enum graft_status metric_row_read(const json_t *object, struct metric_row *row, struct error *e)
{
    const json_t *nll = json_object_get(object, "nll");
    const json_t *predicted = json_object_get(object, "predicted");
    const json_t *answer = json_object_get(object, "answer");
    char *copy = NULL;
    if (!json_is_number(nll) || !json_is_integer(predicted) || json_integer_value(predicted) < 0)
        return error_set(e, GRAFT_E_INVALID, "no measured row: nll or predicted is missing");
    if (json_is_string(answer) && (copy = mem_strdup(json_string_value(answer))) == NULL)
        return error_memory(e, "an answer", json_string_length(answer));
    row->nll = json_number_value(nll);
    row->predicted = (uint64_t)json_integer_value(predicted);
    row->answer = copy;
    row->ended = json_is_true(json_object_get(object, "ended"));
    return GRAFT_OK;
}

void eval_row_line(struct str *out, const struct eval_row_line *row)
{
    json_t *expected = row->expected != NULL ? json_string(row->expected) : json_null();
    json_t *before = row->before != NULL ? metric_row_json(row->before) : json_null();
    json_t *object =
        json_pack("{s:s, s:I, s:o, s:o, s:o}", "file", row->file, "line", (json_int_t)row->line,
                  "expected", expected, "before", before, "after", metric_row_json(row->after));
    if (object == NULL) out->failed = true;
    json_write(out, object, 0, false);
    str_putc(out, '\n');
    json_decref(object);
}

static bool add_row(struct eval_rows *rows, size_t *capacity)
{
    size_t before = *capacity, after = *capacity, expected = *capacity, need = rows->count + 1;
    if (!array_reserve(&rows->before, &before, need, sizeof *rows->before) ||
        !array_reserve(&rows->after, &after, need, sizeof *rows->after) ||
        !array_reserve(&rows->expected, &expected, need, sizeof *rows->expected))
        return false;
    *capacity = after;
    rows->before[rows->count] = (struct metric_row){0};
    rows->after[rows->count] = (struct metric_row){0};
    rows->expected[rows->count] = NULL;
    rows->count++;
    return true;
}

static enum graft_status take_line(struct eval_rows *rows, size_t *capacity, const json_t *object,
                                   struct error *e)
{
    const json_t *before = json_object_get(object, "before");
    const char *expected = json_string_value(json_object_get(object, "expected"));
    if (!add_row(rows, capacity)) return error_memory(e, "rows", rows->count);
    size_t i = rows->count - 1;
    if (expected != NULL && (rows->expected[i] = arena_strdup(&rows->arena, expected)) == NULL)
        return error_memory(e, "rows", strlen(expected));
    rows->before[i].expected = rows->after[i].expected = rows->expected[i];
    rows->has_before = json_is_object(before) && (i == 0 || rows->has_before);
    enum graft_status status =
        metric_row_read(json_object_get(object, "after"), &rows->after[i], e);
    if (status == GRAFT_OK && json_is_object(before))
        status = metric_row_read(before, &rows->before[i], e);
    return status;
}

static enum graft_status take_lines(struct eval_rows *rows, const char *text, size_t size,
                                    struct error *e)
{
    size_t capacity = 0, line = 0;
    enum graft_status status = GRAFT_OK;
    for (size_t at = 0, length; at < size && status == GRAFT_OK; at += length + 1) {
        const char *end = memchr(text + at, '\n', size - at);
        json_t *object = NULL;
        length = end != NULL ? (size_t)(end - text) - at : size - at;
        line++;
        status = json_read_bytes(text + at, length, &object, e);
        if (status == GRAFT_OK) status = take_line(rows, &capacity, object, e);
        json_decref(object);
        if (status != GRAFT_OK) error_place(e, "%zu", line);
    }
    return status;
}

enum graft_status eval_rows_load(const char *path, struct eval_rows *rows, struct error *e)
{
    struct eval_rows made = {0};
    struct file_map map = {0};
    enum graft_status status = file_map_open(path, &map, e);
    if (status != GRAFT_OK) return status;
    status = take_lines(&made, (const char *)map.data, map.size, e);
    file_map_close(&map);
    if (status != GRAFT_OK) {
        eval_rows_free(&made);
        return error_place(e, "%s", path);
    }
    *rows = made;
    return GRAFT_OK;
}

void eval_rows_free(struct eval_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        mem_free(rows->before[i].answer);
        mem_free(rows->after[i].answer);
    }
    mem_free(rows->before);
    mem_free(rows->after);
    mem_free(rows->expected);
    arena_free(&rows->arena);
    *rows = (struct eval_rows){0};
}

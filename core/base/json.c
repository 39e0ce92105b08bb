/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON in by jansson, out by ourselves (numbers must not depend on the locale).
 */
#include "base/json.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum graft_status json_read_bytes(const char *bytes, size_t length, json_t **value, struct error *e)
{
    json_error_t fault;
    json_t *read = json_loadb(bytes, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &fault);
    if (read == NULL) {
        /* jansson says nothing where it could not even begin */
        if (json_error_code(&fault) == json_error_out_of_memory || fault.text[0] == '\0')
            return error_memory(e, "JSON", length);
        return error_set(e, GRAFT_E_INVALID, "%d:%d: not valid JSON: %s", fault.line, fault.column,
                         fault.text);
    }
    *value = read;
    return GRAFT_OK;
}

enum graft_status json_read_file(const char *path, size_t limit, json_t **value, struct error *e)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    if (file == NULL) return error_errno(e, "cannot open", path);
    enum graft_status status = GRAFT_OK;
    char *bytes = NULL;
    if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode)) {
        status = error_set(e, GRAFT_E_INVALID, "%s: not a regular file", path);
    } else if ((size_t)info.st_size > limit) {
        status = error_set(e, GRAFT_E_INVALID, "%s: %lld bytes, at most %zu are read", path,
                           (long long)info.st_size, limit);
    } else if ((bytes = mem_alloc((size_t)info.st_size)) == NULL) {
        status = error_memory(e, path, (size_t)info.st_size);
    } else if (fread(bytes, 1, (size_t)info.st_size, file) != (size_t)info.st_size) {
        status = error_errno(e, "cannot read", path);
    } else if ((status = json_read_bytes(bytes, (size_t)info.st_size, value, e)) != GRAFT_OK) {
        error_place(e, "%s", path);
    }
    mem_free(bytes);
    fclose(file);
    return status;
}

void json_write_string(struct str *out, const char *bytes, size_t length)
{
    str_putc(out, '"');
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '"' || c == '\\')
            str_printf(out, "\\%c", c);
        else if (c == '\n')
            str_puts(out, "\\n");
        else if (c < 0x20 || c == 0x7F)
            str_printf(out, "\\u%04x", c);
        else
            str_putc(out, (char)c);
    }
    str_putc(out, '"');
}

static void new_line(struct str *out, int indent, int depth)
{
    if (indent == 0) return;
    str_putc(out, '\n');
    for (int i = 0; i < indent * depth; i++) str_putc(out, ' ');
}

static void write_value(struct str *out, const json_t *value, int indent, bool sorted, int depth);

static void write_member(struct str *out, const char *key, const json_t *value, int indent,
                         bool sorted, int depth)
{
    json_write_string(out, key, strlen(key));
    str_puts(out, indent != 0 ? ": " : ":");
    write_value(out, value, indent, sorted, depth);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void write_object(struct str *out, const json_t *object, int indent, bool sorted, int depth)
{
    size_t count = json_object_size(object), n = 0;
    const char **keys = mem_zalloc(count, sizeof *keys);
    if (keys == NULL) {
        out->failed = true;
        return;
    }
    for (void *it = json_object_iter((json_t *)(uintptr_t)object); it != NULL;
         it = json_object_iter_next((json_t *)(uintptr_t)object, it))
        keys[n++] = json_object_iter_key(it);
    if (sorted) qsort(keys, n, sizeof *keys, by_text);
    str_putc(out, '{');
    for (size_t i = 0; i < n; i++) {
        if (i != 0) str_putc(out, ',');
        new_line(out, indent, depth + 1);
        write_member(out, keys[i], json_object_get(object, keys[i]), indent, sorted, depth + 1);
    }
    if (n != 0) new_line(out, indent, depth);
    str_putc(out, '}');
    mem_free(keys);
}

static void write_array(struct str *out, const json_t *array, int indent, bool sorted, int depth)
{
    size_t count = json_array_size(array);
    str_putc(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i != 0) str_putc(out, ',');
        new_line(out, indent, depth + 1);
        write_value(out, json_array_get(array, i), indent, sorted, depth + 1);
    }
    if (count != 0) new_line(out, indent, depth);
    str_putc(out, ']');
}

static void write_value(struct str *out, const json_t *value, int indent, bool sorted, int depth)
{
    char number[32];
    switch (json_typeof(value)) {
    case JSON_OBJECT: write_object(out, value, indent, sorted, depth); break;
    case JSON_ARRAY: write_array(out, value, indent, sorted, depth); break;
    case JSON_STRING:
        json_write_string(out, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER: str_printf(out, "%lld", (long long)json_integer_value(value)); break;
    case JSON_REAL: {
        format_f64(json_real_value(value), number);
        str_puts(out, number);
        if (strpbrk(number, ".en") == NULL) str_puts(out, ".0");
        break;
    }
    case JSON_TRUE: str_puts(out, "true"); break;
    case JSON_FALSE: str_puts(out, "false"); break;
    case JSON_NULL: str_puts(out, "null"); break;
    }
}

void json_write(struct str *out, const json_t *value, int indent, bool sorted)
{
    write_value(out, value, indent, sorted, 0);
}

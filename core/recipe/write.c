/* SPDX-License-Identifier: Apache-2.0
 *
 * The effective recipe: settings back to YAML, every default spelled out. What it writes reads
 * back to the same settings.
 */
#include "recipe/path.h"
#include "recipe/read.h"

#include <stdio.h>
#include <string.h>

enum { COMMENT_COLUMN = 48 };

struct writer {
    const struct settings *s;
    const char *relative_to; /* NULL: paths as they are used */
    bool comments;
    struct str *out;
    struct error *e;
    enum graft_status status;
};

/* Text that is a plain scalar and read back as text; else quoted as JSON does. */
static void put_text(struct str *out, const char *text)
{
    static const char safe[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-";
    struct node node = {0};
    if (*text != '-' && strspn(text, safe) == strlen(text) &&
        node_resolve(text, &node, NULL) == GRAFT_OK && node.type == NODE_TEXT)
        str_puts(out, text);
    else
        json_write_string(out, text, strlen(text));
}

static void put_float(struct str *out, double value)
{
    char number[32];
    str_puts(out, format_plain(value, number));
    if (strpbrk(number, ".e") == NULL) str_puts(out, ".0");
}

/* `slash`: the text must have one, or it would be a plugin's name. */
static void put_path(struct writer *w, struct str *out, const char *path, bool slash)
{
    char *relative = NULL;
    if (w->relative_to == NULL) {
        put_text(out, path);
        return;
    }
    if (w->status == GRAFT_OK) w->status = path_relative(w->relative_to, path, &relative, w->e);
    if (relative != NULL && slash && strchr(relative, '/') == NULL) str_puts(out, "./");
    if (relative != NULL) put_text(out, relative);
    mem_free(relative);
}

static void put_names(struct writer *w, struct str *out, const struct names *names, bool paths)
{
    if (names->count != 1) str_putc(out, '[');
    for (size_t i = 0; i < names->count; i++) {
        if (i != 0) str_puts(out, ", ");
        if (paths)
            put_path(w, out, names->items[i], false);
        else
            put_text(out, names->items[i]);
    }
    if (names->count != 1) str_putc(out, ']');
}

static void put_targets(struct writer *w, struct str *out, const struct targets *targets)
{
    if (targets->pattern != NULL) {
        put_text(out, targets->pattern);
    } else if (targets->names.count == 1) { /* a text alone would be a regular expression */
        str_putc(out, '[');
        put_text(out, targets->names.items[0]);
        str_putc(out, ']');
    } else {
        put_names(w, out, &targets->names, false);
    }
}

static void put_numbers(struct str *out, const struct numbers *numbers)
{
    str_putc(out, '[');
    for (size_t i = 0; i < numbers->count; i++)
        str_printf(out, "%s%lld", i != 0 ? ", " : "", (long long)numbers->items[i]);
    str_putc(out, ']');
}

static void put_choices(struct str *out, const struct schema_key *row, int32_t bits)
{
    const char *comma = "";
    str_putc(out, '[');
    for (size_t i = 0; row->choices[i] != NULL; i++) {
        if ((bits & (1 << i)) == 0) continue;
        str_printf(out, "%s%s", comma, row->choices[i]);
        comma = ", ";
    }
    str_putc(out, ']');
}

static void put_integer(struct str *out, const struct schema_key *row, int64_t value)
{
    if (row->type == SCHEMA_AUTO_INT && value == SETTINGS_AUTO)
        str_puts(out, "auto");
    else
        str_printf(out, "%lld", (long long)value);
}

static void put_path_or_name(struct writer *w, struct str *out, const struct schema_key *row,
                             const char *text)
{
    if (text == NULL)
        str_puts(out, "null");
    else if (row->type == SCHEMA_TEXT)
        put_text(out, text);
    else if (row->type == SCHEMA_METHOD && strchr(text, '/') == NULL)
        put_text(out, text);
    else
        put_path(w, out, text, row->type == SCHEMA_METHOD);
}

static void put_groups(struct str *out, const struct settings *s)
{
    str_putc(out, '[');
    for (size_t i = 0; i < s->optimizer.group_count; i++) {
        const struct settings_group *group = &s->optimizer.groups[i];
        str_puts(out, i != 0 ? ", {match: " : "{match: ");
        json_write_string(out, group->match, strlen(group->match));
        str_puts(out, ", lr_scale: ");
        put_float(out, group->lr_scale);
        str_puts(out, ", weight_decay: ");
        put_float(out, group->weight_decay);
        str_putc(out, '}');
    }
    str_putc(out, ']');
}

static bool is_absent(const struct schema_key *row, const void *member)
{
    const struct targets *targets = member;
    switch (row->type) {
    case SCHEMA_FILES:
    case SCHEMA_NAMES: return ((const struct names *)member)->count == 0;
    case SCHEMA_NUMBERS: return ((const struct numbers *)member)->count == 0;
    case SCHEMA_TARGETS: return targets->pattern == NULL && targets->names.count == 0;
    default: return false;
    }
}

static void put_value(struct writer *w, struct str *out, const struct schema_key *row,
                      const void *base)
{
    const void *member = (const unsigned char *)base + row->offset;
    if (is_absent(row, member)) {
        str_puts(out, "null");
        return;
    }
    switch (row->type) {
    case SCHEMA_MAP:
    case SCHEMA_RATES: /* of a comparison, which writes its own */
    case SCHEMA_METHODS: break;
    case SCHEMA_GROUPS: put_groups(out, w->s); break;
    case SCHEMA_BOOL: str_puts(out, *(const int32_t *)member ? "true" : "false"); break;
    case SCHEMA_INT:
    case SCHEMA_AUTO_INT: put_integer(out, row, *(const int64_t *)member); break;
    case SCHEMA_FLOAT: put_float(out, *(const double *)member); break;
    case SCHEMA_CHOICE: str_puts(out, row->choices[*(const int32_t *)member]); break;
    case SCHEMA_CHOICES: put_choices(out, row, *(const int32_t *)member); break;
    case SCHEMA_TEXT:
    case SCHEMA_METHOD:
    case SCHEMA_FILE:
    case SCHEMA_ENTRY:
    case SCHEMA_OUTPUT: put_path_or_name(w, out, row, *(const char *const *)member); break;
    case SCHEMA_FILES: put_names(w, out, member, true); break;
    case SCHEMA_NAMES: put_names(w, out, member, false); break;
    case SCHEMA_TARGETS: put_targets(w, out, member); break;
    case SCHEMA_NUMBERS: put_numbers(out, member); break;
    }
}

static void put_line(struct writer *w, const char *indent, const char *key, const struct str *value,
                     const char *source)
{
    size_t start = w->out->length;
    if (value->failed) w->out->failed = true;
    if (w->out->failed) return;
    str_printf(w->out, "%s%s: %s", indent, key, value->data);
    size_t length = w->out->length - start;
    if (w->comments)
        str_printf(w->out, "%*s  # %s",
                   length < COMMENT_COLUMN ? (int)(COMMENT_COLUMN - length) : 0, "", source);
    str_putc(w->out, '\n');
}

static void put_row(struct writer *w, const struct schema_key *row, const char *indent,
                    const char *key, const void *base, const char *place)
{
    struct str value = {0};
    put_value(w, &value, row, base);
    put_line(w, indent, key, &value, place != NULL ? place : "default");
    str_free(&value);
}

static void put_json(struct str *out, const json_t *value)
{
    const char *comma = "";
    if (json_is_string(value)) {
        put_text(out, json_string_value(value));
    } else if (json_is_real(value)) {
        put_float(out, json_real_value(value));
    } else if (json_is_object(value)) { /* a pattern key's mapping */
        str_putc(out, '{');
        for (void *it = json_object_iter((json_t *)(uintptr_t)value); it != NULL;
             it = json_object_iter_next((json_t *)(uintptr_t)value, it)) {
            str_puts(out, comma);
            put_text(out, json_object_iter_key(it));
            str_puts(out, ": ");
            put_json(out, json_object_iter_value(it));
            comma = ", ";
        }
        str_putc(out, '}');
    } else {
        json_write(out, value, 0, false);
    }
}

static void put_options(struct writer *w, const struct option_values *options, const char *indent)
{
    json_t *all = option_values_json(options, false);
    if (all == NULL) {
        w->out->failed = true;
        return;
    }
    for (void *it = json_object_iter(all); it != NULL; it = json_object_iter_next(all, it)) {
        struct str value = {0};
        const char *key = json_object_iter_key(it), *place = option_values_place(options, key);
        put_json(&value, json_object_iter_value(it));
        put_line(w, indent, key, &value, place != NULL ? place : "plugin default");
        str_free(&value);
    }
    json_decref(all);
}

static void put_adapters(struct writer *w)
{
    const struct settings *s = w->s;
    for (size_t a = 0; a < s->adapter_count; a++) {
        const struct settings_adapter *adapter = &s->adapters[a];
        const char *indent = s->adapter_is_list ? "    " : "  ";
        for (size_t i = 0; i < schema_adapter.count; i++) {
            const struct schema_key *row = &schema_adapter.keys[i];
            put_row(w, row, i == 0 && s->adapter_is_list ? "  - " : indent, row->path, adapter,
                    adapter->places.of[i]);
        }
        put_options(w, adapter->options, indent);
    }
}

/* How many dots the path has: the depth of its line. */
static const char *indent_of(const char *path, const char **key)
{
    static const char *const indents[] = {"", "  ", "    ", "      "};
    size_t depth = 0;
    *key = path;
    for (const char *dot; (dot = strchr(*key, '.')) != NULL; depth++) *key = dot + 1;
    return indents[depth];
}

static bool is_written(const struct writer *w, const struct schema_key *row)
{
    if (strcmp(row->path, "output") == 0) return w->comments;
    if (strncmp(row->path, "train.early_stopping.", 21) == 0 && !w->s->early_stopping.enabled)
        return false;
    if (row->type == SCHEMA_GROUPS) return w->s->optimizer.group_count != 0;
    return row->type == SCHEMA_MAP || effect_missing(w->s, row->path) == NULL;
}

static void put_map(struct writer *w, const struct schema_key *row, const char *indent,
                    const char *key)
{
    if (strcmp(row->path, "train.early_stopping") == 0 && !w->s->early_stopping.enabled) {
        struct str value = {0};
        str_puts(&value, "null");
        put_line(w, indent, key, &value, "default");
        str_free(&value);
        return;
    }
    str_printf(w->out, "%s%s:\n", indent, key);
    if (strcmp(row->path, "adapter") == 0) put_adapters(w);
}

/* A mapping whose every key is without effect would be an empty line: leave it out. */
static bool map_is_empty(const struct writer *w, const struct schema_key *map)
{
    const char *name;
    if (strcmp(map->path, "adapter") == 0 || strcmp(map->path, "train.early_stopping") == 0)
        return false;
    for (size_t i = 0; i < schema_core.count; i++)
        if (schema_below(&schema_core.keys[i], map->path, &name) &&
            is_written(w, &schema_core.keys[i]))
            return false;
    return true;
}

enum graft_status settings_write_yaml(const struct settings *settings, const char *relative_to,
                                      bool with_comments, struct str *out, struct error *e)
{
    struct writer w = {settings, with_comments ? NULL : relative_to, with_comments, out, e,
                       GRAFT_OK};
    for (size_t i = 0; i < schema_core.count; i++) {
        const struct schema_key *row = &schema_core.keys[i];
        const char *key, *indent = indent_of(row->path, &key);
        if (row->type == SCHEMA_MAP ? map_is_empty(&w, row) : !is_written(&w, row)) continue;
        if (row->type == SCHEMA_MAP)
            put_map(&w, row, indent, key);
        else
            put_row(&w, row, indent, key, settings, settings->places.of[i]);
        /* The optimizer's own keys follow the host's single ones. */
        if (strcmp(row->path, "optimizer.weight_decay") == 0)
            put_options(&w, settings->optimizer.options, indent);
    }
    if (w.status != GRAFT_OK) return w.status;
    return out->failed ? error_memory(e, "the effective recipe", out->length) : GRAFT_OK;
}

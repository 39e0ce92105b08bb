/* SPDX-License-Identifier: Apache-2.0
 *
 * One value: type, range, choices, paths. Knows the types of schema.h and no key.
 */
#include "plugin/quote.h"
#include "recipe/path.h"
#include "recipe/read.h"
#include "recipe/set.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ALLOWED_SIZE = 256 };

enum graft_status read_refuse(const struct loader *l, struct place place, const char *key,
                              const char *format, ...)
{
    char text[ERROR_TEXT_SIZE], where[PLACE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return error_set(l->e, GRAFT_E_INVALID, "%s: %s: %s", place_text(l->s->file, place, where), key,
                     text);
}

enum graft_status read_no_memory(const struct loader *l)
{
    return error_memory(l->e, "a recipe", sizeof *l->s);
}

const char *read_place(const struct loader *l, struct place place)
{
    char text[PLACE_SIZE];
    return arena_strdup(&l->s->arena, place_text(l->s->file, place, text));
}

/* Without them it would be no text. */
static bool is_quoted(const char *text)
{
    struct node plain = {0};
    return node_resolve(text, &plain, NULL) != GRAFT_OK || plain.type != NODE_TEXT;
}

static bool takes_number(enum schema_type type)
{
    return type == SCHEMA_INT || type == SCHEMA_AUTO_INT || type == SCHEMA_FLOAT ||
           type == SCHEMA_NUMBERS || type == SCHEMA_RATES;
}

static enum graft_status refuse_type(const struct loader *l, const struct schema_key *row,
                                     const char *label, const struct node *node)
{
    char shown[QUOTE_SIZE], allowed[ALLOWED_SIZE], fault[FAULT_SIZE];
    const char *hint = "";
    if ((row->type == SCHEMA_TEXT || row->type >= SCHEMA_FILE) && row->type < SCHEMA_NUMBERS &&
        (node->type == NODE_BOOL || node->type == NODE_INT || node->type == NODE_FLOAT))
        hint = " (quote it if it is text)";
    else if (node->type == NODE_TEXT && row->type <= SCHEMA_FLOAT && is_quoted(node->text))
        hint = " without quotes";
    else if (node->type == NODE_TEXT && takes_number(row->type))
        hint = number_fault(node->text, fault);
    return read_refuse(l, node->place, label, "found %s, expected %s%s", node_show(node, shown),
                       schema_allowed(row, allowed), hint);
}

static bool in_range(const struct schema_key *row, double value)
{
    return (row->min >= 0 && row->max <= 0) || (value >= row->min && value <= row->max);
}

static enum graft_status read_integer(const struct loader *l, const struct schema_key *row,
                                      const char *label, const struct node *node, int64_t *out)
{
    if (row->type == SCHEMA_AUTO_INT && node->type == NODE_TEXT &&
        strcmp(node->text, "auto") == 0) {
        *out = SETTINGS_AUTO;
        return GRAFT_OK;
    }
    if (node->type != NODE_INT || !in_range(row, (double)node->i))
        return refuse_type(l, row, label, node);
    *out = node->i;
    return GRAFT_OK;
}

static enum graft_status read_float(const struct loader *l, const struct schema_key *row,
                                    const char *label, const struct node *node, double *out)
{
    double value = node->type == NODE_INT ? (double)node->i : node->f;
    if ((node->type != NODE_INT && node->type != NODE_FLOAT) || !in_range(row, value))
        return refuse_type(l, row, label, node);
    *out = value;
    return GRAFT_OK;
}

static enum graft_status read_choice(const struct loader *l, const struct schema_key *row,
                                     const char *label, const struct node *node, int32_t *out)
{
    char shown[QUOTE_SIZE], allowed[ALLOWED_SIZE];
    const char *word = node->type == NODE_TEXT || node->type == NODE_BOOL ? node->text : NULL;
    size_t count = 0;
    while (row->choices[count] != NULL) count++;
    for (size_t i = 0; word != NULL && i < count; i++) {
        if (strcmp(word, row->choices[i]) != 0) continue;
        *out = (int32_t)i;
        return GRAFT_OK;
    }
    const char *nearest = word != NULL ? nearest_word(word, row->choices, count) : NULL;
    return read_refuse(l, node->place, label, "found %s%s%s%s, expected %s", node_show(node, shown),
                       nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
                       nearest != NULL ? "\"?" : "", schema_allowed(row, allowed));
}

static enum graft_status read_choices(const struct loader *l, const struct schema_key *row,
                                      const char *label, const struct node *node, int32_t *out)
{
    int32_t bits = 0;
    if (node->type != NODE_LIST || node->count == 0) return refuse_type(l, row, label, node);
    for (const struct node *item = node->first; item != NULL; item = item->next) {
        int32_t index = 0;
        enum graft_status status = read_choice(l, row, label, item, &index);
        if (status != GRAFT_OK) return status;
        if ((bits & (1 << index)) != 0)
            return read_refuse(l, item->place, label, "%s stands twice", row->choices[index]);
        bits |= 1 << index;
    }
    *out = bits;
    return GRAFT_OK;
}

static enum graft_status read_text(const struct loader *l, const struct schema_key *row,
                                   const char *label, const struct node *node, const char **out)
{
    if (node->type != NODE_TEXT || *node->text == '\0') return refuse_type(l, row, label, node);
    *out = arena_strdup(&l->s->arena, node->text);
    return *out != NULL ? GRAFT_OK : read_no_memory(l);
}

/* Relative to the recipe's folder, or to the working directory in a --set. "a/b/../../runs" is
 * shown and used as "runs", where that is what it names. */
static const char *resolve_path(const struct loader *l, const struct node *node)
{
    char *shorter = NULL;
    if (*node->text == '/' || node->place.set != 0 || strcmp(l->s->folder, ".") == 0)
        return arena_strdup(&l->s->arena, node->text);
    char *joined = arena_format(&l->s->arena, "%s/%s",
                                strcmp(l->s->folder, "/") == 0 ? "" : l->s->folder, node->text);
    if (joined == NULL || strncmp(node->text, "../", 3) != 0) return joined;
    if (path_relative(".", joined, &shorter, NULL) != GRAFT_OK) return NULL;
    const char *path =
        strlen(shorter) < strlen(joined) ? arena_strdup(&l->s->arena, shorter) : joined;
    mem_free(shorter);
    return path;
}

static enum graft_status check_path(const struct loader *l, const struct schema_key *row,
                                    const char *label, const struct node *node, const char *path)
{
    struct stat info;
    char shown[QUOTE_SIZE];
    bool folder_allowed = row->type == SCHEMA_ENTRY;
    if (stat(path, &info) != 0 || access(path, R_OK) != 0) {
        const char *why = strerror(errno);
        return read_refuse(l, node->place, label, "%s: %s (relative paths start from %s%s%s)",
                           quote_text(path, shown), why,
                           node->place.set != 0 ? "the working directory" : "the recipe's folder",
                           strpbrk(node->text, "~$") != NULL ? "; ~ and $ stand for themselves"
                                                             : "",
                           l->use == USE_RUN ? "; --model names another"
                           : folder_allowed  ? "; nothing is downloaded"
                                             : "");
    }
    if (!S_ISREG(info.st_mode) && !(folder_allowed && S_ISDIR(info.st_mode)))
        return read_refuse(l, node->place, label, "%s is %s, expected a file%s",
                           quote_text(path, shown),
                           S_ISDIR(info.st_mode) ? "a folder" : "not a regular file",
                           folder_allowed ? " or a folder" : "");
    return GRAFT_OK;
}

static bool must_be_there(const struct loader *l, const struct schema_key *row)
{
    if (row->type == SCHEMA_OUTPUT || row->type == SCHEMA_METHOD) return false;
    return l->use != USE_RUN || strcmp(row->path, "model.path") == 0;
}

static enum graft_status read_path(const struct loader *l, const struct schema_key *row,
                                   const char *label, const struct node *node, const char **out)
{
    const char *text;
    enum graft_status status = read_text(l, row, label, node, &text);
    if (status != GRAFT_OK) return status;
    if (row->type == SCHEMA_METHOD && strchr(text, '/') == NULL) { /* a name */
        *out = text;
        return GRAFT_OK;
    }
    const char *path = resolve_path(l, node);
    if (path == NULL) return read_no_memory(l);
    if (must_be_there(l, row) && (status = check_path(l, row, label, node, path)) != GRAFT_OK)
        return status;
    *out = path;
    return GRAFT_OK;
}

/* One text or a list of at least one, each a path or a plain text. */
static enum graft_status read_names(const struct loader *l, const struct schema_key *row,
                                    const char *label, const struct node *node, struct names *out)
{
    bool list = node->type == NODE_LIST;
    struct names names = {NULL, list ? node->count : 1};
    if (names.count == 0) return refuse_type(l, row, label, node);
    names.items = arena_alloc(&l->s->arena, names.count, sizeof *names.items);
    if (names.items == NULL) return read_no_memory(l);
    const struct node *item = list ? node->first : node;
    for (size_t i = 0; i < names.count; i++, item = item->next) {
        enum graft_status status = row->type == SCHEMA_FILES
                                       ? read_path(l, row, label, item, &names.items[i])
                                       : read_text(l, row, label, item, &names.items[i]);
        if (status != GRAFT_OK) return status;
    }
    *out = names;
    return GRAFT_OK;
}

static enum graft_status read_targets(const struct loader *l, const struct schema_key *row,
                                      const char *label, const struct node *node,
                                      struct targets *out)
{
    if (node->type == NODE_TEXT) return read_text(l, row, label, node, &out->pattern);
    return read_names(l, row, label, node, &out->names);
}

static enum graft_status read_numbers(const struct loader *l, const struct schema_key *row,
                                      const char *label, const struct node *node,
                                      struct numbers *out)
{
    bool list = node->type == NODE_LIST;
    struct numbers numbers = {NULL, list ? node->count : 1};
    if (numbers.count == 0) return refuse_type(l, row, label, node);
    numbers.items = arena_alloc(&l->s->arena, numbers.count, sizeof *numbers.items);
    if (numbers.items == NULL) return read_no_memory(l);
    const struct node *item = list ? node->first : node;
    for (size_t i = 0; i < numbers.count; i++, item = item->next) {
        enum graft_status status = read_integer(l, row, label, item, &numbers.items[i]);
        if (status != GRAFT_OK) return status;
    }
    *out = numbers;
    return GRAFT_OK;
}

static enum graft_status read_rates(const struct loader *l, const struct schema_key *row,
                                    const char *label, const struct node *node, struct rates *out)
{
    bool list = node->type == NODE_LIST;
    struct rates rates = {NULL, list ? node->count : 1};
    if (rates.count == 0) return refuse_type(l, row, label, node);
    rates.items = arena_alloc(&l->s->arena, rates.count, sizeof *rates.items);
    if (rates.items == NULL) return read_no_memory(l);
    const struct node *item = list ? node->first : node;
    for (size_t i = 0; i < rates.count; i++, item = item->next) {
        enum graft_status status = read_float(l, row, label, item, &rates.items[i]);
        if (status != GRAFT_OK) return status;
    }
    *out = rates;
    return GRAFT_OK;
}

enum graft_status read_value(const struct loader *l, const struct schema_key *row,
                             const char *label, const struct node *node, void *base)
{
    void *member = (unsigned char *)base + row->offset;
    switch (row->type) {
    case SCHEMA_BOOL:
        if (node->type != NODE_BOOL) return refuse_type(l, row, label, node);
        *(int32_t *)member = node->b;
        return GRAFT_OK;
    case SCHEMA_INT:
    case SCHEMA_AUTO_INT: return read_integer(l, row, label, node, member);
    case SCHEMA_FLOAT: return read_float(l, row, label, node, member);
    case SCHEMA_CHOICE: return read_choice(l, row, label, node, member);
    case SCHEMA_CHOICES: return read_choices(l, row, label, node, member);
    case SCHEMA_TEXT: return read_text(l, row, label, node, member);
    case SCHEMA_FILE:
    case SCHEMA_ENTRY:
    case SCHEMA_OUTPUT:
    case SCHEMA_METHOD: return read_path(l, row, label, node, member);
    case SCHEMA_FILES:
    case SCHEMA_NAMES: return read_names(l, row, label, node, member);
    case SCHEMA_TARGETS: return read_targets(l, row, label, node, member);
    case SCHEMA_NUMBERS: return read_numbers(l, row, label, node, member);
    case SCHEMA_RATES: return read_rates(l, row, label, node, member);
    case SCHEMA_METHODS:
    case SCHEMA_GROUPS: /* read when the rest is known */
        return node->type == NODE_LIST ? GRAFT_OK : refuse_type(l, row, label, node);
    case SCHEMA_MAP: break;
    }
    return GRAFT_OK;
}

enum graft_status read_default(const struct loader *l, const struct schema_key *row,
                               const char *label, void *base)
{
    struct node *value = NULL;
    if (row->fallback == NULL) return GRAFT_OK;
    enum graft_status status = set_parse_value(&l->s->arena, 0, row->fallback, &value, l->e);
    return status == GRAFT_OK ? read_value(l, row, label, value, base) : status;
}

/* What the key is called here that transformers' arguments, or a recipe's other section, have. */
static const char *key_elsewhere(const char *key)
{
    static const char *const names[][2] = {
        {"learning_rate", "optimizer.lr"},
        {"num_train_epochs", "train.epochs"},
        {"per_device_train_batch_size", "train.batch_size"},
        {"gradient_accumulation_steps", "train.batch_size"},
        {"lr_scheduler_type", "train.schedule"},
        {"optim", "optimizer.method"},
        {"eval_steps", "eval.every"},
        {"save_steps", "checkpoint.every"},
        {"save_total_limit", "checkpoint.keep"},
        {"max_seq_length", "data.max_length"},
        {"bf16", "model.compute"},
        {"fp16", "model.compute"},
        {"load_in_4bit", "model.quantize"},
        {"model_name_or_path", "model.path"},
        {"train_file", "data.train"},
        {"validation_file", "data.valid"},
        {"output_dir", "output"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(key, names[i][0]) == 0) return names[i][1];
    for (size_t i = 0; i < schema_core.count; i++) {
        const char *path = schema_core.keys[i].path, *dot = strrchr(path, '.');
        if (dot != NULL && strcmp(dot + 1, key) == 0) return path;
    }
    return NULL;
}

enum graft_status read_unknown(const struct loader *l, const struct schema *schema,
                               const char *prefix, const struct node *child)
{
    const char *known[64], *name, *nearest;
    char label[128], shown[QUOTE_SIZE], list[ERROR_TEXT_SIZE / 2] = "";
    size_t count = 0, at = 0;
    bool plain = strlen(child->key) < 64 && strpbrk(child->key, " \t\r\n\"") == NULL;
    snprintf(label, sizeof label, "%s%s%s", prefix, *prefix != '\0' ? "." : "",
             plain ? child->key : quote_text(child->key, shown));
    for (size_t i = 0; i < schema->count && count < 64; i++)
        if (schema_below(&schema->keys[i], prefix, &name)) known[count++] = name;
    for (size_t i = 0; i < count && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i != 0 ? ", " : "", known[i]);
    const char *fault = key_fault(child->key);
    nearest = *fault == '\0' ? nearest_word(child->key, known, count) : NULL;
    if (schema == &schema_core && key_elsewhere(child->key) != NULL)
        nearest = key_elsewhere(child->key);
    return read_refuse(l, child->key_place, label, "unknown key%s%s%s%s (known: %s)",
                       nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
                       nearest != NULL ? "\"?" : "", fault, list);
}

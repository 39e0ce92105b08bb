/* SPDX-License-Identifier: Apache-2.0
 *
 * --set: a value put into the tree at a key path, checked afterwards like the file itself. Knows
 * short forms and that a method owns keys; knows nothing else of what keys mean.
 */
#include "recipe/set.h"

#include "base/text.h"
#include "plugin/quote.h"
#include "recipe/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A walk along one key path. */
struct walk {
    struct arena *arena;
    uint32_t number;
    const char *path; /* the whole, for messages */
    const char **dropped;
    struct error *e;
};

static const struct {
    const char *key, *member;
} short_forms[] = {{"model", "path"}, {"backend", "name"}};

const char *set_short_form(const char *key)
{
    for (size_t i = 0; i < sizeof short_forms / sizeof short_forms[0]; i++)
        if (strcmp(short_forms[i].key, key) == 0) return short_forms[i].member;
    return NULL;
}

static struct place set_place(const struct walk *w)
{
    return (struct place){w->number, 0, 0};
}

static enum graft_status no_memory(struct error *e)
{
    return error_memory(e, "a recipe", sizeof(struct node));
}

enum graft_status set_expand(struct arena *arena, struct node *root, struct error *e)
{
    for (size_t i = 0; i < sizeof short_forms / sizeof short_forms[0]; i++) {
        struct node *value = node_get(root, short_forms[i].key);
        if (value == NULL || value->type == NODE_MAP || value->type == NODE_LIST ||
            value->type == NODE_NULL)
            continue;
        struct node *inner = arena_alloc(arena, 1, sizeof *inner);
        if (inner == NULL) return no_memory(e);
        *inner = *value;
        inner->key = short_forms[i].member;
        value->type = NODE_MAP;
        value->count = 0;
        node_append(value, inner);
    }
    return GRAFT_OK;
}

/* What to write instead of several values or of none. */
static const char *many_values(const struct node *list)
{
    if (list->count == 0) return "write null for nothing";
    for (const struct node *item = list->first; item != NULL; item = item->next)
        if (item->type != NODE_INT && item->type != NODE_FLOAT)
            return "quote a text with a comma, put a list in brackets";
    return "a number's decimal sign is a point, a list stands in brackets";
}

enum graft_status set_parse_value(struct arena *arena, uint32_t number, const char *text,
                                  struct node **value, struct error *e)
{
    /* Brackets make the parser read flow values only; the line end closes a comment. */
    struct source source = {"", number};
    struct node *list = NULL;
    char *wrapped = mem_format("[%s\n]", text);
    if (wrapped == NULL) return no_memory(e);
    enum graft_status status = node_parse(arena, &source, wrapped, strlen(wrapped), &list, e);
    mem_free(wrapped);
    if (status != GRAFT_OK) return status;
    if (list->type != NODE_LIST || list->count != 1)
        return error_set(e, GRAFT_E_INVALID, "found %zu values, expected one: %s", list->count,
                         many_values(list));
    *value = list->first;
    (*value)->next = NULL;
    return GRAFT_OK;
}

/* The node's place becomes the --set's as a whole: columns inside a value say little. */
static void flatten_places(struct node *node, struct place place)
{
    node->place = node->key_place = place;
    for (struct node *child = node->first; child != NULL; child = child->next)
        flatten_places(child, place);
}

static enum graft_status refuse(const struct walk *w, const char *format, ...) GRAFT_PRINTF(2, 3);

static enum graft_status refuse(const struct walk *w, const char *format, ...)
{
    char text[ERROR_TEXT_SIZE], path[QUOTE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(path, sizeof path, "%.*s", (int)strcspn(w->path, "="), w->path);
    return error_set(w->e, GRAFT_E_INVALID, "--set %u: %s: %s", (unsigned)w->number, path, text);
}

/* One step down: the child of `node` named `word`, made when it is not there. */
static enum graft_status step_map(const struct walk *w, struct node *node, const char *word,
                                  struct node **child)
{
    *child = node_get(node, word);
    if (*child != NULL) return GRAFT_OK;
    struct node *made = arena_alloc(w->arena, 1, sizeof *made);
    if (made == NULL || (made->key = arena_strdup(w->arena, word)) == NULL) return no_memory(w->e);
    made->type = NODE_NULL;
    made->place = made->key_place = set_place(w);
    node_append(node, made);
    *child = made;
    return GRAFT_OK;
}

static enum graft_status step_list(const struct walk *w, struct node *node, const char *word,
                                   struct node **child)
{
    int64_t index;
    if (!parse_int64(word, &index) || index < 0 || (uint64_t)index >= node->count)
        return refuse(w, "found \"%.40s\" below a list of %zu, expected its number from 0 to %zu",
                      word, node->count, node->count - (node->count != 0));
    *child = node->first;
    while (index-- > 0) *child = (*child)->next;
    return GRAFT_OK;
}

static enum graft_status step(const struct walk *w, struct node *node, const char *word,
                              struct node **child)
{
    int64_t index;
    if (*word == '\0') return refuse(w, "an empty part of a key, expected KEY.PATH=VALUE");
    if (node->type == NODE_LIST) return step_list(w, node, word, child);
    if (node->type == NODE_MAP && node->key != NULL && strcmp(node->key, "adapter") == 0 &&
        parse_int64(word, &index)) { /* one adapter is a list of one */
        if (index != 0) return refuse(w, "found %s, there is one adapter: its number is 0", word);
        *child = node;
        return GRAFT_OK;
    }
    if (node->type == NODE_NULL) {
        node->type = NODE_MAP;
        node->place = set_place(w);
    }
    if (node->type != NODE_MAP) return refuse(w, "\"%.40s\" would lie below a single value", word);
    return step_map(w, node, word, child);
}

static bool is_host_key(const char *owner, const char *key)
{
    const struct schema *schema = strcmp(owner, "adapter") == 0 ? &schema_adapter : &schema_core;
    const char *prefix = schema == &schema_core ? owner : "", *name;
    for (size_t i = 0; i < schema->count; i++)
        if (schema_below(&schema->keys[i], prefix, &name) && strcmp(name, key) == 0) return true;
    return false;
}

/* A new method does not know the old one's keys. */
static enum graft_status drop_method_keys(const struct walk *w, struct node *map, const char *owner,
                                          const char *was, const char *is)
{
    char list[256] = "";
    size_t used = 0;
    for (struct node *child = map->first, *next; child != NULL; child = next) {
        next = child->next;
        if (is_host_key(owner, child->key)) continue;
        node_remove(map, child->key);
        int n =
            snprintf(list + used, sizeof list - used, "%s%s", used != 0 ? ", " : "", child->key);
        if (n > 0) used = used + (size_t)n < sizeof list ? used + (size_t)n : sizeof list - 1;
    }
    if (used == 0) return GRAFT_OK;
    *w->dropped = arena_format(w->arena, "--set %u: %s.method: %s instead of %s: dropped %s",
                               (unsigned)w->number, owner, is, was, list);
    return *w->dropped != NULL ? GRAFT_OK : no_memory(w->e);
}

static void replace(struct node *old, const struct node *value, struct place place)
{
    struct node kept = *old;
    *old = *value;
    old->next = kept.next;
    old->key = kept.key;
    old->key_place = place;
}

static enum graft_status put(const struct walk *w, struct node *parent, struct node *target,
                             const char *owner, struct node *value)
{
    bool is_method = target->key != NULL && strcmp(target->key, "method") == 0 &&
                     (strcmp(owner, "adapter") == 0 || strcmp(owner, "optimizer") == 0);
    enum graft_status status = GRAFT_OK;
    flatten_places(value, set_place(w));
    if (is_method && target->type == NODE_TEXT && value->type == NODE_TEXT &&
        strcmp(target->text, value->text) != 0)
        status = drop_method_keys(w, parent, owner, target->text, value->text);
    replace(target, value, set_place(w));
    return status;
}

static enum graft_status walk_and_put(struct walk *w, struct node *root, char *path,
                                      struct node *value)
{
    struct node *node = root, *parent = root;
    size_t depth = 0;
    char *owner = path;
    for (char *word = path; word != NULL;) {
        char *dot = strchr(word, '.');
        if (dot != NULL) *dot = '\0';
        if (++depth > RECIPE_DEPTH_LIMIT) return refuse(w, "nested deeper than 32 levels");
        struct node *child = NULL;
        enum graft_status status = step(w, node, word, &child);
        if (status != GRAFT_OK) return status;
        if (child != node) parent = node;
        if (strcmp(word, "adapter") == 0 || strcmp(word, "optimizer") == 0) owner = word;
        node = child;
        word = dot != NULL ? dot + 1 : NULL;
    }
    return put(w, parent, node, owner, value);
}

enum graft_status set_apply(struct arena *arena, struct node *root, uint32_t number,
                            const char *text, const char **dropped, struct error *e)
{
    struct walk w = {arena, number, text, dropped, e};
    struct node *value = NULL;
    const char *equals = strchr(text, '=');
    char shown[QUOTE_SIZE];
    if (equals == NULL || equals == text)
        return error_set(e, GRAFT_E_INVALID, "--set %u: found %s, expected KEY.PATH=VALUE",
                         (unsigned)number, quote_text(text, shown));
    char *path = arena_alloc(arena, (size_t)(equals - text) + 1, 1);
    if (path == NULL) return no_memory(e);
    memcpy(path, text, (size_t)(equals - text));
    enum graft_status status = set_parse_value(arena, number, equals + 1, &value, e);
    if (status == GRAFT_E_INVALID) {
        /* The parser has put "--set N: " before its text: the key belongs between. */
        const char *colon = strncmp(e->text, "--set ", 6) == 0 ? strstr(e->text, ": ") : NULL;
        char what[ERROR_TEXT_SIZE];
        snprintf(what, sizeof what, "%s", colon != NULL ? colon + 2 : e->text);
        return refuse(&w, "%s", what);
    }
    if (status == GRAFT_OK) status = walk_and_put(&w, root, path, value);
    return status == GRAFT_OK ? set_expand(arena, root, e) : status;
}

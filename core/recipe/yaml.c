/* SPDX-License-Identifier: Apache-2.0
 *
 * libyaml's events to a tree. The only file that sees libyaml. Refuses what recipes do without:
 * tags, merge keys, keys that are no text, doubled keys, a second document, deep nesting and
 * aliases that grow.
 */
#include "recipe/node.h"

#include "base/text.h"
#include "plugin/quote.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct anchor {
    const char *name;
    struct node *node;
    bool open; /* still being read: an alias to it would be endless */
    struct anchor *next;
};

struct reader {
    yaml_parser_t parser;
    const struct source *source;
    struct arena *arena;
    struct anchor *anchors; /* newest first: a later anchor of a name wins */
    const char *bytes;
    size_t length;
    size_t alias_nodes;
    struct error *e;
};

static struct place place_of(const struct reader *r, yaml_mark_t mark)
{
    return (struct place){r->source->set, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1};
}

/* Puts the place before the error's text. */
static enum graft_status at(const struct reader *r, struct place place)
{
    char text[PLACE_SIZE];
    return error_place(r->e, "%s", place_text(r->source->file, place, text));
}

static enum graft_status refuse(const struct reader *r, struct place place, const char *text)
{
    error_set(r->e, GRAFT_E_INVALID, "%s", text);
    return at(r, place);
}

static enum graft_status no_memory(const struct reader *r)
{
    return error_memory(r->e, "a recipe", r->length);
}

static struct place place_of_offset(const struct reader *r, size_t offset)
{
    struct place place = {r->source->set, 1, 1};
    for (size_t i = 0; i < offset && i < r->length; i++) {
        if (r->bytes[i] == '\n') {
            place.line++;
            place.column = 1;
        } else if (((unsigned char)r->bytes[i] & 0xC0) != 0x80) {
            place.column++;
        }
    }
    return place;
}

/* Does the line of this mark begin with blanks one of which is a tab? libyaml does not name it. */
static bool tab_before(const struct reader *r, yaml_mark_t mark)
{
    const char *line = r->bytes, *end = r->bytes + r->length;
    for (size_t i = 0; i < mark.line && line != NULL; i++) {
        line = memchr(line, '\n', (size_t)(end - line));
        if (line != NULL) line++;
    }
    for (; line != NULL && line < end && (*line == ' ' || *line == '\t'); line++)
        if (*line == '\t') return true;
    return false;
}

static enum graft_status syntax_error(const struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) return no_memory(r);
    char begun[48] = "";
    if (p->error != YAML_READER_ERROR && tab_before(r, p->problem_mark)) {
        error_set(r->e, GRAFT_E_INVALID, "not valid YAML: a tab: indent with spaces");
        return at(r, place_of(r, p->problem_mark));
    }
    if (p->context != NULL && p->context_mark.line != p->problem_mark.line)
        snprintf(begun, sizeof begun, " from line %zu on", p->context_mark.line + 1);
    error_set(r->e, GRAFT_E_INVALID, "not valid YAML: %s%s%s%s",
              p->context != NULL ? p->context : "", begun, p->context != NULL ? ", " : "",
              p->problem != NULL ? p->problem : "unknown");
    if (p->error == YAML_READER_ERROR) return at(r, place_of_offset(r, p->problem_offset));
    return at(r, place_of(r, p->problem_mark));
}

static enum graft_status next_event(struct reader *r, yaml_event_t *event)
{
    return yaml_parser_parse(&r->parser, event) ? GRAFT_OK : syntax_error(r);
}

static struct node *new_node(struct reader *r, enum node_type type, struct place place)
{
    struct node *node = arena_alloc(r->arena, 1, sizeof *node);
    if (node == NULL) return NULL;
    node->type = type;
    node->place = place;
    return node;
}

static enum graft_status add_anchor(struct reader *r, const yaml_char_t *name, struct node *node,
                                    struct anchor **out)
{
    if (name == NULL) return GRAFT_OK;
    struct anchor *anchor = arena_alloc(r->arena, 1, sizeof *anchor);
    if (anchor == NULL) return no_memory(r);
    anchor->name = arena_strdup(r->arena, (const char *)name);
    if (anchor->name == NULL) return no_memory(r);
    anchor->node = node;
    anchor->open = true;
    anchor->next = r->anchors;
    r->anchors = anchor;
    *out = anchor;
    return GRAFT_OK;
}

/* A copy, so that a --set into one use does not change the other. */
static enum graft_status copy_node(struct reader *r, const struct node *from, size_t depth,
                                   struct place place, struct node **out)
{
    if (++r->alias_nodes > RECIPE_ALIAS_LIMIT)
        return refuse(r, place, "aliases add more than 1000 nodes: write some of them out");
    if (depth > RECIPE_DEPTH_LIMIT) return refuse(r, place, "nested deeper than 32 levels");
    struct node *copy = new_node(r, from->type, from->place);
    if (copy == NULL) return no_memory(r);
    *copy = *from;
    copy->first = NULL;
    copy->next = NULL;
    struct node **end = &copy->first;
    for (const struct node *child = from->first; child != NULL; child = child->next) {
        enum graft_status status = copy_node(r, child, depth + 1, place, end);
        if (status != GRAFT_OK) return status;
        end = &(*end)->next;
    }
    *out = copy;
    return GRAFT_OK;
}

static enum graft_status read_alias(struct reader *r, const yaml_event_t *event, size_t depth,
                                    struct node **out)
{
    const char *name = (const char *)event->data.alias.anchor;
    struct place place = place_of(r, event->start_mark);
    char shown[QUOTE_SIZE];
    for (struct anchor *a = r->anchors; a != NULL; a = a->next) {
        if (strcmp(a->name, name) != 0) continue;
        if (a->open) return refuse(r, place, "an alias inside its own anchor would be endless");
        return copy_node(r, a->node, depth, place, out);
    }
    error_set(r->e, GRAFT_E_INVALID, "alias %s has no anchor before it", quote_text(name, shown));
    return at(r, place);
}

static enum graft_status read_scalar(struct reader *r, const yaml_event_t *event, struct node **out)
{
    struct place place = place_of(r, event->start_mark);
    const char *value = (const char *)event->data.scalar.value;
    struct anchor *anchor = NULL;
    struct node *node = new_node(r, NODE_TEXT, place);
    char *text = arena_alloc(r->arena, event->data.scalar.length + 1, 1);
    enum graft_status status;
    if (node == NULL || text == NULL) return no_memory(r);
    memcpy(text, value, event->data.scalar.length);
    node->text = text;
    if (event->data.scalar.tag != NULL)
        return refuse(r, place, "tags are not allowed: leave out what begins with \"!\"");
    if (memchr(text, '\0', event->data.scalar.length) != NULL)
        return refuse(r, place, "a NUL byte is not allowed");
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
        (status = node_resolve(text, node, r->e)) != GRAFT_OK)
        return at(r, place);
    if ((status = add_anchor(r, event->data.scalar.anchor, node, &anchor)) != GRAFT_OK)
        return status;
    if (anchor != NULL) anchor->open = false;
    *out = node;
    return GRAFT_OK;
}

static int by_key(const void *a, const void *b)
{
    const struct node *x = *(struct node *const *)a, *y = *(struct node *const *)b;
    int order = strcmp(x->key, y->key);
    if (order != 0) return order;
    if (x->key_place.line != y->key_place.line)
        return x->key_place.line < y->key_place.line ? -1 : 1;
    return x->key_place.column < y->key_place.column ? -1 : 1;
}

static enum graft_status check_doubled(struct reader *r, const struct node *map)
{
    struct node **sorted = mem_zalloc(map->count, sizeof(struct node *));
    enum graft_status status = GRAFT_OK;
    size_t count = 0;
    if (sorted == NULL) return no_memory(r);
    for (struct node *child = map->first; child != NULL; child = child->next)
        sorted[count++] = child;
    if (count != 0) qsort(sorted, count, sizeof(struct node *), by_key);
    for (size_t i = 1; status == GRAFT_OK && i < count; i++) {
        char shown[QUOTE_SIZE];
        if (strcmp(sorted[i]->key, sorted[i - 1]->key) != 0) continue;
        error_set(r->e, GRAFT_E_INVALID, "key %s stands twice, first in line %u: keep one",
                  quote_text(sorted[i]->key, shown), (unsigned)sorted[i - 1]->key_place.line);
        status = at(r, sorted[i]->key_place);
    }
    mem_free(sorted);
    return status;
}

static enum graft_status read_node(struct reader *r, const yaml_event_t *event, size_t depth,
                                   struct node **out);

/* The key's text into the arena. */
static enum graft_status read_key(struct reader *r, const yaml_event_t *event, const char **key)
{
    struct place place = place_of(r, event->start_mark);
    if (event->type != YAML_SCALAR_EVENT)
        return refuse(r, place, "a key must be a word, not a list, a mapping or an alias");
    if (event->data.scalar.tag != NULL || event->data.scalar.anchor != NULL)
        return refuse(r, place, "tags and anchors are not allowed on a key");
    const char *text = (const char *)event->data.scalar.value;
    if (strlen(text) != event->data.scalar.length)
        return refuse(r, place, "a NUL byte is not allowed");
    if (*text == '\0') return refuse(r, place, "a key is empty");
    if (strcmp(text, "<<") == 0 && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return refuse(r, place, "merge keys are not allowed: write the keys out");
    *key = arena_strdup(r->arena, text);
    return *key != NULL ? GRAFT_OK : no_memory(r);
}

static enum graft_status read_child(struct reader *r, struct node *parent, yaml_event_t *event,
                                    size_t depth, struct node **child)
{
    const char *key = NULL;
    struct place key_place = place_of(r, event->start_mark);
    enum graft_status status;
    if (parent->type == NODE_MAP) {
        yaml_event_t value;
        if ((status = read_key(r, event, &key)) != GRAFT_OK ||
            (status = next_event(r, &value)) != GRAFT_OK)
            return status;
        status = read_node(r, &value, depth + 1, child);
        yaml_event_delete(&value);
    } else {
        status = read_node(r, event, depth + 1, child);
    }
    if (status == GRAFT_OK) {
        (*child)->key = key;
        (*child)->key_place = key_place;
    }
    return status;
}

/* A list or a mapping, up to its end. */
static enum graft_status read_children(struct reader *r, struct node *parent, size_t depth)
{
    yaml_event_type_t last =
        parent->type == NODE_MAP ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    struct node **end = &parent->first;
    for (;;) {
        yaml_event_t event;
        enum graft_status status = next_event(r, &event);
        if (status != GRAFT_OK) return status;
        bool done = event.type == last;
        if (!done) status = read_child(r, parent, &event, depth, end);
        yaml_event_delete(&event);
        if (status != GRAFT_OK) return status;
        if (done) break;
        end = &(*end)->next;
        parent->count++;
    }
    return parent->type == NODE_MAP ? check_doubled(r, parent) : GRAFT_OK;
}

static enum graft_status read_node(struct reader *r, const yaml_event_t *event, size_t depth,
                                   struct node **out)
{
    struct place place = place_of(r, event->start_mark);
    struct anchor *anchor = NULL;
    bool map = event->type == YAML_MAPPING_START_EVENT;
    enum graft_status status;
    if (event->type == YAML_ALIAS_EVENT) return read_alias(r, event, depth, out);
    if (event->type == YAML_SCALAR_EVENT) return read_scalar(r, event, out);
    const yaml_char_t *tag = map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    const yaml_char_t *name =
        map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    if (tag != NULL)
        return refuse(r, place, "tags are not allowed: leave out what begins with \"!\"");
    if (depth > RECIPE_DEPTH_LIMIT) return refuse(r, place, "nested deeper than 32 levels");
    struct node *node = new_node(r, map ? NODE_MAP : NODE_LIST, place);
    if (node == NULL) return no_memory(r);
    if ((status = add_anchor(r, name, node, &anchor)) != GRAFT_OK) return status;
    if ((status = read_children(r, node, depth)) != GRAFT_OK) return status;
    if (anchor != NULL) anchor->open = false;
    *out = node;
    return GRAFT_OK;
}

/* Stream start, one document, stream end. */
static enum graft_status read_stream(struct reader *r, struct node **root)
{
    enum graft_status status = GRAFT_OK;
    struct node *found = NULL;
    for (bool done = false; status == GRAFT_OK && !done;) {
        yaml_event_t event;
        if ((status = next_event(r, &event)) != GRAFT_OK) break;
        if (event.type == YAML_STREAM_END_EVENT) {
            done = true;
        } else if (event.type == YAML_DOCUMENT_START_EVENT) {
            if (found != NULL)
                status = refuse(r, place_of(r, event.start_mark),
                                "a second document is not allowed: keep one");
        } else if (event.type != YAML_STREAM_START_EVENT && event.type != YAML_DOCUMENT_END_EVENT) {
            status = read_node(r, &event, 1, &found);
        }
        yaml_event_delete(&event);
    }
    if (status == GRAFT_OK && found == NULL)
        status = refuse(r, (struct place){r->source->set, 0, 0}, "is empty: nothing is asked for");
    if (status == GRAFT_OK) *root = found;
    return status;
}

static enum graft_status check_bytes(const struct reader *r)
{
    if (r->length > RECIPE_SIZE_LIMIT)
        return refuse(r, (struct place){r->source->set, 0, 0}, "larger than 1 MiB");
    size_t good = utf8_check(r->bytes, r->length);
    bool wide = r->length >= 2 &&
                (memcmp(r->bytes, "\xFF\xFE", 2) == 0 || memcmp(r->bytes, "\xFE\xFF", 2) == 0);
    if (wide) return refuse(r, (struct place){r->source->set, 0, 0}, "is UTF-16: save it as UTF-8");
    if (good != r->length)
        return refuse(r, place_of_offset(r, good), "not UTF-8: save it as UTF-8");
    const char *nul = memchr(r->bytes, '\0', r->length);
    if (nul != NULL)
        return refuse(r, place_of_offset(r, (size_t)(nul - r->bytes)), "a NUL byte is not allowed");
    return GRAFT_OK;
}

enum graft_status node_parse(struct arena *arena, const struct source *source, const char *bytes,
                             size_t length, struct node **root, struct error *e)
{
    struct reader r = {.source = source, .arena = arena, .bytes = bytes, .length = length, .e = e};
    if (length >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0) { /* byte order mark */
        r.bytes += 3;
        r.length -= 3;
    }
    enum graft_status status = check_bytes(&r);
    if (status != GRAFT_OK) return status;
    if (!yaml_parser_initialize(&r.parser)) return no_memory(&r);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)r.bytes, r.length);
    status = read_stream(&r, root);
    yaml_parser_delete(&r.parser);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes: what a scalar is, children, places. Knows no YAML syntax.
 */
#include "recipe/node.h"

#include "base/text.h"
#include "plugin/quote.h"

#include <stdio.h>
#include <string.h>

static bool is_not_finite(const char *text)
{
    static const char *const words[] = {".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF"};
    const char *p = text + (*text == '-' || *text == '+');
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(p, words[i]) == 0) return true;
    return false;
}

static bool is_null(const char *text)
{
    return *text == '\0' || strcmp(text, "null") == 0 || strcmp(text, "~") == 0;
}

enum graft_status node_resolve(const char *text, struct node *node, struct error *e)
{
    char shown[QUOTE_SIZE];
    node->text = text;
    node->type = NODE_TEXT;
    if (is_null(text)) {
        node->type = NODE_NULL;
    } else if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        node->type = NODE_BOOL;
        node->b = *text == 't';
    } else if (text_is_integer(text)) {
        node->type = NODE_INT;
        if (!parse_int64(text, &node->i))
            return error_set(e, GRAFT_E_INVALID, "found %s, integers are from -2^63 to 2^63 - 1",
                             quote_text(text, shown));
    } else if (text_is_decimal(text)) {
        node->type = NODE_FLOAT;
        if (!parse_double(text, &node->f))
            return error_set(e, GRAFT_E_INVALID, "found %s, numbers are at most 1.7e308",
                             quote_text(text, shown));
    } else if (is_not_finite(text)) {
        return error_set(e, GRAFT_E_INVALID,
                         "found %s, only finite numbers are allowed (quote it "
                         "if it is text)",
                         quote_text(text, shown));
    }
    return GRAFT_OK;
}

struct node *node_get(const struct node *map, const char *key)
{
    for (struct node *child = map->first; child != NULL; child = child->next)
        if (child->key != NULL && strcmp(child->key, key) == 0) return child;
    return NULL;
}

void node_append(struct node *parent, struct node *child)
{
    struct node **end = &parent->first;
    while (*end != NULL) end = &(*end)->next;
    child->next = NULL;
    *end = child;
    parent->count++;
}

struct node *node_remove(struct node *map, const char *key)
{
    for (struct node **at = &map->first; *at != NULL; at = &(*at)->next) {
        struct node *child = *at;
        if (strcmp(child->key, key) != 0) continue;
        *at = child->next;
        map->count--;
        return child;
    }
    return NULL;
}

char *place_text(const char *file, struct place place, char out[PLACE_SIZE])
{
    if (place.set != 0)
        snprintf(out, PLACE_SIZE, "--set %u", (unsigned)place.set);
    else if (place.line == 0)
        snprintf(out, PLACE_SIZE, "%s", file);
    else
        snprintf(out, PLACE_SIZE, "%s:%u:%u", file, (unsigned)place.line, (unsigned)place.column);
    return out;
}

const char *node_show(const struct node *node, char *out)
{
    switch (node->type) {
    case NODE_NULL: return "null";
    case NODE_LIST: return "a list";
    case NODE_MAP: return "a mapping";
    case NODE_TEXT: return quote_text(node->text, out);
    default: break;
    }
    snprintf(out, QUOTE_SIZE, "%.60s", node->text);
    return out;
}

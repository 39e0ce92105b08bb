/* SPDX-License-Identifier: Apache-2.0
 *
 * A recipe as a typed tree in which every node knows its place. YAML 1.2's core schema, narrowed
 * (interface.md, section 2). Knows no key's meaning; only yaml.c sees libyaml.
 */
#ifndef CORE_RECIPE_NODE_H
#define CORE_RECIPE_NODE_H

#include "base/error.h"
#include "base/memory.h"

enum {
    RECIPE_SIZE_LIMIT = 1024 * 1024,
    RECIPE_DEPTH_LIMIT = 32,
    RECIPE_ALIAS_LIMIT = 1000, /* nodes that aliases may add */
    PLACE_SIZE = 512
};

enum node_type { NODE_NULL, NODE_BOOL, NODE_INT, NODE_FLOAT, NODE_TEXT, NODE_LIST, NODE_MAP };

/* Where something stands: a line and column (from 1) of the file, or a --set (its number from 1),
 * or the core's own table (both 0). */
struct place {
    uint32_t set, line, column;
};

struct node {
    enum node_type type;
    struct place place;
    bool b;
    int64_t i;
    double f;
    const char *text;   /* TEXT, and of other scalars as they were written */
    struct node *first; /* items of a list, values of a mapping */
    size_t count;
    struct node *next; /* among siblings */
    const char *key;   /* of a value in a mapping */
    struct place key_place;
};

/* What a tree is read from. */
struct source {
    const char *file; /* as the user named it, for messages */
    uint32_t set;     /* 0: the file; else the number of the --set */
};

/* One document out of `bytes` into the arena. */
GRAFT_MUST_USE enum graft_status node_parse(struct arena *arena, const struct source *source,
                                            const char *bytes, size_t length, struct node **root,
                                            struct error *e);

/* What an unquoted scalar is; false with an error for nan, infinity and numbers too large. */
GRAFT_MUST_USE enum graft_status node_resolve(const char *text, struct node *node, struct error *e);

/* NULL when the mapping has no such key. */
struct node *node_get(const struct node *map, const char *key);
void node_append(struct node *parent, struct node *child);
/* Takes the child with this key out; NULL when there is none. */
struct node *node_remove(struct node *map, const char *key);

/* "recipe.yaml:12:9" or "--set 2"; returns `out`. */
char *place_text(const char *file, struct place place, char out[PLACE_SIZE]);

/* "a list", "text \"abc\"", "3"; `out` has QUOTE_SIZE bytes of plugin/quote.h. */
const char *node_show(const struct node *node, char *out);

#endif

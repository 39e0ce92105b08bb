/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the recipe room: from the tree to the settings' members, row by row of the tables.
 */
#ifndef CORE_RECIPE_READ_H
#define CORE_RECIPE_READ_H

#include "recipe/node.h"
#include "recipe/schema.h"
#include "recipe/settings.h"

/* What is asked of a recipe: all that a run needs; model and data alone (a `compare` is passed
 * over); or, of a run that has been, the model and how rows became tokens. */
enum recipe_use { USE_ALL, USE_DATA, USE_RUN };

/* What one load works on. */
struct loader {
    struct settings *s;
    struct node *root;
    struct node **given;  /* per row of schema_core; NULL: default */
    const char **dropped; /* by each --set, or NULL: what to log once all is right */
    size_t set_count;
    enum recipe_use use;
    struct error *e;
};

/* The file, its short forms and the --set texts: l->root, for a new l->s that is otherwise empty.
 */
GRAFT_MUST_USE enum graft_status read_recipe(struct loader *l, const char *path,
                                             const char *const *sets, size_t set_count);
/* Logs which keys the --set texts dropped. */
void read_log_dropped(const struct loader *l);
/* l->root to l->s: the walk over the tree, what is missing, what contradicts, the plugins. */
GRAFT_MUST_USE enum graft_status read_tree(struct loader *l);

/* "PLACE: KEY: text" with status GRAFT_E_INVALID. */
enum graft_status read_refuse(const struct loader *l, struct place place, const char *key,
                              const char *format, ...) GRAFT_PRINTF(4, 5);
enum graft_status read_no_memory(const struct loader *l);

/* Reads one value into base + row->offset; `label` is the whole key for messages. */
GRAFT_MUST_USE enum graft_status read_value(const struct loader *l, const struct schema_key *row,
                                            const char *label, const struct node *node, void *base);
/* The same with the row's default, if it has one. */
GRAFT_MUST_USE enum graft_status read_default(const struct loader *l, const struct schema_key *row,
                                              const char *label, void *base);

/* "nearest and known keys below prefix" for a key that no row has. */
GRAFT_MUST_USE enum graft_status read_unknown(const struct loader *l, const struct schema *schema,
                                              const char *prefix, const struct node *child);

/* The place as a text that lives as long as the settings; NULL when memory ran out. */
const char *read_place(const struct loader *l, struct place place);

/* The mapping "optimizer" and "adapter" (a mapping or a list): host keys, plugin, plugin's keys. */
GRAFT_MUST_USE enum graft_status read_optimizer(const struct loader *l, const struct node *map);
GRAFT_MUST_USE enum graft_status read_adapters(const struct loader *l, const struct node *node);

/* Why a core key changes nothing in these settings, or NULL when it has an effect. */
const char *effect_missing(const struct settings *s, const char *key);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the recipe room: changes to the tree before it is read.
 */
#ifndef CORE_RECIPE_SET_H
#define CORE_RECIPE_SET_H

#include "recipe/node.h"

/* "model: x" becomes {path: x}, "backend: x" becomes {name: x}. */
GRAFT_MUST_USE enum graft_status set_expand(struct arena *arena, struct node *root,
                                            struct error *e);

/* The member that a plain value of this top key stands for ("model": "path"), or NULL. */
const char *set_short_form(const char *key);

/* Applies "key.path=value", the `number`-th --set (from 1). *dropped becomes what to log once the
 * recipe is known to be right, where another method made keys go; else it stays. */
GRAFT_MUST_USE enum graft_status set_apply(struct arena *arena, struct node *root, uint32_t number,
                                           const char *text, const char **dropped, struct error *e);

/* One YAML flow value; its nodes' places are the --set `number`'s, or the table's own (0). */
GRAFT_MUST_USE enum graft_status set_parse_value(struct arena *arena, uint32_t number,
                                                 const char *text, struct node **value,
                                                 struct error *e);

#endif

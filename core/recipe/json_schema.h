/* SPDX-License-Identifier: Apache-2.0
 *
 * The recipe's tables and the plugins' option tables as one JSON Schema (draft 2020-12), for
 * editors and for checks outside graft.
 */
#ifndef CORE_RECIPE_JSON_SCHEMA_H
#define CORE_RECIPE_JSON_SCHEMA_H

#include "plugin/plugin.h"

/* A new reference; NULL when memory ran out. Plugins of every kind, in any order; NULL items are
 * passed over. A method that is a file ("./adapter-my.so") may have any keys. */
json_t *recipe_json_schema(const struct plugin *const *plugins, size_t count);

#endif

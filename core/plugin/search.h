/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the plugin room: where files are looked for, and what their names say.
 */
#ifndef CORE_PLUGIN_SEARCH_H
#define CORE_PLUGIN_SEARCH_H

#include "plugin/plugin.h"

#include <stdbool.h>

struct text_list {
    char **items;
    size_t count, capacity;
};

void text_list_fini(struct text_list *list);

/* The folders in order. GRAFT_PLUGIN_PATH with a relative entry is an error. */
GRAFT_MUST_USE enum graft_status search_folders(struct text_list *folders, struct error *e);
/* Paths of all *.so files in `folder`, sorted; a folder that cannot be read has none. */
GRAFT_MUST_USE enum graft_status search_files(const char *folder, struct text_list *files,
                                              struct error *e);

/* Splits "DIR/KIND-NAME.so": the kind's number (0: none) and where the name starts and how long
 * it is. False when the file is not named so. */
bool search_split(const char *path, enum graft_plugin_kind *kind, const char **name,
                  size_t *name_length);

/* The part after the last slash. */
const char *path_base(const char *path);

#endif

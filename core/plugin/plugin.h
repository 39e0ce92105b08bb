/* SPDX-License-Identifier: Apache-2.0
 *
 * Plugins: found by name or file, checked field by field, loaded once, never unloaded. Only this
 * room knows how a shared object is opened. Knows no particular plugin.
 */
#ifndef CORE_PLUGIN_PLUGIN_H
#define CORE_PLUGIN_PLUGIN_H

#include "base/error.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"

#include <graft/plugin.h>
#include <stdbool.h>

/* A checked plugin. The descriptor and the options are copies in this graft's own layout, whatever
 * (older or newer) layout the file was compiled with; texts and functions lie in the library. */
struct plugin {
    enum graft_plugin_kind kind;
    const char *name, *version, *license, *summary;
    const char *path; /* absolute */
    uint32_t abi_major, abi_minor;
    const struct graft_option *options;
    size_t option_count;
    size_t options_size;   /* of the struct that the plugin wants filled */
    const void *functions; /* at least the first version's size of its kind; begins with it */
};

/* "adapter", "optimizer", "backend". */
const char *plugin_kind_name(enum graft_plugin_kind kind);

/* Finds and loads. A name with a slash is a file, relative to `base_dir`; another is searched in
 * GRAFT_PLUGIN_PATH and then in the plugin folder beside the program. The plugin lives as long as
 * the process; the same file gives the same pointer. Any thread. */
GRAFT_MUST_USE enum graft_status plugin_load(enum graft_plugin_kind kind, const char *name_or_path,
                                             const char *base_dir, const struct plugin **plugin,
                                             struct error *e);

/* The file that plugin_load would open, without opening it. The caller frees with mem_free. */
GRAFT_MUST_USE enum graft_status plugin_find(enum graft_plugin_kind kind, const char *name_or_path,
                                             const char *base_dir, char **path, struct error *e);

/* One file of a searched folder. */
struct plugin_found {
    char *path;
    const struct plugin *plugin; /* NULL: refused or hidden */
    char *refusal;               /* the line that says why; NULL: none */
    char *hidden_by;             /* the file of the same name that is found first; NULL: none */
};

struct plugin_list {
    struct plugin_found *items; /* in order of search, sorted by name within a folder */
    size_t count, capacity;
};

/* Loads everything that can be found but what is hidden. A broken file is an item, not a
 * failure. */
GRAFT_MUST_USE enum graft_status plugin_list_create(struct plugin_list **list, struct error *e);
void plugin_list_destroy(struct plugin_list *list);

/* Of the plugin's file as it is now. */
GRAFT_MUST_USE enum graft_status plugin_hash(const struct plugin *plugin, char hex[HASH_HEX_SIZE],
                                             struct error *e);

/* Of an adapter: the field of its config that has this key, or NULL. */
struct graft_config_field;
const struct graft_config_field *plugin_config_field(const struct plugin *plugin, const char *key);
/* Does its file have a place for the model's own numbers, trained by the host: "bias",
 * "modules_to_save"? */
bool plugin_trains_own(const struct plugin *plugin, const char *key);

/* What `graft plugin show` prints: the descriptor, then a table of its keys. */
void plugin_describe(const struct plugin *plugin, struct str *out);
/* The same as data, a new reference; NULL when memory ran out. */
json_t *plugin_json(const struct plugin *plugin);

#endif

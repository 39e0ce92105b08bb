/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening: the one place that calls dlopen. Holds the registry of loaded plugins, one of the
 * core's two documented globals: a library is loaded once and never unloaded, because handles to
 * its constants go everywhere.
 */
#define _XOPEN_SOURCE 700 /* realpath */

#include "plugin/plugin.h"

#include "base/memory.h"
#include "plugin/check.h"
#include "plugin/search.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    struct plugin plugin;
    struct entry *next;
};

static struct entry *registry;
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;

static enum graft_status open_library(struct entry *entry, const char *path, struct error *e)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        const char *why = dlerror();
        return error_set(e, GRAFT_E_INVALID, "%s: cannot be loaded: %s", path_base(path),
                         why != NULL ? why : "no reason given");
    }
    const void *descriptor = dlsym(library, "graft_plugin");
    enum graft_status status;
    if (descriptor == NULL)
        status = error_set(e, GRAFT_E_INVALID,
                           "%s: symbol: found no graft_plugin, expected "
                           "GRAFT_EXPORT const struct graft_plugin graft_plugin",
                           path_base(path));
    else
        status = check_descriptor(descriptor, path, &entry->plugin, e);
    if (status != GRAFT_OK) dlclose(library);
    return status;
}

/* `path` has no links in it. Called with the lock held. */
static enum graft_status load_file(const char *path, const struct plugin **plugin, struct error *e)
{
    for (struct entry *entry = registry; entry != NULL; entry = entry->next) {
        if (strcmp(entry->plugin.path, path) != 0) continue;
        *plugin = &entry->plugin;
        return GRAFT_OK;
    }
    struct entry *entry = mem_zalloc(1, sizeof *entry);
    char *own_path = mem_strdup(path);
    enum graft_status status = entry != NULL && own_path != NULL
                                   ? open_library(entry, own_path, e)
                                   : error_memory(e, "a plugin", sizeof *entry);
    if (status != GRAFT_OK) {
        mem_free(own_path);
        mem_free(entry);
        return status;
    }
    entry->next = registry;
    registry = entry;
    *plugin = &entry->plugin;
    return GRAFT_OK;
}

static enum graft_status load_path(const char *path, const struct plugin **plugin, struct error *e)
{
    char *real = realpath(path, NULL);
    if (real == NULL) return error_set(e, GRAFT_E_INVALID, "%s: %s", path, strerror(errno));
    pthread_mutex_lock(&registry_lock);
    enum graft_status status = load_file(real, plugin, e);
    pthread_mutex_unlock(&registry_lock);
    free(real);
    return status;
}

enum graft_status plugin_load(enum graft_plugin_kind kind, const char *name_or_path,
                              const char *base_dir, const struct plugin **plugin, struct error *e)
{
    const struct plugin *loaded = NULL;
    char *path = NULL;
    enum graft_status status = plugin_find(kind, name_or_path, base_dir, &path, e);
    if (status != GRAFT_OK) return status;
    status = load_path(path, &loaded, e);
    if (status == GRAFT_OK && loaded->kind != kind)
        status = error_set(e, GRAFT_E_INVALID, "%s: found a plugin of kind %s, expected %s",
                           path_base(path), plugin_kind_name(loaded->kind), plugin_kind_name(kind));
    if (status == GRAFT_OK) *plugin = loaded;
    mem_free(path);
    return status;
}

/* The earlier item of the same file name, or NULL. */
static const char *hidden_by(const struct plugin_list *list, const char *path)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(path_base(list->items[i].path), path_base(path)) == 0)
            return list->items[i].path;
    return NULL;
}

/* Takes over `path`. */
static enum graft_status list_file(struct plugin_list *list, char *path, struct error *e)
{
    struct error why = {0};
    struct plugin_found item = {.path = path};
    const char *first = hidden_by(list, path);
    bool whole = array_reserve(&list->items, &list->capacity, list->count + 1, sizeof item);
    if (first != NULL) {
        item.hidden_by = mem_strdup(first);
        whole = whole && item.hidden_by != NULL;
    } else if (whole && load_path(path, &item.plugin, &why) != GRAFT_OK) {
        item.refusal = mem_strdup(why.text);
        whole = item.refusal != NULL && why.status != GRAFT_E_MEMORY;
    }
    if (whole) {
        list->items[list->count++] = item;
        return GRAFT_OK;
    }
    mem_free(item.refusal);
    mem_free(item.hidden_by);
    mem_free(path);
    return error_memory(e, "the list of plugins", sizeof item);
}

enum graft_status plugin_list_create(struct plugin_list **out, struct error *e)
{
    struct text_list folders = {0};
    struct plugin_list *list = mem_zalloc(1, sizeof *list);
    if (list == NULL) return error_memory(e, "the list of plugins", sizeof *list);
    enum graft_status status = search_folders(&folders, e);
    for (size_t i = 0; status == GRAFT_OK && i < folders.count; i++) {
        struct text_list files = {0};
        status = search_files(folders.items[i], &files, e);
        for (size_t f = 0; status == GRAFT_OK && f < files.count; f++) {
            char *path = files.items[f];
            files.items[f] = NULL; /* the list has it now */
            status = list_file(list, path, e);
        }
        text_list_fini(&files);
    }
    text_list_fini(&folders);
    if (status == GRAFT_OK)
        *out = list;
    else
        plugin_list_destroy(list);
    return status;
}

void plugin_list_destroy(struct plugin_list *list)
{
    if (list == NULL) return;
    for (size_t i = 0; i < list->count; i++) {
        mem_free(list->items[i].path);
        mem_free(list->items[i].refusal);
        mem_free(list->items[i].hidden_by);
    }
    mem_free(list->items);
    mem_free(list);
}

enum graft_status plugin_hash(const struct plugin *plugin, char hex[HASH_HEX_SIZE], struct error *e)
{
    return hash_file_hex(plugin->path, hex, e);
}

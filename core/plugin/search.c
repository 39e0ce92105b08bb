/* SPDX-License-Identifier: Apache-2.0
 *
 * Where plugins are looked for: GRAFT_PLUGIN_PATH, then the folder at its fixed place relative to
 * the program. Never the working directory. Opens no library.
 */
#define _XOPEN_SOURCE 700 /* realpath */

#include "plugin/search.h"

#include "base/memory.h"
#include "plugin/quote.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void text_list_fini(struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++) mem_free(list->items[i]);
    mem_free(list->items);
    *list = (struct text_list){0};
}

/* Takes over `text`; frees it on failure, and fails when it is NULL. */
static bool text_list_push(struct text_list *list, char *text)
{
    if (text == NULL ||
        !array_reserve(&list->items, &list->capacity, list->count + 1, sizeof *list->items)) {
        mem_free(text);
        return false;
    }
    list->items[list->count++] = text;
    return true;
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static enum graft_status add_environment(struct text_list *folders, struct error *e)
{
    char shown[QUOTE_SIZE];
    const char *at = getenv("GRAFT_PLUGIN_PATH");
    while (at != NULL && *at != '\0') {
        size_t length = strcspn(at, ":");
        if (length != 0) {
            char *folder = mem_strndup(at, length);
            if (folder != NULL && *folder != '/') {
                error_set(e, GRAFT_E_INVALID,
                          "GRAFT_PLUGIN_PATH: %s is not absolute: every entry "
                          "must start with /",
                          quote_text(folder, shown));
                mem_free(folder);
                return GRAFT_E_INVALID;
            }
            if (!text_list_push(folders, folder)) return error_memory(e, "a plugin folder", length);
        }
        at += length + (at[length] == ':');
    }
    return GRAFT_OK;
}

enum graft_status search_folders(struct text_list *folders, struct error *e)
{
    char program[4096];
    enum graft_status status = add_environment(folders, e);
    if (status != GRAFT_OK) return status;
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0) return GRAFT_OK; /* no /proc: only the named folders are left */
    program[length] = '\0';
    char *folder =
        mem_format("%.*s%s", (int)(path_base(program) - program), program, GRAFT_PLUGIN_RELATIVE);
    if (folder == NULL) return error_memory(e, "the plugin folder's name", (size_t)length);
    char *real = realpath(folder, NULL); /* "/usr/lib/...", not "/usr/bin/../lib/..." */
    if (real != NULL) {
        mem_free(folder);
        folder = mem_strdup(real);
        free(real);
    }
    if (!text_list_push(folders, folder)) return error_memory(e, "a plugin folder", 0);
    return GRAFT_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum graft_status search_files(const char *folder, struct text_list *files, struct error *e)
{
    DIR *directory = opendir(folder);
    if (directory == NULL) return GRAFT_OK;
    enum graft_status status = GRAFT_OK;
    for (struct dirent *entry; status == GRAFT_OK && (entry = readdir(directory)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length < 4 || strcmp(entry->d_name + length - 3, ".so") != 0) continue;
        if (!text_list_push(files, mem_format("%s/%s", folder, entry->d_name)))
            status = error_memory(e, "a plugin's path", length);
    }
    closedir(directory);
    if (files->count != 0) qsort(files->items, files->count, sizeof *files->items, by_text);
    return status;
}

bool search_split(const char *path, enum graft_plugin_kind *kind, const char **name,
                  size_t *name_length)
{
    static const enum graft_plugin_kind kinds[] = {GRAFT_PLUGIN_ADAPTER, GRAFT_PLUGIN_OPTIMIZER,
                                                   GRAFT_PLUGIN_BACKEND};
    const char *base = path_base(path);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const char *word = plugin_kind_name(kinds[i]);
        size_t n = strlen(word);
        if (strncmp(base, word, n) != 0 || base[n] != '-') continue;
        const char *start = base + n + 1;
        size_t length = strspn(start, "abcdefghijklmnopqrstuvwxyz0123456789_");
        if (length == 0 || strcmp(start + length, ".so") != 0) return false;
        *kind = kinds[i];
        *name = start;
        *name_length = length;
        return true;
    }
    return false;
}

/* The names of a kind that could be loaded, for "did you mean". */
static enum graft_status known_names(enum graft_plugin_kind kind, const struct text_list *folders,
                                     struct text_list *names, struct error *e)
{
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; status == GRAFT_OK && i < folders->count; i++) {
        struct text_list files = {0};
        status = search_files(folders->items[i], &files, e);
        for (size_t f = 0; status == GRAFT_OK && f < files.count; f++) {
            enum graft_plugin_kind file_kind;
            const char *name;
            size_t length;
            if (search_split(files.items[f], &file_kind, &name, &length) && file_kind == kind &&
                !text_list_push(names, mem_strndup(name, length)))
                status = error_memory(e, "a plugin's name", length);
        }
        text_list_fini(&files);
    }
    return status;
}

static enum graft_status report_unknown(enum graft_plugin_kind kind, const char *name,
                                        const struct text_list *folders, struct error *e)
{
    struct text_list names = {0};
    struct str text = {0};
    char shown[QUOTE_SIZE];
    enum graft_status status = known_names(kind, folders, &names, e);
    if (status == GRAFT_OK) {
        const char *nearest = nearest_word(name, (const char *const *)names.items, names.count);
        str_printf(&text, "no %s is named %s", plugin_kind_name(kind), quote_text(name, shown));
        if (nearest != NULL) str_printf(&text, "; did you mean \"%s\"?", nearest);
        str_puts(&text, names.count != 0 ? " (known: " : " (searched: ");
        const struct text_list *list = names.count != 0 ? &names : folders;
        for (size_t i = 0; i < list->count; i++)
            str_printf(&text, "%s%s", i != 0 ? ", " : "", list->items[i]);
        str_putc(&text, ')');
        status = text.failed ? error_memory(e, "a message", 0)
                             : error_set(e, GRAFT_E_INVALID, "%s", text.data);
    }
    str_free(&text);
    text_list_fini(&names);
    return status;
}

static enum graft_status find_file(const char *path, const char *base_dir, char **found,
                                   struct error *e)
{
    struct stat info;
    char *joined =
        *path == '/' || base_dir == NULL ? mem_strdup(path) : mem_format("%s/%s", base_dir, path);
    if (joined == NULL) return error_memory(e, "a plugin's path", strlen(path));
    if (stat(joined, &info) != 0) {
        error_set(e, GRAFT_E_INVALID, "%s: %s: give the path of a plugin file", joined,
                  strerror(errno));
        mem_free(joined);
        return GRAFT_E_INVALID;
    }
    *found = joined;
    return GRAFT_OK;
}

static enum graft_status find_name(enum graft_plugin_kind kind, const char *name, char **found,
                                   struct error *e)
{
    struct text_list folders = {0};
    enum graft_status status = search_folders(&folders, e);
    char *path = NULL;
    for (size_t i = 0; status == GRAFT_OK && path == NULL && i < folders.count; i++) {
        struct stat info;
        path = mem_format("%s/%s-%s.so", folders.items[i], plugin_kind_name(kind), name);
        if (path == NULL) {
            status = error_memory(e, "a plugin's path", strlen(name));
        } else if (stat(path, &info) != 0) {
            mem_free(path);
            path = NULL;
        }
    }
    if (status == GRAFT_OK && path == NULL) status = report_unknown(kind, name, &folders, e);
    if (status == GRAFT_OK) *found = path;
    text_list_fini(&folders);
    return status;
}

enum graft_status plugin_find(enum graft_plugin_kind kind, const char *name_or_path,
                              const char *base_dir, char **path, struct error *e)
{
    if (strchr(name_or_path, '/') != NULL) return find_file(name_or_path, base_dir, path, e);
    return find_name(kind, name_or_path, path, e);
}

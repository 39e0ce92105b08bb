/* SPDX-License-Identifier: Apache-2.0
 *
 * Folders: made, filled beside their final name and moved there, checked and removed.
 */
#include "file/atomic.h"

#include "base/memory.h"
#include "file/paths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_DEPTH = 8 }; /* of folders in a folder of ours */

struct folder {
    char *final, *temporary;
    char *parent; /* asked for at the start: nothing may lack once it has its final name */
};

/* ---- walking ---- */

struct walk {
    /* Called for files before and for folders after what is in them; `name` is relative. */
    enum graft_status (*visit)(struct walk *w, const char *path, const char *name, bool is_folder);
    const char *const *names;
    size_t count;
    const char *root;
    struct error *e;
};

static enum graft_status walk(struct walk *w, const char *path, const char *name, int depth);

static enum graft_status walk_entry(struct walk *w, const char *path, const char *name,
                                    const char *entry, int depth)
{
    struct stat info;
    char *full = path_join(path, entry);
    char *relative = name[0] != '\0' ? path_join(name, entry) : mem_strdup(entry);
    enum graft_status status = GRAFT_OK;
    if (full == NULL || relative == NULL)
        status = error_memory(w->e, "a file name", 0);
    else if (lstat(full, &info) != 0)
        status = error_errno(w->e, "cannot read", full);
    else if (S_ISDIR(info.st_mode))
        status = walk(w, full, relative, depth + 1);
    else
        status = w->visit(w, full, relative, false);
    mem_free(full);
    mem_free(relative);
    return status;
}

static enum graft_status walk(struct walk *w, const char *path, const char *name, int depth)
{
    enum graft_status status = GRAFT_OK;
    struct dirent *entry;
    if (depth > MAX_DEPTH)
        return error_set(w->e, GRAFT_E_INVALID, "%s: folders are nested more than %d deep", path,
                         MAX_DEPTH);
    DIR *dir = opendir(path);
    if (dir == NULL) return error_errno(w->e, "cannot read", path);
    while (status == GRAFT_OK && (entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            status = walk_entry(w, path, name, entry->d_name, depth);
    closedir(dir);
    return status == GRAFT_OK ? w->visit(w, path, name, true) : status;
}

static enum graft_status visit_remove(struct walk *w, const char *path, const char *name,
                                      bool is_folder)
{
    (void)name;
    if ((is_folder ? rmdir(path) : unlink(path)) != 0)
        return error_errno(w->e, "cannot remove", path);
    return GRAFT_OK;
}

static enum graft_status visit_sync(struct walk *w, const char *path, const char *name,
                                    bool is_folder)
{
    (void)name;
    (void)is_folder;
    return path_sync(path, w->e);
}

/* A file must be one of the names, a folder the beginning of one. */
static enum graft_status visit_check(struct walk *w, const char *path, const char *name,
                                     bool is_folder)
{
    size_t length = strlen(name);
    (void)path;
    if (length == 0) return GRAFT_OK;
    for (size_t i = 0; i < w->count; i++) {
        const char *known = w->names[i];
        if (strncmp(known, name, length) == 0 && known[length] == (is_folder ? '/' : '\0'))
            return GRAFT_OK;
    }
    return error_set(w->e, GRAFT_E_INVALID,
                     "%s holds %s, which graft did not write: it is left as it is", w->root, name);
}

static void remove_all(const char *path)
{
    struct walk w = {.visit = visit_remove, .root = path};
    enum graft_status ignored = walk(&w, path, "", 0); /* nothing more can be done about it */
    (void)ignored;
}

enum graft_status folder_remove(const char *path, const char *const *names, size_t count,
                                struct error *e)
{
    struct walk w = {.visit = visit_check, .names = names, .count = count, .root = path, .e = e};
    switch (path_kind(path)) {
    case PATH_MISSING: return GRAFT_OK;
    case PATH_FILE: return error_set(e, GRAFT_E_INVALID, "%s is a file, not a folder", path);
    case PATH_FOLDER: break;
    }
    enum graft_status status = walk(&w, path, "", 0);
    if (status != GRAFT_OK) return status;
    w.visit = visit_remove;
    return walk(&w, path, "", 0);
}

static const char probe_name[] = ".graft"; /* of the file that tries a folder */

/* "NAME.tmp-PID-N", as path_temporary makes it, for one of the names or the probe */
static bool is_left_over(const char *entry, const char *const *names, size_t count)
{
    const char *mark = strstr(entry, ".tmp-");
    if (mark == NULL || mark[5 + strspn(mark + 5, "0123456789-")] != '\0') return false;
    if ((size_t)(mark - entry) == strlen(probe_name) &&
        strncmp(entry, probe_name, strlen(probe_name)) == 0)
        return true;
    for (size_t i = 0; i < count; i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0) return true;
    return false;
}

enum graft_status folder_sweep(const char *path, const char *const *names, size_t count,
                               struct error *e)
{
    struct walk w = {.visit = visit_remove, .root = path, .e = e};
    enum graft_status status = GRAFT_OK;
    struct dirent *entry;
    DIR *dir = opendir(path);
    if (dir == NULL) return errno == ENOENT ? GRAFT_OK : error_errno(e, "cannot read", path);
    while (status == GRAFT_OK && (entry = readdir(dir)) != NULL)
        if (is_left_over(entry->d_name, names, count))
            status = walk_entry(&w, path, "", entry->d_name, 0);
    closedir(dir);
    return status;
}

bool folder_is_empty(const char *path)
{
    DIR *dir = opendir(path);
    bool empty = true;
    if (dir == NULL) return errno == ENOENT;
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
            strcmp(d->d_name, "lock") != 0)
            empty = false;
    closedir(dir);
    return empty;
}

/* ---- making ---- */

/* One folder; its parent exists. */
static enum graft_status make_one(const char *path, struct error *e)
{
    if (mkdir(path, 0777) == 0) return GRAFT_OK;
    if (errno != EEXIST) return error_errno(e, "cannot make folder", path);
    if (path_kind(path) == PATH_FOLDER) return GRAFT_OK;
    return error_set(e, GRAFT_E_INVALID, "%s is there already and is not a folder", path);
}

enum graft_status folder_make(const char *path, struct error *e)
{
    enum graft_status status = GRAFT_OK;
    char *part = mem_strdup(path);
    if (part == NULL) return error_memory(e, "a file name", 0);
    for (char *at = part; *at != '\0' && status == GRAFT_OK; at++) {
        if (*at != '/' || at == part) continue;
        *at = '\0';
        status = make_one(part, e);
        *at = '/';
    }
    if (status == GRAFT_OK) status = make_one(part, e);
    mem_free(part);
    return status;
}

static enum graft_status probe(const char *folder, const char *wanted, struct error *e)
{
    char *base = path_join(folder, probe_name);
    enum graft_status status = GRAFT_OK;
    int fd = -1;
    for (unsigned n = 0; base != NULL && fd < 0 && n < PATH_TRIES; n++) {
        char *name = path_temporary(base, n);
        if (name == NULL) break;
        fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        int reason = errno;
        if (fd >= 0) unlink(name);
        mem_free(name);
        if (fd >= 0 || reason == EEXIST) continue;
        status = error_set(e, GRAFT_E_INVALID, "cannot write to %s (tried in %s): %s", wanted,
                           folder, strerror(reason));
        mem_free(base);
        return status;
    }
    if (fd < 0)
        status = error_memory(e, "a file name", 0);
    else
        close(fd);
    mem_free(base);
    return status;
}

enum graft_status folder_writable(const char *path, struct error *e)
{
    char *at = mem_strdup(path);
    while (at != NULL && path_kind(at) == PATH_MISSING) {
        char *parent = path_parent(at);
        mem_free(at);
        at = parent;
    }
    if (at == NULL) return error_memory(e, "a file name", 0);
    enum graft_status status =
        path_kind(at) == PATH_FOLDER
            ? probe(at, path, e)
            : error_set(e, GRAFT_E_INVALID, "cannot write to %s: %s is not a folder", path, at);
    mem_free(at);
    return status;
}

/* ---- filled, then moved ---- */

static void destroy(struct folder *folder)
{
    if (folder->temporary != NULL) remove_all(folder->temporary);
    mem_free(folder->temporary);
    mem_free(folder->parent);
    mem_free(folder->final);
    mem_free(folder);
}

static enum graft_status make_temporary(struct folder *folder, struct error *e)
{
    for (unsigned n = 0; n < PATH_TRIES; n++) {
        char *name = path_temporary(folder->final, n);
        if (name == NULL) return error_memory(e, "a file name", 0);
        if (mkdir(name, 0777) == 0) {
            folder->temporary = name;
            return GRAFT_OK;
        }
        mem_free(name);
        if (errno != EEXIST) break;
    }
    return error_errno(e, "cannot make folder", folder->final);
}

static enum graft_status check_final(const char *final, struct error *e)
{
    enum path_kind kind = path_kind(final);
    if (kind == PATH_MISSING) return GRAFT_OK;
    if (kind == PATH_FILE)
        return error_set(e, GRAFT_E_INVALID, "%s is there already and is a file", final);
    DIR *dir = opendir(final);
    if (dir == NULL) return error_errno(e, "cannot read", final);
    size_t entries = 0;
    while (readdir(dir) != NULL) entries++;
    closedir(dir);
    if (entries <= 2) return GRAFT_OK; /* "." and ".." */
    return error_set(e, GRAFT_E_INVALID,
                     "%s is there already and is not empty; name another folder", final);
}

static enum graft_status begin(struct folder *folder, struct error *e)
{
    folder->parent = path_parent(folder->final);
    if (folder->parent == NULL) return error_memory(e, "a file name", 0);
    enum graft_status status = folder_make(folder->parent, e);
    return status == GRAFT_OK ? make_temporary(folder, e) : status;
}

enum graft_status folder_begin(const char *final, struct folder **folder, struct error *e)
{
    enum graft_status status = check_final(final, e);
    if (status != GRAFT_OK) return status;
    struct folder *made = mem_zalloc(1, sizeof *made);
    if (made == NULL) return error_memory(e, final, sizeof *made);
    made->final = mem_strdup(final);
    status = made->final != NULL ? begin(made, e) : error_memory(e, "a file name", 0);
    if (status != GRAFT_OK) {
        destroy(made);
        return status;
    }
    *folder = made;
    return GRAFT_OK;
}

const char *folder_path(const struct folder *folder)
{
    return folder->temporary;
}

enum graft_status folder_commit(struct folder *folder, struct error *e)
{
    struct walk w = {.visit = visit_sync, .root = folder->temporary, .e = e};
    enum graft_status status = walk(&w, folder->temporary, "", 0);
    if (status == GRAFT_OK && rename(folder->temporary, folder->final) != 0)
        status = error_errno(e, "cannot move the finished folder to", folder->final);
    if (status == GRAFT_OK) {
        mem_free(folder->temporary);
        folder->temporary = NULL;
        status = path_sync(folder->parent, e);
    }
    destroy(folder);
    return status;
}

void folder_abort(struct folder *folder)
{
    if (folder != NULL) destroy(folder);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Names beside names.
 */
#include "file/paths.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Length without slashes at the end; "/" stays. */
static size_t trimmed(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    return length;
}

char *path_temporary(const char *path, unsigned n)
{
    return mem_format("%.*s.tmp-%ld-%u", (int)trimmed(path), path, (long)getpid(), n);
}

char *path_parent(const char *path)
{
    size_t length = trimmed(path);
    while (length > 0 && path[length - 1] != '/') length--;
    if (length == 0) return mem_strdup(".");
    while (length > 1 && path[length - 1] == '/') length--;
    return mem_strndup(path, length);
}

char *path_join(const char *folder, const char *name)
{
    size_t length = strlen(folder);
    bool slash = length > 0 && folder[length - 1] == '/';
    return mem_format("%s%s%s", folder, slash ? "" : "/", name);
}

const char *path_last(const char *path, int count)
{
    size_t at = trimmed(path);
    while (at > 0 && (path[at - 1] != '/' || --count > 0)) at--;
    return path[at] != '\0' ? path + at : path;
}

bool path_is_plain(const char *name)
{
    return name[0] != '\0' && strpbrk(name, "/\\") == NULL && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

enum path_kind path_kind(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0) return PATH_MISSING;
    return S_ISDIR(info.st_mode) ? PATH_FOLDER : PATH_FILE;
}

enum path_kind path_kind_in(const char *folder, const char *name)
{
    char *path = path_join(folder, name);
    enum path_kind kind = path != NULL ? path_kind(path) : PATH_MISSING;
    mem_free(path);
    return kind;
}

enum graft_status path_sync(const char *path, struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error_errno(e, "cannot sync", path);
    enum graft_status status = GRAFT_OK;
    /* Some file systems cannot sync a folder and say EINVAL. */
    if (fsync(fd) != 0 && errno != EINVAL) status = error_errno(e, "cannot sync", path);
    close(fd);
    return status;
}

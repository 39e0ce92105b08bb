/* SPDX-License-Identifier: Apache-2.0
 *
 * One file, written whole or not at all.
 */
#include "file/atomic.h"

#include "base/memory.h"
#include "file/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

enum { WRITE_MOST = 1 << 30 }; /* Linux takes no more than 2 GiB at once */

struct atomic_file {
    int fd;
    bool failed;
    char *path, *temporary;
    char *parent; /* asked for at the start: nothing may lack once the file has its name */
};

static void destroy(struct atomic_file *file)
{
    if (file->fd >= 0) close(file->fd);
    if (file->temporary != NULL) unlink(file->temporary);
    mem_free(file->temporary);
    mem_free(file->parent);
    mem_free(file->path);
    mem_free(file);
}

static enum graft_status open_temporary(struct atomic_file *file, struct error *e)
{
    for (unsigned n = 0; n < PATH_TRIES; n++) {
        char *name = path_temporary(file->path, n);
        if (name == NULL) return error_memory(e, "a file name", 0);
        file->fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file->fd >= 0) {
            file->temporary = name;
            return GRAFT_OK;
        }
        mem_free(name);
        if (errno != EEXIST) break;
    }
    return error_errno(e, "cannot write", file->path);
}

enum graft_status atomic_begin(const char *path, struct atomic_file **file, struct error *e)
{
    struct atomic_file *made = mem_zalloc(1, sizeof *made);
    if (made == NULL) return error_memory(e, path, sizeof *made);
    made->fd = -1;
    made->path = mem_strdup(path);
    made->parent = path_parent(path);
    enum graft_status status = made->path != NULL && made->parent != NULL
                                   ? open_temporary(made, e)
                                   : error_memory(e, "a file name", 0);
    if (status != GRAFT_OK) {
        destroy(made);
        return status;
    }
    *file = made;
    return GRAFT_OK;
}

enum graft_status atomic_write(struct atomic_file *file, const void *bytes, size_t length,
                               struct error *e)
{
    const char *at = bytes;
    while (length != 0) {
        ssize_t done = write(file->fd, at, length < WRITE_MOST ? length : WRITE_MOST);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) {
            if (done == 0) errno = ENOSPC;
            file->failed = true;
            return error_errno(e, "cannot write", file->path);
        }
        at += done;
        length -= (size_t)done;
    }
    return GRAFT_OK;
}

static enum graft_status finish(struct atomic_file *file, struct error *e)
{
    if (file->failed)
        return error_set(e, GRAFT_E_IO, "cannot write %s: an earlier write was refused",
                         file->path);
    int fd = file->fd;
    file->fd = -1;
    if (fsync(fd) != 0) {
        enum graft_status status = error_errno(e, "cannot write", file->path);
        close(fd);
        return status;
    }
    if (close(fd) != 0) return error_errno(e, "cannot write", file->path);
    if (rename(file->temporary, file->path) != 0) return error_errno(e, "cannot write", file->path);
    mem_free(file->temporary); /* it has its name: nothing to remove */
    file->temporary = NULL;
    return path_sync(file->parent, e);
}

enum graft_status atomic_commit(struct atomic_file *file, struct error *e)
{
    enum graft_status status = finish(file, e);
    destroy(file);
    return status;
}

void atomic_abort(struct atomic_file *file)
{
    if (file != NULL) destroy(file);
}

enum graft_status atomic_write_file(const char *path, const void *bytes, size_t length,
                                    struct error *e)
{
    struct atomic_file *file = NULL;
    enum graft_status status = atomic_begin(path, &file, e);
    if (status != GRAFT_OK) return status;
    status = atomic_write(file, bytes, length, e);
    if (status == GRAFT_OK) return atomic_commit(file, e);
    atomic_abort(file);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A lock file with the owner's process number in it. flock, because it belongs to the open file:
 * it ends with the process however that ends, and two openings in one process exclude each other.
 */
#include "file/atomic.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES = 100 };

struct file_lock {
    int fd;
    char *path;
};

static enum graft_status refuse(int fd, const char *path, struct error *e)
{
    char text[32] = "";
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    text[strspn(text, "0123456789")] = '\0';
    return error_set(e, GRAFT_E_INVALID, "%s: in use by process %s; wait for it or end it", path,
                     text[0] != '\0' ? text : "unknown");
}

/* Between open and flock the owner may have removed the file: then the lock is on a file without
 * a name, which nobody else will meet. */
static bool has_name(int fd, const char *path)
{
    struct stat ours, named;
    return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_ino == named.st_ino &&
           ours.st_dev == named.st_dev;
}

static enum graft_status sign(int fd, const char *path, struct error *e)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)length, 0) != length)
        return error_errno(e, "cannot write", path);
    return GRAFT_OK;
}

static enum graft_status acquire(const char *path, int *locked, struct error *e)
{
    for (int i = 0; i < TRIES; i++) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0) return error_errno(e, "cannot open", path);
        enum graft_status status = GRAFT_OK;
        if (flock(fd, LOCK_EX | LOCK_NB) != 0)
            status =
                errno == EWOULDBLOCK ? refuse(fd, path, e) : error_errno(e, "cannot lock", path);
        else if (has_name(fd, path) && (status = sign(fd, path, e)) == GRAFT_OK) {
            *locked = fd;
            return GRAFT_OK;
        }
        close(fd);
        if (status != GRAFT_OK) return status;
    }
    return error_set(e, GRAFT_E_IO, "cannot lock %s: it is made and removed all the time", path);
}

enum graft_status file_lock(const char *path, struct file_lock **lock, struct error *e)
{
    struct file_lock *made = mem_zalloc(1, sizeof *made);
    char *name = mem_strdup(path);
    enum graft_status status = GRAFT_OK;
    int fd = -1;
    if (made == NULL || name == NULL) status = error_memory(e, path, sizeof *made);
    if (status == GRAFT_OK) status = acquire(path, &fd, e);
    if (status != GRAFT_OK) {
        mem_free(made);
        mem_free(name);
        return status;
    }
    *made = (struct file_lock){fd, name};
    *lock = made;
    return GRAFT_OK;
}

void file_unlock(struct file_lock *lock)
{
    if (lock == NULL) return;
    unlink(lock->path); /* while still held: see has_name */
    close(lock->fd);
    mem_free(lock->path);
    mem_free(lock);
}

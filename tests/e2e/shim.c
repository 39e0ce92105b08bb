/* SPDX-License-Identifier: Apache-2.0
 *
 * Preloaded into graft by the end-to-end tests: ends the process at the n-th change it makes to the
 * file system, as a power cut would, or refuses writes as a full disk does. Counting makes every
 * such moment reachable, which a kill after some time does not.
 *
 *   GRAFT_SHIM_COUNT=FILE  appends the number of changes when the process ends
 *   GRAFT_SHIM_KILL=N      SIGKILL before change N (from 1)
 *   GRAFT_SHIM_FULL=N      from change N on, writes give ENOSPC
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* Parameter lists as the C library declares them. */
ssize_t write(int fd, const void *bytes, size_t length);
int fsync(int fd);
int rename(const char *from, const char *to);
int mkdir(const char *path, mode_t mode);
int unlink(const char *path);

static long changes, kill_at, full_at;

static long setting(const char *name)
{
    const char *text = getenv(name);
    return text != NULL ? strtol(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void begin(void)
{
    kill_at = setting("GRAFT_SHIM_KILL");
    full_at = setting("GRAFT_SHIM_FULL");
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("GRAFT_SHIM_COUNT");
    FILE *file = path != NULL ? fopen(path, "a") : NULL;
    if (file == NULL) return;
    fprintf(file, "%ld\n", changes);
    fclose(file);
}

/* True when the disk is full. */
static int change(void)
{
    if (++changes == kill_at) raise(SIGKILL);
    return full_at != 0 && changes >= full_at;
}

static void *next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (function == NULL) abort();
    return function;
}

#define CALL(result, name, types, arguments)                                                       \
    do {                                                                                           \
        int(*function) types;                                                                      \
        void *found = next(name);                                                                  \
        memcpy(&function, &found, sizeof found);                                                   \
        (result) = function arguments;                                                             \
    } while (0)

/* Half of the bytes are written before the cut, as it may be. */
ssize_t write(int fd, const void *bytes, size_t length)
{
    ssize_t (*function)(int, const void *, size_t);
    void *found = next("write");
    memcpy(&function, &found, sizeof found);
    if (fd <= 2) return function(fd, bytes, length);
    if (changes + 1 == kill_at && function(fd, bytes, length / 2) < 0) abort();
    if (change()) {
        errno = ENOSPC;
        return -1;
    }
    return function(fd, bytes, length);
}

/* Counted, not done: what a killed process wrote is safe in the kernel, and tests are quicker. */
int fsync(int fd)
{
    (void)fd;
    change();
    return 0;
}

int rename(const char *from, const char *to)
{
    int result;
    change();
    CALL(result, "rename", (const char *, const char *), (from, to));
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    int result;
    change();
    CALL(result, "mkdir", (const char *, mode_t), (path, mode));
    return result;
}

int unlink(const char *path)
{
    int result;
    change();
    CALL(result, "unlink", (const char *), (path));
    return result;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * mmap, and the first bytes of the kinds of files that people hand to graft by mistake.
 */
#define _DEFAULT_SOURCE /* madvise */
#include "file/map.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static enum graft_status map_descriptor(int fd, const char *path, struct file_map *map,
                                        struct error *e)
{
    struct stat info;
    struct file_map made = {NULL, 0};
    if (fstat(fd, &info) != 0) return error_errno(e, "cannot read", path);
    if (!S_ISREG(info.st_mode))
        return error_set(e, GRAFT_E_INVALID, "%s: is %s, not a file", path,
                         S_ISDIR(info.st_mode) ? "a folder" : "a device or pipe");
    made.size = (size_t)info.st_size;
    if (made.size != 0) {
        void *data = mmap(NULL, made.size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) return error_errno(e, "cannot map", path);
        made.data = data;
    }
    *map = made;
    return GRAFT_OK;
}

enum graft_status file_map_open(const char *path, struct file_map *map, struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return error_set(e, GRAFT_E_INVALID, "cannot open %s: %s", path, strerror(errno));
    enum graft_status status = map_descriptor(fd, path, map, e);
    close(fd);
    return status;
}

void file_map_close(struct file_map *map)
{
    /* munmap takes a pointer to what may be written; the mapping itself is read-only. */
    if (map->data != NULL) munmap((void *)(uintptr_t)map->data, map->size);
    map->data = NULL;
    map->size = 0;
}

void file_map_rest(const void *bytes, size_t size)
{
    long page = sysconf(_SC_PAGESIZE);
    if (page <= 0) return;
    uintptr_t step = (uintptr_t)page, begin = (uintptr_t)bytes, end = begin + size;
    begin = (begin + step - 1) / step * step;
    end = end / step * step;
    if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED); /* a wish */
}

static bool begins(const struct file_map *map, const char *bytes, size_t length)
{
    return map->size >= length && memcmp(map->data, bytes, length) == 0;
}

static bool looks_like_safetensors(const struct file_map *map)
{
    uint64_t length = 0;
    if (map->size < 9 || map->data[8] != '{') return false;
    for (unsigned i = 0; i < 8; i++) length |= (uint64_t)map->data[i] << 8 * i;
    return length >= 2 && length <= map->size - 8;
}

const char *file_map_kind(const struct file_map *map)
{
    if (map->size == 0) return "an empty file";
    if (begins(map, "GGUF", 4)) return "a GGUF file";
    if (looks_like_safetensors(map)) return "a safetensors file";
    if (begins(map, "PK\003\004", 4)) return "a zip file, perhaps a PyTorch checkpoint";
    if (begins(map, "\x80\002", 2)) return "a Python pickle, perhaps an old PyTorch checkpoint";
    if (begins(map, "version https://git-lfs", 23))
        return "a Git LFS pointer: the real file was not fetched (git lfs pull)";
    if (begins(map, "tjgg", 4) || begins(map, "fmgg", 4) || begins(map, "lmgg", 4))
        return "an old GGML file from before GGUF";
    if (begins(map, "\x89HDF", 4)) return "an HDF5 file";
    if (begins(map, "\x1f\x8b", 2)) return "a gzip archive";
    if (begins(map, "<!", 2) || begins(map, "<html", 5)) return "a web page";
    if (begins(map, "{", 1)) return "a JSON file";
    return "of no kind that graft knows";
}

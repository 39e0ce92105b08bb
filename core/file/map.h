/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole file mapped for reading, and a guess at what a file is for messages.
 */
#ifndef CORE_FILE_MAP_H
#define CORE_FILE_MAP_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct file_map {
    const unsigned char *data; /* page-aligned; NULL for an empty file */
    size_t size;
};

/* A file that is missing, unreadable or no regular file is GRAFT_E_INVALID. */
GRAFT_MUST_USE enum graft_status file_map_open(const char *path, struct file_map *map,
                                               struct error *e);
void file_map_close(struct file_map *map); /* a zeroed one too */

/* These bytes of a mapping are not needed for now: their pages need not stay in memory, and are read
 * again if they are. */
void file_map_rest(const void *bytes, size_t size);

/* "a safetensors file", "a PyTorch checkpoint (zip)", ... or "of no kind that graft knows". */
const char *file_map_kind(const struct file_map *map);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Names beside names, shared by the files of this room.
 */
#ifndef CORE_FILE_PATHS_H
#define CORE_FILE_PATHS_H

#include "base/error.h"

#include <stdbool.h>

enum { PATH_TRIES = 1000 }; /* temporary names tried before giving up */

/* All give memory for mem_free, or NULL when it is refused. */
char *path_temporary(const char *path, unsigned n); /* "PATH.tmp-PID-N", without trailing slashes */
char *path_parent(const char *path);                /* "." for a plain name */
char *path_join(const char *folder, const char *name);

/* Where the last `count` names of a path begin: of "data/shop/train.jsonl" with 2
 * "shop/train.jsonl". Slashes at its end belong to the last. */
const char *path_last(const char *path, int count);

/* Is it a name without folders: not empty, no slash or backslash, not "." or ".."? */
bool path_is_plain(const char *name);

enum path_kind { PATH_MISSING, PATH_FILE, PATH_FOLDER };
enum path_kind path_kind(const char *path);
/* Of what has this name in a folder; without memory it counts as missing. */
enum path_kind path_kind_in(const char *folder, const char *name);

/* fsync of a file or folder by name. */
GRAFT_MUST_USE enum graft_status path_sync(const char *path, struct error *e);

#endif

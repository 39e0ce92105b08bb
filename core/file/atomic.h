/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing so that a reader, or a kill at any instant, meets the old or the new, never half: a
 * temporary name beside the final one, fsync, rename, fsync of the folder. What a kill leaves
 * behind is named "NAME.tmp-PID-N" and holds nothing that anybody needs.
 *
 * A refused write is GRAFT_E_IO with the final path and the system's reason; nothing is left
 * behind.
 */
#ifndef CORE_FILE_ATOMIC_H
#define CORE_FILE_ATOMIC_H

#include "base/error.h"

#include <stdbool.h>

/* ---- one file ---- */

struct atomic_file;

GRAFT_MUST_USE enum graft_status atomic_begin(const char *path, struct atomic_file **file,
                                              struct error *e);
/* After the first refused write the file can only be aborted. */
GRAFT_MUST_USE enum graft_status atomic_write(struct atomic_file *file, const void *bytes,
                                              size_t length, struct error *e);
/* Both free the file; commit also when it fails. Then the old content is still there, but where
 * "cannot sync FOLDER" is said: the new content is there and may not outlive a power cut. */
GRAFT_MUST_USE enum graft_status atomic_commit(struct atomic_file *file, struct error *e);
void atomic_abort(struct atomic_file *file); /* NULL does nothing */

GRAFT_MUST_USE enum graft_status atomic_write_file(const char *path, const void *bytes,
                                                   size_t length, struct error *e);

/* ---- a folder of files ---- */

struct folder;

/* A temporary folder beside `final`, whose parent is made if need be. GRAFT_E_INVALID where
 * `final` exists and is not an empty folder. */
GRAFT_MUST_USE enum graft_status folder_begin(const char *final, struct folder **folder,
                                              struct error *e);
const char *folder_path(const struct folder *folder); /* where to write; borrowed */
/* Syncs every file in it, moves it to its final name; frees it, also on failure (then the
 * temporary folder is gone too). After "cannot sync FOLDER" it has its final name, as above. */
GRAFT_MUST_USE enum graft_status folder_commit(struct folder *folder, struct error *e);
void folder_abort(struct folder *folder); /* removes it and its files; NULL does nothing */

/* mkdir -p. A folder that is there is fine; a file of that name is GRAFT_E_INVALID. */
GRAFT_MUST_USE enum graft_status folder_make(const char *path, struct error *e);

/* Removes a folder that holds only the named files ("a.json", "sub/b.json"; some may be missing).
 * If anything else is in it, nothing is removed and that is GRAFT_E_INVALID, naming it. A folder
 * that does not exist is fine. */
GRAFT_MUST_USE enum graft_status folder_remove(const char *path, const char *const *names,
                                               size_t count, struct error *e);

/* Removes what a kill left in this folder: the entries "NAME.tmp-PID-N" whose NAME begins with one
 * of `names`, folders with all that is in them. Only for who holds the lock of what is written
 * there. A folder that does not exist is fine. */
GRAFT_MUST_USE enum graft_status folder_sweep(const char *path, const char *const *names,
                                              size_t count, struct error *e);

/* Nothing but "lock" in it, or no folder there; false where it cannot be read. */
bool folder_is_empty(const char *path);

/* Could files be made in this folder, or in it once it is made? Tried with a real file in it or in
 * its nearest parent that exists; nothing stays. GRAFT_E_INVALID with the reason if not. */
GRAFT_MUST_USE enum graft_status folder_writable(const char *path, struct error *e);

/* ---- one user at a time ---- */

struct file_lock;

/* GRAFT_E_INVALID "... in use by process N" where another open lock (of this process too) holds
 * it. The lock ends with the process; the file is made if need be and removed by unlock. */
GRAFT_MUST_USE enum graft_status file_lock(const char *path, struct file_lock **lock,
                                           struct error *e);
void file_unlock(struct file_lock *lock); /* NULL does nothing */

#endif

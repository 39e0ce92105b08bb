/* SPDX-License-Identifier: Apache-2.0
 *
 * A run's output folder: who may use it, what may be in it, and how it is begun anew or gone on
 * with.
 */
#ifndef CORE_TRAIN_FOLDER_H
#define CORE_TRAIN_FOLDER_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum run_mode {
    RUN_NEW,      /* refuses a folder that holds a run */
    RUN_RESUME,   /* goes on where the newest whole checkpoint is, or begins */
    RUN_OVERWRITE /* removes the files of an earlier run, and nothing else */
};

struct run_folder;

/* Looks and touches nothing: is the folder free for this mode, and could files be made there? For
 * the checks before a run. */
GRAFT_MUST_USE enum graft_status run_folder_check(const char *path, enum run_mode mode,
                                                  struct error *e);
/* Makes the folder, locks it, removes what a kill left half written, and with RUN_OVERWRITE clears
 * it. */
GRAFT_MUST_USE enum graft_status run_folder_open(const char *path, enum run_mode mode,
                                                 struct run_folder **folder, struct error *e);
void run_folder_close(struct run_folder *folder); /* NULL is fine */

const char *run_folder_path(const struct run_folder *folder);
/* "PATH/NAME"; NULL when memory is refused; mem_free. */
char *run_folder_file(const struct run_folder *folder, const char *name);
/* A finished run has its report. */
bool run_folder_finished(const char *path);

/* The steps that have a checkpoint folder, rising; the caller frees with mem_free. */
GRAFT_MUST_USE enum graft_status run_folder_checkpoints(const char *path, int64_t **steps,
                                                        size_t *count, struct error *e);
/* "PATH/checkpoints/step-000050"; NULL when memory is refused; mem_free. */
char *run_folder_checkpoint(const char *path, int64_t step);
/* Removes one checkpoint. */
GRAFT_MUST_USE enum graft_status run_folder_drop(const char *path, int64_t step, struct error *e);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints: everything that is needed to go on with the same bits. A checkpoint is a folder with
 * the tensors, the trainer's state as JSON, and a manifest of hashes that is written last; the
 * whole is moved to its name when it is on disk.
 */
#ifndef CORE_TRAIN_CHECKPOINT_H
#define CORE_TRAIN_CHECKPOINT_H

#include "base/json.h"
#include "session/session.h"

/* A copy of all parameters on the host, for "best so far". Zero-initialized: none. */
struct parameter_copy {
    unsigned char *bytes; /* the class STORE_ADAPTER end to end */
    uint64_t size;
};

GRAFT_MUST_USE enum graft_status parameter_copy_take(const struct session *session,
                                                     struct parameter_copy *copy, struct error *e);
GRAFT_MUST_USE enum graft_status parameter_copy_restore(const struct session *session,
                                                        const struct parameter_copy *copy,
                                                        struct error *e);
void parameter_copy_free(struct parameter_copy *copy);

/* Writes the checkpoint of `step` into RUN/checkpoints. On failure the ones before are untouched.
 */
GRAFT_MUST_USE enum graft_status checkpoint_save(const struct session *session, const char *run,
                                                 int64_t step, const json_t *state,
                                                 const struct parameter_copy *best,
                                                 struct error *e);
/* The newest checkpoint whose manifest agrees with its files: its step and state; *step 0 and
 * *state NULL where there is none. Damaged ones are logged and passed over. */
GRAFT_MUST_USE enum graft_status checkpoint_newest(const char *run, int64_t *step, json_t **state,
                                                   struct error *e);
/* Puts its tensors into the store. Every parameter and state must be there with its shape. */
GRAFT_MUST_USE enum graft_status checkpoint_load(const struct session *session, const char *run,
                                                 int64_t step, struct parameter_copy *best,
                                                 struct error *e);

#endif

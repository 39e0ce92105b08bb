/* SPDX-License-Identifier: Apache-2.0
 *
 * A run at work, for this room's files only.
 */
#ifndef CORE_TRAIN_TRAINER_H
#define CORE_TRAIN_TRAINER_H

#include "base/hash.h"
#include "data/order.h"
#include "eval/eval.h"
#include "train/checkpoint.h"
#include "train/loss_scale.h"
#include "train/train.h"
#include "train/update.h"

enum { SAMPLES_KEPT = 12 };

struct trainer {
    const struct train_request *request;
    struct settings *settings;
    struct session *session;

    struct data_rows rows;
    struct data_tokens tokens;
    char rows_hash[HASH_HEX_SIZE];                             /* of tokens: checkpoints hold it, */
    char valid_hash[HASH_HEX_SIZE], final_hash[HASH_HEX_SIZE]; /* and these; "": no such split */
    struct data_order order;
    struct eval_set valid, final; /* final: test if given, else valid */
    bool has_valid, has_final;
    const char *final_name; /* "test" or "valid" */

    int64_t total_steps;
    size_t micro_tokens;
    bool recompute;
    struct batch_slot slot;
    struct micro_batch batch;
    struct loss_program train_program, eval_program;
    struct update_program update;
    struct generator *generator;
    uint32_t *step_rows; /* batch_size */
    size_t *step_begin;

    struct run_folder *folder;
    int steps_file;
    char *recipe; /* the effective recipe's text */

    int64_t step; /* done so far */
    uint64_t tokens_seen;
    double seconds; /* spent in steps */
    int64_t skipped_in_a_row, last_checkpoint;
    struct loss_scale loss_scale;
    double best_loss;
    int64_t best_step, bad_evals;
    bool stopped_early;
    struct parameter_copy best;
    struct eval_measure before, after; /* of the final split */
    struct report_step *steps;
    size_t step_count, step_capacity;
    struct report_eval *evals;
    size_t eval_count, eval_capacity;
};

/* prepare.c: everything that can be wrong, and all plans; nothing is written or uploaded. */
GRAFT_MUST_USE enum graft_status trainer_prepare(struct trainer *t, struct error *e);
/* Device, weights, programs. */
GRAFT_MUST_USE enum graft_status trainer_start(struct trainer *t, struct error *e);
void trainer_fini(struct trainer *t);
void trainer_memory(const struct trainer *t, struct train_plan *plan);

/* leak.c: logs how many measured rows stand in data.train, and how many of test in data.valid. */
GRAFT_MUST_USE enum graft_status trainer_warn_leaks(const struct trainer *t, struct error *e);

/* state.c: the part of a checkpoint that is no tensor. */
json_t *trainer_state(const struct trainer *t); /* NULL: no memory */
GRAFT_MUST_USE enum graft_status trainer_restore(struct trainer *t, const json_t *state,
                                                 struct error *e);
/* GRAFT_E_INVALID with the first line that differs where the recipe is not the checkpoint's. */
GRAFT_MUST_USE enum graft_status trainer_same_recipe(const struct trainer *t, const json_t *state,
                                                     struct error *e);

/* log_file.c: steps.jsonl, opened for appending with the lines up to t->step kept. */
GRAFT_MUST_USE enum graft_status steps_open(struct trainer *t, struct error *e);
GRAFT_MUST_USE enum graft_status steps_append(struct trainer *t, const struct report_step *step,
                                              struct error *e);
GRAFT_MUST_USE enum graft_status steps_sync(struct trainer *t, struct error *e);

/* prepare.c: what a comparison holds equal. Goes through all steps. */
GRAFT_MUST_USE enum graft_status trainer_rows(struct trainer *t, struct train_rows *rows,
                                              struct error *e);

/* loop.c */
/* Is the run where its caller wants it to pause? */
bool trainer_pauses(const struct trainer *t);
GRAFT_MUST_USE enum graft_status trainer_steps(struct trainer *t, struct error *e);
GRAFT_MUST_USE enum graft_status trainer_checkpoint(struct trainer *t, struct error *e);
/* measure.c */
GRAFT_MUST_USE enum graft_status trainer_measure(struct trainer *t, enum train_phase phase,
                                                 struct eval_measure *m, struct error *e);
/* Measured here, or as the caller knows it. */
GRAFT_MUST_USE enum graft_status trainer_before(struct trainer *t, struct error *e);
GRAFT_MUST_USE enum graft_status trainer_valid_loss(struct trainer *t, double *loss,
                                                    struct error *e);
/* finish.c: adapter files, report, passport. */
GRAFT_MUST_USE enum graft_status trainer_finish(struct trainer *t, struct train_outcome *outcome,
                                                struct error *e);
uint64_t resident_bytes(void);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * A step's rows side by side, without padding between them: cut into micro-batches in row order,
 * each as full as it gets. How a step is cut changes no number of it: positions, targets and the
 * row's place in the step (the key of random draws) are the same however it is cut.
 */
#ifndef CORE_DATA_PACK_H
#define CORE_DATA_PACK_H

#include "data/tokenize.h"

/* One step, planned: which rows lie in which micro-batch. `rows` and `begin` are the caller's. */
struct packed_step {
    const struct data_tokens *tokens;
    const uint32_t *rows; /* [row_count] indices into tokens->rows */
    size_t row_count;
    size_t *begin; /* [row_count + 1]: micro-batch m holds rows begin[m] to begin[m + 1] - 1 */
    size_t count;  /* micro-batches */
    size_t token_count;
    size_t trained; /* tokens that are predicted and trained: the N of the step's loss */
};

/* One micro-batch as arrays that a program uploads; every array holds `capacity` entries. Token t's
 * query sees keys first[t] to last[t]. Entry r < trained_count says: the model's output at token
 * index[r] is trained to be target[r]. */
struct micro_batch {
    size_t capacity;
    int32_t position_offset; /* added to every position; the caller's, 0 at first */
    int32_t *ids, *positions, *first, *last, *row, *index, *target;
    size_t token_count;   /* T */
    size_t trained_count; /* R */
    size_t documents;
};

GRAFT_MUST_USE enum graft_status micro_batch_create(size_t capacity, struct micro_batch *batch,
                                                    struct error *e);
void micro_batch_destroy(struct micro_batch *batch);

/* Plans the step; allocates nothing. A row longer than `capacity` is an error. */
GRAFT_MUST_USE enum graft_status pack_step(const struct data_tokens *tokens, const uint32_t *rows,
                                           size_t row_count, size_t capacity, size_t *begin,
                                           struct packed_step *step, struct error *e);

/* Fills micro-batch m of the step. Entries past the live counts, up to the capacity, are documents
 * of one token each (id 0, position 0, row 0), and index 0 with target -100. */
void pack_micro_batch(const struct packed_step *step, size_t m, struct micro_batch *batch);

/* Shapes are few: the smallest bucket that holds `tokens`, where `largest` tokens must fit too.
 * Buckets are multiples of 128, an eighth of the largest apart (at least 128). */
size_t bucket_for(size_t tokens, size_t largest);

#endif

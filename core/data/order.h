/* SPDX-License-Identifier: Apache-2.0
 *
 * Which rows a step takes. It depends on the seed and the step's number alone, so a resumed run
 * needs nothing but that number. Each epoch has its own permutation; the sequence of all epochs is
 * cut into steps of `batch_size` rows.
 */
#ifndef CORE_DATA_ORDER_H
#define CORE_DATA_ORDER_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct data_order_options {
    uint64_t seed;
    size_t rows;
    size_t batch_size;
    bool shuffle; /* false: every epoch in file order */
    /* true (a run of `epochs`): a step never crosses the end of an epoch, its last one is shorter.
     * false (a run of `max_steps`): the step goes on into the next epoch. */
    bool whole_epochs;
};

struct data_order {
    struct data_order_options options;
    uint32_t *permutation; /* of `epoch` */
    uint64_t epoch;
};

GRAFT_MUST_USE enum graft_status data_order_create(const struct data_order_options *options,
                                                   struct data_order *order, struct error *e);
void data_order_destroy(struct data_order *order);

/* Writes the rows of step 0, 1, ... into `rows` (batch_size places) and returns their number.
 * Allocates nothing; cheapest when steps come in turn. */
size_t data_order_step(struct data_order *order, uint64_t step, uint32_t *rows);

/* Steps until every row was seen once: ceil(rows / batch_size). */
uint64_t data_order_steps_per_epoch(const struct data_order_options *options);

#endif

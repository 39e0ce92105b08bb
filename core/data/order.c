/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of rows, from (seed, step).
 */
#include "data/order.h"

#include "base/memory.h"
#include "base/random.h"

static void load_epoch(struct data_order *order, uint64_t epoch)
{
    const struct data_order_options *o = &order->options;
    if (!o->shuffle || order->epoch == epoch) return;
    struct random_key key = random_key(o->seed, RANDOM_ORDER, 0, "rows", 0);
    random_permutation(key, (uint32_t)epoch, order->permutation, o->rows);
    order->epoch = epoch;
}

enum graft_status data_order_create(const struct data_order_options *options,
                                    struct data_order *order, struct error *e)
{
    if (options->rows == 0 || options->rows > UINT32_MAX)
        return error_set(e, GRAFT_E_INVALID, "%zu rows; allowed: 1 to %u", options->rows,
                         UINT32_MAX);
    if (options->batch_size == 0)
        return error_set(e, GRAFT_E_INVALID, "train.batch_size: 0; at least 1");
    uint32_t *permutation = mem_zalloc(options->rows, sizeof *permutation);
    if (permutation == NULL)
        return error_memory(e, "the order of rows", options->rows * sizeof *permutation);
    for (size_t i = 0; i < options->rows; i++) permutation[i] = (uint32_t)i;
    *order =
        (struct data_order){.options = *options, .permutation = permutation, .epoch = UINT64_MAX};
    return GRAFT_OK;
}

void data_order_destroy(struct data_order *order)
{
    mem_free(order->permutation);
    order->permutation = NULL;
}

uint64_t data_order_steps_per_epoch(const struct data_order_options *options)
{
    return options->rows / options->batch_size + (options->rows % options->batch_size != 0);
}

size_t data_order_step(struct data_order *order, uint64_t step, uint32_t *rows)
{
    const struct data_order_options *o = &order->options;
    uint64_t epoch = step * o->batch_size / o->rows, at = step * o->batch_size % o->rows;
    if (o->whole_epochs) {
        uint64_t steps = data_order_steps_per_epoch(o);
        epoch = step / steps;
        at = step % steps * o->batch_size;
    }
    for (size_t n = 0; n < o->batch_size; n++) {
        load_epoch(order, epoch);
        rows[n] = order->permutation[at];
        if (++at < o->rows) continue;
        if (o->whole_epochs) return n + 1;
        at = 0;
        epoch++;
    }
    return o->batch_size;
}

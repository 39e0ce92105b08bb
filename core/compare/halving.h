/* SPDX-License-Identifier: Apache-2.0
 *
 * Successive halving (Jamieson and Talwalkar 2016) over the learning rates of one method, as a pure
 * function of what was measured: all rates train to the first rung, the better half (by valid loss)
 * goes on to the next, and the last one standing is trained to the end. A run is paused at a rung
 * and continued, never begun anew, so its schedule does not know that it is a candidate.
 */
#ifndef CORE_COMPARE_HALVING_H
#define CORE_COMPARE_HALVING_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HALVING_RUNGS = 6 };

struct candidate {
    bool failed;
    size_t rungs; /* reached */
    double loss[HALVING_RUNGS];
};

/* Rungs of a sweep over `rates`: at 1/2 of the steps the last, 1/4 the one before, ... so that each
 * halves until one is left; without halving one rung after all steps; 0 for a single rate. */
size_t halving_rungs(size_t rates, bool halving);
int64_t halving_step(size_t rates, bool halving, int64_t total, size_t rung);
/* GRAFT_E_INVALID where the first rung is shorter than one step. */
GRAFT_MUST_USE enum graft_status halving_check(size_t rates, bool halving, int64_t total,
                                               struct error *e);

struct halving_next {
    enum { HALVING_RUN, HALVING_CHOSEN, HALVING_NONE } what; /* NONE: every candidate failed */
    size_t candidate;
    size_t rung; /* RUN: to this one */
};
struct halving_next halving_next(const struct candidate *c, size_t count, size_t rungs);

#endif

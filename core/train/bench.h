/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the time of a recipe's step goes: its programs node by node, beside what the device could
 * do at most (Williams et al. 2009, "Roofline"). Nothing is written.
 */
#ifndef CORE_TRAIN_BENCH_H
#define CORE_TRAIN_BENCH_H

#include "recipe/settings.h"

#include <graft/backend.h>

/* All nodes of one program with one title. */
struct bench_op {
    char title[128];
    int64_t calls;
    int32_t compute; /* what products are multiplied in */
    double seconds, flops, bytes;
    double share; /* of the limit: the time that the device's best rates need, over seconds */
    bool memory;  /* which limit: memory's rate, else the multiply-adds' */
};

enum { BENCH_TRAIN, BENCH_UPDATE, BENCH_DECODE_ONE, BENCH_DECODE_MANY, BENCH_PROGRAMS };

struct bench_program {
    const char *name; /* "training step"; NULL: the recipe does not have it */
    int64_t tokens, rows;
    double seconds;       /* run as a whole */
    struct bench_op *ops; /* the longest first */
    size_t count;
};

struct bench_report {
    char device[128];
    uint32_t threads;
    struct graft_limits limits; /* zeros: its backend does not tell */
    struct bench_program programs[BENCH_PROGRAMS];
};

/* progress: what is being timed now; may be NULL. `passes`: of which the fastest counts. */
GRAFT_MUST_USE enum graft_status train_bench(struct settings *settings, int64_t passes,
                                             void (*progress)(const char *what),
                                             struct bench_report *report, struct error *e);
void bench_report_free(struct bench_report *report);

#endif

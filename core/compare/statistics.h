/* SPDX-License-Identifier: Apache-2.0
 *
 * How sure a figure is: a bootstrap that draws rows and seeds anew. All methods are drawn alike, so
 * that differences are paired by row (and by seed, where the methods have the same seeds).
 */
#ifndef CORE_COMPARE_STATISTICS_H
#define CORE_COMPARE_STATISTICS_H

#include "report/compare.h"

enum { BOOTSTRAP_MOST = 10000, BOOTSTRAP_LEAST = 1000 };

struct bootstrap {
    size_t methods, rows, width;
    const size_t *runs;                 /* [methods]; 0: nothing to draw from */
    const double *const *const *values; /* [methods][runs] -> [rows, width] */
    const struct eval_metric *metric;
    const struct metric_context *context;
    double level, pair_level; /* 0.95: 95 % */
};

/* Fewer where many numbers a row would take minutes. */
size_t bootstrap_draws(const struct bootstrap *b);

/* of_method [methods]; of_pair [methods, methods]: the first minus the second. Percentile
 * intervals; the same input gives the same numbers. */
GRAFT_MUST_USE enum graft_status bootstrap(const struct bootstrap *b,
                                           struct report_interval *of_method,
                                           struct report_interval *of_pair, struct error *e);

/* Linear between the two nearest order statistics, as numpy.percentile; sorts `values`. */
double percentile(double *values, size_t count, double share);

#endif

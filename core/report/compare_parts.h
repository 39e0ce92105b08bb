/* SPDX-License-Identifier: Apache-2.0
 *
 * What the writers of a comparison share.
 */
#ifndef CORE_REPORT_COMPARE_PARTS_H
#define CORE_REPORT_COMPARE_PARTS_H

#include "report/compare.h"
#include "report/parts.h"

/* "77.0 %", "0.0441" */
void add_score(struct str *out, const struct eval_metric *metric, double value);
/* "72.1 to 81.0", without unit; nothing where there is no interval. */
void add_range(struct str *out, const struct eval_metric *metric, const struct report_interval *i);
/* "12 ms", "1.3 s" */
void add_latency(struct str *out, double seconds);
/* "0.001" */
void add_rate(struct str *out, double lr);
/* "1.5 MiB", a dash for a negative number. */
void add_size(struct str *out, int64_t bytes);

/* compare_charts.c, compare_curves.c; each a card with its title. */
void add_score_chart(struct str *out, const struct report_compare *r);
void add_cost_chart(struct str *out, const struct report_compare *r);
void add_sweep_chart(struct str *out, const struct report_compare *r);
void add_run_charts(struct str *out, const struct report_compare *r);
/* Rules of the page beyond report_style, in pieces up to a NULL. */
extern const char *const compare_style[];
enum { COMPARE_COLOURS = 8 };

#endif

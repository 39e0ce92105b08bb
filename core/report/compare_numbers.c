/* SPDX-License-Identifier: Apache-2.0
 *
 * Figures of a comparison for people.
 */
#include "report/compare_parts.h"

#include <math.h>

void add_score(struct str *out, const struct eval_metric *metric, double value)
{
    add_value(out, metric->unit, value);
}

void add_range(struct str *out, const struct eval_metric *metric, const struct report_interval *i)
{
    if (!isfinite(i->low) || !isfinite(i->high)) return;
    for (int k = 0; k < 2; k++) {
        double value = k == 0 ? i->low : i->high;
        if (k == 1) str_puts(out, " to ");
        if (metric->unit == METRIC_UNIT_SHARE)
            add_fixed(out, 100 * value, 1);
        else
            add_value(out, metric->unit, value);
    }
}

void add_latency(struct str *out, double seconds)
{
    if (!isfinite(seconds)) {
        add_fixed(out, seconds, 0);
    } else if (seconds < 0.9995) {
        add_fixed(out, seconds * 1000, seconds < 0.00995 ? 1 : 0);
        str_puts(out, " ms");
    } else {
        add_fixed(out, seconds, 1);
        str_puts(out, " s");
    }
}

void add_rate(struct str *out, double lr)
{
    char number[32];
    if (isfinite(lr))
        str_puts(out, format_f64(lr, number));
    else
        add_fixed(out, lr, 0);
}

void add_size(struct str *out, int64_t bytes)
{
    char text[32];
    if (bytes < 0)
        add_fixed(out, NAN, 0);
    else
        str_puts(out, format_bytes((uint64_t)bytes, text));
}

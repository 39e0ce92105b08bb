/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers for people, whatever the locale.
 */
#include "report/parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static const char dash[] = "\xE2\x80\x93";

void add_fixed(struct str *out, double value, int decimals)
{
    int64_t unit = 1;
    char number[32];
    if (!isfinite(value)) {
        str_puts(out, dash);
        return;
    }
    for (int i = 0; i < decimals; i++) unit *= 10;
    if (fabs(value) >= 1e12) {
        str_puts(out, format_f32((float)value, number));
        return;
    }
    int64_t scaled = llround(fabs(value) * (double)unit);
    if (value < 0 && scaled != 0) str_putc(out, '-');
    str_printf(out, "%" PRId64, scaled / unit);
    if (decimals > 0) str_printf(out, ".%0*" PRId64, decimals, scaled % unit);
}

void add_figure(struct str *out, double value)
{
    double size = fabs(value);
    add_fixed(out, value, size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 4);
}

/* "77.0 %" of a share. */
static void add_percent(struct str *out, double share)
{
    add_fixed(out, share * 100.0, 1);
    if (isfinite(share)) str_puts(out, " %");
}

bool measured(const struct report_metric *m)
{
    return isfinite(m->before) || isfinite(m->after);
}

void add_value(struct str *out, enum metric_unit unit, double value)
{
    switch (unit) {
    case METRIC_UNIT_FIGURE: add_figure(out, value); break;
    case METRIC_UNIT_SHARE: add_percent(out, value); break;
    case METRIC_UNIT_POINTS:
    case METRIC_UNIT_RATIO: add_fixed(out, value, 2); break;
    case METRIC_UNIT_LENGTH: add_fixed(out, value, 1); break;
    }
}

void add_duration(struct str *out, double seconds)
{
    if (!isfinite(seconds) || seconds < 0 || seconds > 1e9) {
        str_puts(out, dash);
        return;
    }
    uint64_t s = (uint64_t)llround(seconds);
    if (s >= 3600)
        str_printf(out, "%" PRIu64 " h %02" PRIu64 " min", s / 3600, s % 3600 / 60);
    else if (s >= 60)
        str_printf(out, "%" PRIu64 " min %02" PRIu64 " s", s / 60, s % 60);
    else
        str_printf(out, "%" PRIu64 " s", s);
}

uint64_t share_count(double share, size_t rows)
{
    return isfinite(share) && share > 0 ? (uint64_t)llround(share * (double)rows) : 0;
}

void add_row_change(struct str *out, const struct report_metric *m, size_t rows)
{
    str_count(out, share_count(m->before, rows));
    str_puts(out, " \xE2\x86\x92 ");
    str_count(out, share_count(m->after, rows));
    str_puts(out, " of ");
    str_count(out, rows);
}

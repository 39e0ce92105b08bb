/* SPDX-License-Identifier: Apache-2.0
 *
 * What the writers of this room share: numbers for people, escaped text, marked differences and
 * charts.
 */
#ifndef CORE_REPORT_PARTS_H
#define CORE_REPORT_PARTS_H

#include "report/report.h"

/* "0.4821" whatever the locale; a dash when not finite. */
void add_fixed(struct str *out, double value, int decimals);
/* A loss, a perplexity: about four figures. */
void add_figure(struct str *out, double value);
bool measured(const struct report_metric *m); /* before or after */
/* A metric's value as its unit is written. */
void add_value(struct str *out, enum metric_unit unit, double value);
/* "1 h 02 min", "3 min 07 s", "12 s" */
void add_duration(struct str *out, double seconds);
/* How many rows a share of them is. */
uint64_t share_count(double share, size_t rows);
/* Of `rows`, before and after: "0 → 187 of 200". */
void add_row_change(struct str *out, const struct report_metric *m, size_t rows);

/* For element content and quoted attributes; NULL is nothing. */
void add_escaped(struct str *out, const char *text);
void add_escaped_bytes(struct str *out, const char *text, size_t length);
/* Equal but for blanks at the ends. */
bool same_answer(const char *a, const char *b);
/* `text` escaped, with the words that are not in `expected` (by a longest common subsequence of
 * words) inside <mark>. */
void add_marked(struct str *out, const char *text, const char *expected);

/* A box with an answer, marked against the expected one. */
void add_answer(struct str *out, const char *who, const char *text, const char *expected);
/* A row of a table of facts; nothing for NULL. */
void add_fact(struct str *out, const char *name, const char *value);

extern const char report_logo[];
/* The style sheet of the page, in pieces up to a NULL. */
extern const char *const report_style[];

/* One line or a set of points; entries that are not finite are left out. */
struct series {
    const char *name, *style; /* style is a CSS class */
    const double *x, *y;
    size_t count;
    bool points;
};

struct chart {
    const char *title, *x_label;
    int width, height;
    const struct series *series;
    size_t count;
};

/* An SVG element with axes, ticks and labels, coloured by the page's style sheet. */
void add_chart(struct str *out, const struct chart *chart);

/* The section with loss, learning rate and gradient norm; nothing without steps. */
void add_curves(struct str *out, const struct report *r);

#endif

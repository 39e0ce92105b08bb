/* SPDX-License-Identifier: Apache-2.0
 *
 * The before/after table of a terminal.
 */
#include "report/parts.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { NAME_WIDTH = 14, VALUE_WIDTH = 12 };

/* A dash is three bytes and one column wide. */
static size_t columns(const struct str *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->length; i++) n += ((unsigned char)s->data[i] & 0xC0) != 0x80;
    return n;
}

static void add_right(struct str *out, struct str *cell)
{
    for (size_t n = columns(cell); n < VALUE_WIDTH; n++) str_putc(out, ' ');
    if (cell->failed)
        out->failed = true;
    else
        str_add(out, cell->data, cell->length);
    str_clear(cell);
}

static void widen(int *width, const struct eval_metric *metric)
{
    int length = (int)strlen(metric->label) + 2;
    if (length > *width) *width = length;
}

static void add_line(struct str *out, int width, const struct report_metric *m)
{
    struct str cell = {0};
    str_printf(out, "%-*s", width, m->metric->label);
    add_value(&cell, m->metric->unit, m->before);
    add_right(out, &cell);
    add_value(&cell, m->metric->unit, m->after);
    add_right(out, &cell);
    str_free(&cell);
}

static void add_counts(struct str *out, const struct report_metric *m, size_t rows)
{
    str_puts(out, "   (");
    add_row_change(out, m, rows);
    str_putc(out, ')');
}

void report_text(const struct report *r, struct str *out)
{
    int width = NAME_WIDTH;
    for (size_t i = 0; i < r->metric_count; i++) widen(&width, r->metrics[i].metric);
    str_printf(out, "%-*s%*s%*s   (%s, ", width, "", VALUE_WIDTH, "before", VALUE_WIDTH, "after",
               r->split == NULL ? "valid" : r->split);
    str_count(out, r->rows);
    str_puts(out, r->rows == 1 ? " row)\n" : " rows)\n");
    for (size_t i = 0; i < r->metric_count; i++) {
        const struct report_metric *m = &r->metrics[i];
        if (m->metric->needs_answers && !measured(m)) continue;
        add_line(out, width, m);
        if (m->metric->counts_rows && measured(m)) add_counts(out, m, r->rows);
        str_putc(out, '\n');
    }
}

void report_scores(const struct metric_scores *scores, struct str *out)
{
    int width = (int)sizeof "rows";
    for (size_t i = 0; i < scores->column_count; i++) widen(&width, scores->columns[i].metric);
    str_printf(out, "%-*s%zu\n", width, "rows", scores->count);
    for (size_t i = 0; i < scores->column_count; i++) {
        const struct metric_column *c = &scores->columns[i];
        str_printf(out, "%-*s", width, c->metric->label);
        add_value(out, c->metric->unit, c->value);
        if (c->metric->counts_rows && isfinite(c->value))
            str_printf(out, " (%" PRIu64 " of %zu)", share_count(c->value, scores->count),
                       scores->count);
        str_putc(out, '\n');
    }
}

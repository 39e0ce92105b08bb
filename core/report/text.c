/* SPDX-License-Identifier: Apache-2.0
 *
 * The before/after table of a terminal.
 */
#include "report/parts.h"

#include <math.h>

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

static void add_line(struct str *out, const char *name, double before, double after,
                     void (*add_value)(struct str *, double))
{
    struct str cell = {0};
    str_printf(out, "%-*s", NAME_WIDTH, name);
    add_value(&cell, before);
    add_right(out, &cell);
    add_value(&cell, after);
    add_right(out, &cell);
    str_free(&cell);
}

static bool measured(double before, double after)
{
    return isfinite(before) || isfinite(after);
}

void report_text(const struct report *r, struct str *out)
{
    const struct report_metrics *b = &r->before, *a = &r->after;
    str_printf(out, "%-*s%*s%*s   (%s, ", NAME_WIDTH, "", VALUE_WIDTH, "before", VALUE_WIDTH,
               "after", r->split == NULL ? "valid" : r->split);
    add_count(out, r->rows);
    str_puts(out, r->rows == 1 ? " row)\n" : " rows)\n");
    add_line(out, "loss", b->loss, a->loss, add_figure);
    str_putc(out, '\n');
    if (measured(b->perplexity, a->perplexity)) {
        add_line(out, "perplexity", b->perplexity, a->perplexity, add_figure);
        str_putc(out, '\n');
    }
    if (measured(b->exact_match, a->exact_match)) {
        add_line(out, "exact match", b->exact_match, a->exact_match, add_percent);
        str_puts(out, "   (");
        add_count(out, share_count(b->exact_match, r->rows));
        str_puts(out, " \xE2\x86\x92 ");
        add_count(out, share_count(a->exact_match, r->rows));
        str_puts(out, " of ");
        add_count(out, r->rows);
        str_puts(out, ")\n");
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A small chart as inline SVG. Colours and sizes of text come from the page's style sheet, so that
 * it follows light and dark and stays readable on a phone.
 */
#include "report/parts.h"

#include <math.h>

enum { LEFT = 62, RIGHT = 26, TOP = 14, BOTTOM = 50, Y_TICKS = 5, X_TICKS = 6 };

struct axis {
    double low, high, step; /* in data */
    double from, to;        /* in the drawing */
};

static bool visible(const struct series *s, size_t i)
{
    return isfinite(s->x[i]) && isfinite(s->y[i]);
}

static bool range(const struct chart *c, bool of_y, double *low, double *high)
{
    bool any = false;
    for (size_t k = 0; k < c->count; k++)
        for (size_t i = 0; i < c->series[k].count; i++) {
            const struct series *s = &c->series[k];
            double v = of_y ? s->y[i] : s->x[i];
            if (!visible(s, i)) continue;
            if (!any || v < *low) *low = v;
            if (!any || v > *high) *high = v;
            any = true;
        }
    return any;
}

/* 1, 2 or 5 times a power of ten, so that about `ticks` of them span the length. */
static double nice_step(double length, int ticks)
{
    double rough = length / ticks, power = pow(10.0, floor(log10(rough)));
    double part = rough / power;
    return power * (part <= 1.0 ? 1.0 : part <= 2.0 ? 2.0 : part <= 5.0 ? 5.0 : 10.0);
}

static struct axis make_axis(double low, double high, int ticks, double from, double to)
{
    if (low > 0 && low < 0.6 * high) low = 0;
    if (high - low < 1e-12 + fabs(high) * 1e-9) {
        double pad = high == 0 ? 1 : fabs(high) * 0.5;
        low = low > 0 ? low - pad : low;
        high += pad;
    }
    struct axis a = {.step = nice_step(high - low, ticks), .from = from, .to = to};
    a.low = floor(low / a.step + 1e-9) * a.step;
    a.high = ceil(high / a.step - 1e-9) * a.step;
    return a;
}

static double place(const struct axis *a, double value)
{
    return a->from + (value - a->low) / (a->high - a->low) * (a->to - a->from);
}

static void add_point(struct str *out, double x, double y)
{
    add_fixed(out, x, 1);
    str_putc(out, ' ');
    add_fixed(out, y, 1);
}

/* With the decimals that the step needs. */
static void add_tick_text(struct str *out, double value, double step)
{
    char number[32];
    int decimals = step >= 1 ? 0 : (int)ceil(-log10(step) - 1e-9);
    double clean = fabs(value) < step * 1e-6 ? 0 : value;
    if (decimals > 5 && clean != 0)
        str_puts(out, format_f32((float)clean, number));
    else if (clean >= 10000)
        str_count(out, (uint64_t)llround(clean));
    else
        add_fixed(out, clean, clean == 0 ? 0 : decimals);
}

static void add_line(struct str *out, const char *style, double x1, double y1, double x2, double y2)
{
    str_printf(out, "<path class=\"%s\" d=\"M", style);
    add_point(out, x1, y1);
    str_puts(out, "L");
    add_point(out, x2, y2);
    str_puts(out, "\"/>");
}

static void add_text_at(struct str *out, double x, double y, const char *anchor)
{
    str_puts(out, "<text x=\"");
    add_fixed(out, x, 1);
    str_puts(out, "\" y=\"");
    add_fixed(out, y, 1);
    str_printf(out, "\" text-anchor=\"%s\">", anchor);
}

static int tick_count(const struct axis *a)
{
    return (int)llround((a->high - a->low) / a->step);
}

static void add_y_axis(struct str *out, const struct axis *y, double left, double right)
{
    for (int i = 0; i <= tick_count(y); i++) {
        double value = y->low + i * y->step, at = place(y, value);
        add_line(out, i == 0 ? "axis" : "grid", left, at, right, at);
        add_text_at(out, left - 9, at + 4, "end");
        add_tick_text(out, value, y->step);
        str_puts(out, "</text>");
    }
}

static void add_x_axis(struct str *out, const struct axis *x, double bottom, const char *label)
{
    for (int i = 0; i <= tick_count(x); i++) {
        double value = x->low + i * x->step;
        if (place(x, value) > x->to + 0.5) break;
        add_line(out, "axis", place(x, value), bottom, place(x, value), bottom + 5);
        add_text_at(out, place(x, value), bottom + 22, "middle");
        add_tick_text(out, value, x->step);
        str_puts(out, "</text>");
    }
    add_text_at(out, (x->from + x->to) / 2, bottom + 45, "middle");
    add_escaped(out, label);
    str_puts(out, "</text>");
}

static void add_points(struct str *out, const struct series *s, const struct axis *x,
                       const struct axis *y)
{
    for (size_t i = 0; i < s->count; i++) {
        if (!visible(s, i)) continue;
        str_printf(out, "<circle class=\"%s\" r=\"4\" cx=\"", s->style);
        add_fixed(out, place(x, s->x[i]), 1);
        str_puts(out, "\" cy=\"");
        add_fixed(out, place(y, s->y[i]), 1);
        str_printf(out, "\"><title>%s, step ", s->name);
        add_fixed(out, s->x[i], 0);
        str_puts(out, ": ");
        add_figure(out, s->y[i]);
        str_puts(out, "</title></circle>");
    }
}

static void add_curve(struct str *out, const struct series *s, const struct axis *x,
                      const struct axis *y)
{
    bool pen_down = false;
    str_printf(out, "<path class=\"%s\" d=\"", s->style);
    for (size_t i = 0; i < s->count; i++) {
        if (!visible(s, i)) {
            pen_down = false;
            continue;
        }
        str_putc(out, pen_down ? 'L' : 'M');
        add_point(out, place(x, s->x[i]), place(y, s->y[i]));
        pen_down = true;
    }
    str_puts(out, "\"/>");
}

void add_chart(struct str *out, const struct chart *c)
{
    double x_low = 0, x_high = 1, y_low = 0, y_high = 1;
    if (!range(c, false, &x_low, &x_high) || !range(c, true, &y_low, &y_high)) {
        str_puts(out, "<p class=\"none\">nothing was measured</p>");
        return;
    }
    double bottom = c->height - BOTTOM, right = c->width - RIGHT;
    struct axis x = make_axis(0, x_high, X_TICKS, LEFT, right);
    struct axis y = make_axis(y_low, y_high, Y_TICKS, bottom, TOP);
    x.high = x_high > 0 ? x_high : x.high; /* the curve uses the whole width */
    str_printf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", c->width, c->height);
    add_escaped(out, c->title);
    str_puts(out, "\">");
    add_y_axis(out, &y, LEFT, right);
    add_x_axis(out, &x, bottom, c->x_label);
    for (size_t i = 0; i < c->count; i++) {
        if (c->series[i].count > 1) add_curve(out, &c->series[i], &x, &y);
        if (c->series[i].points || c->series[i].count == 1) add_points(out, &c->series[i], &x, &y);
    }
    str_puts(out, "</svg>");
}

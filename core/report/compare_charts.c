/* SPDX-License-Identifier: Apache-2.0
 *
 * The charts of a comparison: the main score with its interval, the score against the number of
 * trained parameters, the sweep.
 */
#include "report/compare_parts.h"

#include <math.h>
#include <stdio.h>

static unsigned colour(size_t method)
{
    return (unsigned)(method % COMPARE_COLOURS);
}

/* The main score, as bars of HTML: they wrap on a phone. */

struct span {
    double low, high;
};

static void widen(struct span *s, double value)
{
    if (!isfinite(value)) return;
    if (!isfinite(s->low) || value < s->low) s->low = value;
    if (!isfinite(s->high) || value > s->high) s->high = value;
}

static void put_percent_of(struct str *out, const struct span *s, double value)
{
    double share = s->high > s->low ? (value - s->low) / (s->high - s->low) : 0.5;
    add_fixed(out, 100 * fmin(fmax(share, 0), 1), 2);
    str_putc(out, '%');
}

static void put_bar(struct str *out, const struct report_compare *r, size_t m,
                    const struct span *span)
{
    const struct report_method *method = &r->methods[m];
    const struct report_interval *i = &method->scores[r->main_score];
    str_puts(out, "<div class=\"bar-k\"><span>");
    add_escaped(out, method->name);
    str_puts(out, "</span><div class=\"track\"><i class=\"was-at\" style=\"left:");
    put_percent_of(out, span, r->base_scores[r->main_score]);
    str_puts(out, "\"></i>");
    if (isfinite(i->low) && isfinite(i->high)) {
        str_printf(out, "<i class=\"reach k%u\" style=\"left:", colour(m));
        put_percent_of(out, span, i->low);
        str_puts(out, ";right:calc(100% - ");
        put_percent_of(out, span, i->high);
        str_puts(out, ")\"></i>");
    }
    str_printf(out, "<i class=\"at k%u\" style=\"left:", colour(m));
    put_percent_of(out, span, i->mean);
    str_puts(out, "\"></i></div><b>");
    add_score(out, r->metrics[r->main_score], i->mean);
    str_puts(out, "</b></div>");
}

void add_score_chart(struct str *out, const struct report_compare *r)
{
    const struct eval_metric *metric = r->metrics[r->main_score];
    struct span span = {NAN, NAN};
    widen(&span, r->base_scores[r->main_score]);
    for (size_t m = 0; m < r->method_count; m++) {
        if (r->methods[m].finished == 0) continue;
        widen(&span, r->methods[m].scores[r->main_score].mean);
        widen(&span, r->methods[m].scores[r->main_score].low);
        widen(&span, r->methods[m].scores[r->main_score].high);
    }
    str_puts(out, "<div class=\"card wide\"><h3>");
    add_escaped(out, metric->label);
    str_printf(out,
               "</h3><p class=\"delta\">bars: 95 %% intervals over rows and seeds; the line: the "
               "base model; %s is better</p>",
               metric->better == METRIC_LOWER ? "left" : "right");
    for (size_t m = 0; m < r->method_count; m++)
        if (r->methods[m].finished != 0) put_bar(out, r, m, &span);
    str_puts(out, "<div class=\"ends\"><span>");
    add_score(out, metric, span.low);
    str_puts(out, "</span><span>");
    add_score(out, metric, span.high);
    str_puts(out, "</span></div></div>");
}

/* Charts with a logarithmic axis */

enum { LEFT = 62, RIGHT = 24, TOP = 18, BOTTOM = 50, WIDTH = 480, HEIGHT = 300 };

struct plot {
    struct span x, y;
    bool log_y;
};

static double x_at(const struct plot *p, double x)
{
    double share = (log10(x) - log10(p->x.low)) / (log10(p->x.high) - log10(p->x.low));
    return LEFT + share * (WIDTH - LEFT - RIGHT);
}

static double y_at(const struct plot *p, double y)
{
    double share = p->log_y ? (log10(y) - log10(p->y.low)) / (log10(p->y.high) - log10(p->y.low))
                            : (y - p->y.low) / (p->y.high - p->y.low);
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP);
}

static void put_point(struct str *out, double x, double y)
{
    add_fixed(out, x, 1);
    str_putc(out, ' ');
    add_fixed(out, y, 1);
}

static void put_line(struct str *out, const char *style, double x1, double y1, double x2, double y2)
{
    str_printf(out, "<path class=\"%s\" d=\"M", style);
    put_point(out, x1, y1);
    str_putc(out, 'L');
    put_point(out, x2, y2);
    str_puts(out, "\"/>");
}

static void text_begin(struct str *out, const char *style, double x, double y, const char *anchor)
{
    str_printf(out, "<text%s text-anchor=\"%s\" x=\"", style, anchor);
    add_fixed(out, x, 1);
    str_puts(out, "\" y=\"");
    add_fixed(out, y, 1);
    str_puts(out, "\">");
}

static void put_circle(struct str *out, const char *style, double radius, double x, double y)
{
    str_printf(out, "<circle class=\"%s\" r=\"", style);
    add_fixed(out, radius, 1);
    str_puts(out, "\" cx=\"");
    add_fixed(out, x, 1);
    str_puts(out, "\" cy=\"");
    add_fixed(out, y, 1);
    str_puts(out, "\"/>");
}

/* A tenth of a decade on both sides; a single value gets a decade. */
static void pad_log(struct span *s)
{
    double room = s->high > s->low * 1.05 ? pow(s->high / s->low, 0.08) : 3;
    s->low /= room;
    s->high *= room;
}

static void pad_linear(struct span *s)
{
    double room = s->high > s->low ? 0.08 * (s->high - s->low) : fmax(fabs(s->high) * 0.1, 1e-6);
    s->low -= room;
    s->high += room;
}

static void put_x_ticks(struct str *out, const struct plot *p, const char *label,
                        void (*put)(struct str *, double))
{
    double bottom = HEIGHT - BOTTOM;
    static const double parts[] = {1, 2, 5};
    bool fine = p->x.high / p->x.low < 200;
    put_line(out, "axis", LEFT, bottom, WIDTH - RIGHT, bottom);
    for (double power = pow(10, floor(log10(p->x.low))); power <= p->x.high; power *= 10)
        for (size_t i = 0; i < (fine ? 3 : 1); i++) {
            double x = parts[i] * power;
            if (x < p->x.low || x > p->x.high) continue;
            put_line(out, "axis", x_at(p, x), bottom, x_at(p, x), bottom + 5);
            text_begin(out, "", x_at(p, x), bottom + 21, "middle");
            put(out, x);
            str_puts(out, "</text>");
        }
    text_begin(out, "", (LEFT + WIDTH - RIGHT) / 2.0, bottom + 44, "middle");
    str_puts(out, label);
    str_puts(out, "</text>");
}

static void put_y_ticks(struct str *out, const struct plot *p, const struct eval_metric *metric)
{
    for (int i = 0; i <= 4; i++) {
        double share = i / 4.0, y = p->log_y ? p->y.low * pow(p->y.high / p->y.low, share)
                                             : p->y.low + share * (p->y.high - p->y.low);
        if (i != 0) put_line(out, "grid", LEFT, y_at(p, y), WIDTH - RIGHT, y_at(p, y));
        text_begin(out, "", LEFT - 8, y_at(p, y) + 4, "end");
        add_score(out, metric, y);
        str_puts(out, "</text>");
    }
}

static void svg_begin(struct str *out, const char *title)
{
    str_printf(out, "<div class=\"card half\"><h3>%s</h3>", title);
    str_printf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">", WIDTH, HEIGHT,
               title);
}

/* "20k", "1.5M" */
static void put_amount(struct str *out, double count)
{
    double unit = count >= 1e9 ? 1e9 : count >= 1e6 ? 1e6 : count >= 1e3 ? 1e3 : 1;
    add_fixed(out, count / unit, 0);
    str_puts(out, count >= 1e9 ? "G" : count >= 1e6 ? "M" : count >= 1e3 ? "k" : "");
}

static bool has_cost(const struct report_compare *r, size_t m)
{
    return r->methods[m].finished != 0 && r->methods[m].trainable_parameters != 0 &&
           isfinite(r->methods[m].scores[r->main_score].mean);
}

/* The methods that nothing beats at their cost, from left to right. */
static void put_front(struct str *out, const struct report_compare *r, const struct plot *p)
{
    double last = 0;
    bool first = true;
    str_puts(out, "<path class=\"front\" d=\"");
    for (;;) {
        size_t next = r->method_count;
        for (size_t m = 0; m < r->method_count; m++) {
            double x = (double)r->methods[m].trainable_parameters;
            if (!has_cost(r, m) || !r->methods[m].efficient || x <= last) continue;
            if (next == r->method_count || x < (double)r->methods[next].trainable_parameters)
                next = m;
        }
        if (next == r->method_count) break;
        last = (double)r->methods[next].trainable_parameters;
        str_putc(out, first ? 'M' : 'L');
        put_point(out, x_at(p, last), y_at(p, r->methods[next].scores[r->main_score].mean));
        first = false;
    }
    if (first) str_puts(out, "M0 0");
    str_puts(out, "\"/>");
}

static void put_method_point(struct str *out, const struct report_compare *r, size_t m,
                             const struct plot *p)
{
    char style[8];
    double x = x_at(p, (double)r->methods[m].trainable_parameters);
    double y = y_at(p, r->methods[m].scores[r->main_score].mean);
    snprintf(style, sizeof style, "k%u", colour(m));
    put_circle(out, style, 6, x, y);
    if (r->methods[m].efficient) put_circle(out, "ring", 9.5, x, y);
    bool right = x < (LEFT + WIDTH) / 2.0;
    text_begin(out, " class=\"tag\"", right ? x + 13 : x - 13, y + 4, right ? "start" : "end");
    add_escaped(out, r->methods[m].name);
    str_puts(out, "</text>");
}

void add_cost_chart(struct str *out, const struct report_compare *r)
{
    struct plot p = {.x = {NAN, NAN}, .y = {NAN, NAN}};
    for (size_t m = 0; m < r->method_count; m++) {
        if (!has_cost(r, m)) continue;
        widen(&p.x, (double)r->methods[m].trainable_parameters);
        widen(&p.y, r->methods[m].scores[r->main_score].mean);
    }
    svg_begin(out, "Score against trained parameters");
    if (isfinite(p.x.low)) {
        pad_log(&p.x);
        pad_linear(&p.y);
        put_y_ticks(out, &p, r->metrics[r->main_score]);
        put_x_ticks(out, &p, "trained parameters", put_amount);
        put_front(out, r, &p);
        for (size_t m = 0; m < r->method_count; m++)
            if (has_cost(r, m)) put_method_point(out, r, m, &p);
    }
    str_puts(out, "</svg><p class=\"delta\">");
    add_escaped(out, r->metrics[r->main_score]->label);
    str_puts(out, "; ringed: no other method is as good with as few parameters (the Pareto "
                  "front)</p></div>");
}

/* The sweep: losses at the first rung, which every rate reaches. */

static double first_rung(const struct report_rate *rate)
{
    return rate->count != 0 ? rate->losses[0] : NAN;
}

static void put_sweep(struct str *out, const struct report_method *method, size_t m,
                      const struct plot *p)
{
    char style[8];
    snprintf(style, sizeof style, "k%u", colour(m));
    double x = NAN, y = NAN;
    for (size_t i = 0; i < method->rate_count; i++) {
        double loss = first_rung(&method->rates[i]);
        if (!isfinite(loss) || (p->log_y && loss <= 0)) continue;
        double nx = x_at(p, method->rates[i].lr), ny = y_at(p, loss);
        if (isfinite(x)) put_line(out, style, x, y, nx, ny);
        put_circle(out, style, method->rates[i].chosen ? 6 : 3.5, nx, ny);
        if (method->rates[i].chosen) put_circle(out, "ring", 9.5, nx, ny);
        x = nx;
        y = ny;
    }
}

void add_sweep_chart(struct str *out, const struct report_compare *r)
{
    struct plot p = {.x = {NAN, NAN}, .y = {NAN, NAN}};
    for (size_t m = 0; m < r->method_count; m++)
        for (size_t i = 0; i < r->methods[m].rate_count; i++) {
            if (!isfinite(first_rung(&r->methods[m].rates[i]))) continue;
            widen(&p.x, r->methods[m].rates[i].lr);
            widen(&p.y, first_rung(&r->methods[m].rates[i]));
        }
    if (!isfinite(p.x.low) || p.x.low <= 0) return;
    p.log_y = p.y.low > 0 && p.y.high / p.y.low > 5;
    svg_begin(out, "Learning-rate sweep");
    pad_log(&p.x);
    if (p.log_y)
        pad_log(&p.y);
    else
        pad_linear(&p.y);
    put_y_ticks(out, &p, &eval_metrics[METRIC_LOSS]);
    put_x_ticks(out, &p, "learning rate", add_rate);
    for (size_t m = 0; m < r->method_count; m++)
        if (r->methods[m].rate_count > 1) put_sweep(out, &r->methods[m], m, &p);
    str_puts(out, "</svg><p class=\"delta\">valid loss at the first rung, first seed; ringed: the "
                  "rate that was chosen</p></div>");
}

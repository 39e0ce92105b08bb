/* SPDX-License-Identifier: Apache-2.0
 *
 * The curves of all runs of a comparison, one colour for each method.
 */
#include "report/compare_parts.h"

#include "base/memory.h"

#include <math.h>

static void put_legend(struct str *out, const struct report_compare *r)
{
    str_puts(out, "<div class=\"legend\">");
    for (size_t m = 0; m < r->method_count; m++) {
        str_printf(out, "<span><i class=\"dot k%u\" style=\"border:0;width:11px;height:11px\"></i>",
                   (unsigned)(m % COMPARE_COLOURS));
        add_escaped(out, r->methods[m].name);
        str_puts(out, "</span>");
    }
    str_puts(out, "</div>");
}

enum { MOST_POINTS = 240 };

struct curve {
    double *x, *y;
    size_t count;
};

/* Means over stretches of steps. */
static void thin(const struct report_run *run, struct curve *c)
{
    size_t per_point = (run->step_count + MOST_POINTS - 1) / MOST_POINTS;
    for (size_t i = 0; i < run->step_count; i += per_point) {
        double sum = 0;
        size_t n = 0;
        for (size_t k = i; k < run->step_count && k < i + per_point; k++, n++)
            sum += run->steps[k].loss;
        c->x[c->count] = (double)run->steps[i + n - 1].step;
        c->y[c->count++] = sum / (double)n;
    }
    /* An exponential mean, so that many curves can be told apart. */
    double keep = 1 - 1 / (1 + (double)c->count / 40), level = c->count != 0 ? c->y[0] : 0;
    for (size_t i = 0; i < c->count; i++) {
        if (isfinite(c->y[i])) level = keep * level + (1 - keep) * c->y[i];
        c->y[i] = level;
    }
}

static void take_evals(const struct report_run *run, struct curve *c)
{
    for (size_t i = 0; i < run->eval_count; i++) {
        c->x[c->count] = (double)run->evals[i].step;
        c->y[c->count++] = run->evals[i].loss;
    }
}

static void put_runs(struct str *out, const struct report_compare *r, const char *title,
                     void (*take)(const struct report_run *, struct curve *), double *numbers,
                     struct series *series)
{
    static const char *const styles[2][COMPARE_COLOURS] = {
        {"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"},
        {"k0 off", "k1 off", "k2 off", "k3 off", "k4 off", "k5 off", "k6 off", "k7 off"}};
    size_t count = 0;
    for (size_t m = 0; m < r->method_count; m++)
        for (size_t i = 0; i < r->methods[m].run_count; i++) {
            const struct report_run *run = &r->methods[m].runs[i];
            struct curve c = {.x = numbers};
            size_t room = run->eval_count > MOST_POINTS ? run->eval_count : MOST_POINTS;
            c.y = numbers + room;
            numbers += 2 * room;
            take(run, &c);
            series[count++] = (struct series){r->methods[m].name,
                                              styles[!run->finished][m % COMPARE_COLOURS],
                                              c.x,
                                              c.y,
                                              c.count,
                                              false};
        }
    const struct chart chart = {title, "optimizer step", 720, 280, series, count};
    str_printf(out, "<div class=\"card wide\"><h3>%s</h3>", title);
    put_legend(out, r);
    add_chart(out, &chart);
    str_puts(out, "<p class=\"delta\">one line a run; broken: stopped by the sweep, or "
                  "failed</p></div>");
}

void add_run_charts(struct str *out, const struct report_compare *r)
{
    size_t runs = 0, room = 0;
    for (size_t m = 0; m < r->method_count; m++)
        for (size_t i = 0; i < r->methods[m].run_count; i++, runs++)
            room += r->methods[m].runs[i].eval_count + MOST_POINTS;
    if (runs == 0) return;
    double *numbers = mem_zalloc(2 * room, sizeof *numbers);
    struct series *series = mem_zalloc(runs, sizeof *series);
    if (numbers == NULL || series == NULL) {
        out->failed = true;
    } else {
        put_runs(out, r, "Valid loss", take_evals, numbers, series);
        put_runs(out, r, "Training loss, smoothed", thin, numbers, series);
    }
    mem_free(numbers);
    mem_free(series);
}

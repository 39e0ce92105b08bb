/* SPDX-License-Identifier: Apache-2.0
 *
 * The curves of a page: loss with its smoothed line and the valid points, learning rate, norm of
 * the gradient.
 */
#include "report/parts.h"

#include "base/memory.h"

#include <math.h>

enum { MOST_POINTS = 600, COLUMNS = 7 };

/* Columns of the drawn points: every one is the mean of a run of steps. */
struct curves {
    double *step, *loss, *smooth, *lr, *norm; /* [count] */
    size_t count;
    double *eval_step, *eval_loss; /* [eval_count] */
    size_t eval_count;
};

static double mean(double sum, size_t count)
{
    return count == 0 ? NAN : sum / (double)count;
}

static void add_to(double value, double *sum, size_t *count)
{
    if (!isfinite(value)) return;
    *sum += value;
    ++*count;
}

static void thin(const struct report *r, size_t per_point, struct curves *c)
{
    for (size_t i = 0; i < r->step_count; i += per_point) {
        double loss = 0, lr = 0, norm = 0;
        size_t losses = 0, lrs = 0, norms = 0, k = i;
        for (; k < r->step_count && k < i + per_point; k++) {
            add_to(r->steps[k].loss, &loss, &losses);
            add_to(r->steps[k].lr, &lr, &lrs);
            add_to(r->steps[k].grad_norm, &norm, &norms);
        }
        c->step[c->count] = (double)r->steps[k - 1].step;
        c->loss[c->count] = mean(loss, losses);
        c->lr[c->count] = mean(lr, lrs);
        c->norm[c->count++] = mean(norm, norms);
    }
}

/* An exponential mean over a sixtieth of the run, corrected for its start. */
static void smooth(struct curves *c)
{
    double keep = 1.0 - 1.0 / (1.0 + (double)c->count / 60.0), sum = 0, weight = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (isfinite(c->loss[i])) {
            sum = keep * sum + (1 - keep) * c->loss[i];
            weight = keep * weight + (1 - keep);
        }
        c->smooth[i] = weight == 0 ? NAN : sum / weight;
    }
}

static void chart_card(struct str *out, const char *style, const struct chart *chart)
{
    str_printf(out, "<div class=\"card %s\"><h3>%s</h3>", style, chart->title);
    add_chart(out, chart);
    str_puts(out, "</div>");
}

static void loss_card(struct str *out, const struct curves *c)
{
    const struct series series[] = {
        {"training loss", "raw", c->step, c->loss, c->count, false},
        {"smoothed", "smooth", c->step, c->smooth, c->count, false},
        {"valid loss", "valid", c->eval_step, c->eval_loss, c->eval_count, true},
    };
    const struct chart chart = {"Loss", "optimizer step", 720, 280, series, 3};
    str_puts(out, "<div class=\"card wide\"><h3>Loss</h3><div class=\"legend\">"
                  "<span><i class=\"l-raw\"></i>each step</span>"
                  "<span><i class=\"l-smooth\"></i>smoothed</span>");
    if (c->eval_count != 0) str_puts(out, "<span><i class=\"l-valid\"></i>valid rows</span>");
    str_puts(out, "</div>");
    add_chart(out, &chart);
    str_puts(out, "</div>");
}

static void draw(struct str *out, const struct curves *c)
{
    const struct series lr = {"learning rate", "one", c->step, c->lr, c->count, false};
    const struct series norm = {"gradient norm", "one", c->step, c->norm, c->count, false};
    str_puts(out, "<h2>Training</h2><div class=\"charts\">");
    loss_card(out, c);
    chart_card(out, "half", &(struct chart){"Learning rate", "optimizer step", 480, 240, &lr, 1});
    chart_card(out, "half", &(struct chart){"Gradient norm", "optimizer step", 480, 240, &norm, 1});
    str_puts(out, "</div>");
}

void add_curves(struct str *out, const struct report *r)
{
    if (r->step_count == 0) return;
    size_t per_point = (r->step_count + MOST_POINTS - 1) / MOST_POINTS;
    size_t width = r->step_count + r->eval_count;
    double *block = mem_zalloc(width, COLUMNS * sizeof *block);
    if (block == NULL) {
        out->failed = true;
        return;
    }
    struct curves c = {
        .step = block,
        .loss = block + width,
        .smooth = block + 2 * width,
        .lr = block + 3 * width,
        .norm = block + 4 * width,
        .eval_step = block + 5 * width,
        .eval_loss = block + 6 * width,
        .eval_count = r->eval_count,
    };
    thin(r, per_point, &c);
    smooth(&c);
    for (size_t i = 0; i < r->eval_count; i++) {
        c.eval_step[i] = (double)r->evals[i].step;
        c.eval_loss[i] = r->evals[i].loss;
    }
    draw(out, &c);
    mem_free(block);
}

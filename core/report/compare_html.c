/* SPDX-License-Identifier: Apache-2.0
 *
 * compare.html: one page that needs nothing else. Every text of the user, the model or the data
 * goes through add_escaped.
 */
#include "report/compare_parts.h"

#include <math.h>
#include <string.h>

static void put_head(struct str *out, const struct report_compare *r)
{
    str_puts(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                  "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                  "<meta name=\"referrer\" content=\"no-referrer\"><title>");
    str_printf(out, "%zu methods on ", r->method_count);
    add_escaped(out, r->data);
    str_puts(out, " \xC2\xB7 graft</title><style>");
    for (size_t i = 0; report_style[i] != NULL; i++) str_puts(out, report_style[i]);
    for (size_t i = 0; compare_style[i] != NULL; i++) str_puts(out, compare_style[i]);
    str_puts(out, "</style></head><body><main><header>");
    str_puts(out, report_logo);
    str_printf(out, "<div><h1>%zu methods on ", r->method_count);
    add_escaped(out, r->data);
    str_puts(out, "</h1><p>");
    if (r->model != NULL) {
        add_escaped(out, r->model);
        str_puts(out, " \xC2\xB7 ");
    }
    str_count(out, (uint64_t)r->steps);
    str_puts(out, " steps of ");
    str_count(out, (uint64_t)r->batch_size);
    str_printf(out, " rows \xC2\xB7 %zu seed%s \xC2\xB7 measured on ", r->seed_count,
               r->seed_count == 1 ? "" : "s");
    str_count(out, r->rows);
    str_puts(out, " held-out rows of ");
    add_escaped(out, r->split);
    str_puts(out, "</p></div></header>");
}

static void put_verdict(struct str *out, const struct report_compare *r)
{
    str_puts(out, "<section class=\"card verdict\">");
    for (size_t i = 0; i < r->verdict_count; i++) {
        str_puts(out, "<p>");
        add_escaped(out, r->verdict[i]);
        str_puts(out, "</p>");
    }
    str_puts(out, "</section>");
}

/* The table */

static void cell_begin(struct str *out)
{
    str_puts(out, "<td class=\"num\">");
}

static void put_score_cells(struct str *out, const struct report_compare *r,
                            const struct report_method *m)
{
    for (size_t i = 0; i < r->score_count; i++) {
        cell_begin(out);
        add_score(out, r->metrics[i], m->scores[i].mean);
        if (isfinite(m->scores[i].low)) {
            str_puts(out, "<span class=\"small\">");
            add_range(out, r->metrics[i], &m->scores[i]);
            str_puts(out, "</span>");
        }
        str_puts(out, "</td>");
    }
}

static void put_cost_cells(struct str *out, const struct report_method *m)
{
    cell_begin(out);
    str_count(out, m->trainable_parameters);
    str_puts(out, "</td>");
    cell_begin(out);
    add_size(out, (int64_t)m->adapter_bytes);
    str_puts(out, "</td>");
    cell_begin(out);
    add_size(out, m->memory_planned);
    str_puts(out, "<span class=\"small\">");
    add_size(out, m->memory_used);
    str_puts(out, " used</span></td>");
    cell_begin(out);
    if (isfinite(m->tokens_per_second))
        str_count(out, (uint64_t)llround(fabs(m->tokens_per_second)));
    str_puts(out, "</td>");
    cell_begin(out);
    add_duration(out, m->seconds);
    str_puts(out, "<span class=\"small\">");
    add_duration(out, m->all_seconds);
    str_puts(out, " in all</span></td>");
    cell_begin(out);
    add_latency(out, m->first_token);
    str_puts(out, "<span class=\"small\">");
    add_latency(out, m->per_token);
    str_puts(out, " a token</span></td>");
}

static void put_method_row(struct str *out, const struct report_compare *r, size_t index)
{
    const struct report_method *m = &r->methods[index];
    str_printf(out, "<tr><td><i class=\"dot k%u\"></i>", (unsigned)(index % COMPARE_COLOURS));
    add_escaped(out, m->name);
    if (m->words != NULL) {
        str_puts(out, "<span class=\"small\">");
        add_escaped(out, m->words);
        str_puts(out, "</span>");
    }
    str_puts(out, "</td>");
    if (m->finished == 0) {
        str_printf(out, "<td class=\"why\" colspan=\"%zu\">failed: ", r->score_count + 8);
        add_escaped(out, m->error);
        str_puts(out, "</td></tr>");
        return;
    }
    cell_begin(out);
    add_rate(out, m->lr);
    if (m->rate_count > 1) str_printf(out, "<span class=\"small\">of %zu</span>", m->rate_count);
    str_puts(out, "</td>");
    cell_begin(out);
    add_figure(out, m->valid_loss.mean);
    str_puts(out, "</td>");
    put_score_cells(out, r, m);
    put_cost_cells(out, m);
    str_puts(out, "</tr>");
}

static void put_base_row(struct str *out, const struct report_compare *r)
{
    str_puts(out, "<tr><td>base model</td><td></td><td></td>");
    for (size_t i = 0; i < r->score_count; i++) {
        cell_begin(out);
        add_score(out, r->metrics[i], r->base_scores[i]);
        str_puts(out, "</td>");
    }
    str_puts(out, "<td></td><td></td><td></td><td></td><td></td>");
    cell_begin(out);
    add_latency(out, r->base_first_token);
    str_puts(out, "<span class=\"small\">");
    add_latency(out, r->base_per_token);
    str_puts(out, " a token</span></td></tr>");
}

static void put_table(struct str *out, const struct report_compare *r)
{
    str_puts(out, "<h2>Methods</h2><div class=\"card scroll\"><table><tr><th></th>"
                  "<th class=\"num\">rate</th><th class=\"num\">valid loss</th>");
    for (size_t i = 0; i < r->score_count; i++) {
        str_puts(out, "<th class=\"num\">");
        add_escaped(out, r->metrics[i]->label);
        str_puts(out, "</th>");
    }
    str_puts(out, "<th class=\"num\">parameters</th><th class=\"num\">file</th>"
                  "<th class=\"num\">memory</th><th class=\"num\">tokens/s</th>"
                  "<th class=\"num\">time of a run</th><th class=\"num\">first token</th></tr>");
    put_base_row(out, r);
    for (size_t m = 0; m < r->method_count; m++) put_method_row(out, r, m);
    str_puts(out, "</table></div><p class=\"delta\">Small below a figure of ");
    add_escaped(out, r->split);
    str_printf(out,
               ": its 95 %% interval, by a bootstrap over the %zu rows and the %zu seed%s.</p>",
               r->rows, r->seed_count, r->seed_count == 1 ? "" : "s");
}

/* Every pair */

static void put_difference(struct str *out, const struct eval_metric *metric,
                           const struct report_interval *d)
{
    struct eval_metric plain = *metric;
    struct report_interval shown = *d;
    if (metric->unit == METRIC_UNIT_SHARE) { /* points */
        plain.unit = METRIC_UNIT_POINTS;
        shown = (struct report_interval){d->mean * 100, d->low * 100, d->high * 100};
    }
    bool sure = d->low > 0 || d->high < 0;
    cell_begin(out);
    str_puts(out, sure ? "<b>" : "");
    if (d->mean > 0) str_putc(out, '+');
    add_score(out, &plain, shown.mean);
    str_puts(out, sure ? "</b><span class=\"small\">" : "<span class=\"small\">");
    add_range(out, &plain, &shown);
    str_puts(out, "</span></td>");
}

static void put_pairs(struct str *out, const struct report_compare *r)
{
    if (r->method_count < 2) return;
    str_puts(out, "<details class=\"card\"><summary>Every pair</summary><div class=\"scroll\" "
                  "style=\"padding:0\"><table class=\"matrix\"><tr><th>minus</th>");
    for (size_t k = 0; k <= r->method_count; k++) {
        str_puts(out, "<th class=\"num\">");
        add_escaped(out, k < r->method_count ? r->methods[k].name : "base model");
        str_puts(out, "</th>");
    }
    str_puts(out, "</tr>");
    for (size_t m = 0; m < r->method_count; m++) {
        if (r->methods[m].finished == 0) continue;
        str_puts(out, "<tr><td>");
        add_escaped(out, r->methods[m].name);
        str_puts(out, "</td>");
        for (size_t k = 0; k <= r->method_count; k++)
            if (k == m)
                str_puts(out, "<td></td>");
            else
                put_difference(out, r->metrics[r->main_score],
                               &r->methods[m].differences[k * r->score_count + r->main_score]);
        str_puts(out, "</tr>");
    }
    str_puts(out, "</table></div><p class=\"delta\">The row minus the column, in ");
    add_escaped(out, r->metrics[r->main_score]->label);
    str_puts(out, ", paired by row and seed; intervals of ");
    add_fixed(out, 100 * r->difference_level, 2);
    str_puts(out, " %, so that all hold together with 95 %; bold: without zero.</p></details>");
}

static void put_samples(struct str *out, const struct report_compare *r)
{
    if (r->sample_count == 0) return;
    str_puts(out, "<h2>Answers side by side <span class=\"delta\">\xC2\xB7 words that the expected "
                  "answer lacks are <mark>marked</mark></span></h2>");
    for (size_t i = 0; i < r->sample_count; i++) {
        const struct report_compare_sample *s = &r->samples[i];
        str_puts(out, "<article class=\"card sample\"><div class=\"ask text\">");
        add_escaped(out, s->prompt);
        str_puts(out, "</div><div class=\"grid-answers\">");
        for (size_t m = 0; m < r->method_count; m++)
            if (r->methods[m].answers != NULL && r->methods[m].answers[i] != NULL)
                add_answer(out, r->methods[m].name, r->methods[m].answers[i], s->expected);
        add_answer(out, "base model", s->base, s->expected);
        str_puts(out, "</div><div class=\"want\"><div class=\"who\"><b>Expected</b></div>"
                      "<div class=\"text\">");
        add_escaped(out, s->expected);
        str_puts(out, "</div></div></article>");
    }
}

static void put_seeds(struct str *out, const struct report_compare *r)
{
    str_puts(out, "<div class=\"card\"><h3>The same for all</h3><table class=\"facts\">");
    add_fact(out, "model", r->model);
    add_fact(out, "data", r->data);
    add_fact(out, "device", r->device);
    for (size_t i = 0; i < r->seed_count; i++) {
        str_printf(out, "<tr><th>seed %lld</th><td>", (long long)r->seeds[i].seed);
        str_count(out, r->seeds[i].trained_tokens);
        str_puts(out, " trained tokens, rows and order ");
        const char *order = r->seeds[i].order != NULL ? r->seeds[i].order : "";
        add_escaped_bytes(out, order, strnlen(order, 16));
        str_puts(out, "</td></tr>");
    }
    str_puts(out, "</table></div>");
}

static void put_recipes(struct str *out, const struct report_compare *r)
{
    str_puts(out, "<h2>How it was made</h2>");
    put_seeds(out, r);
    for (size_t m = 0; m < r->method_count; m++) {
        const struct report_method *method = &r->methods[m];
        if (method->finished == 0) continue;
        str_puts(out, "<details class=\"card\"><summary>");
        add_escaped(out, method->name);
        str_puts(out, ": effective recipe, versions and hashes</summary><pre>");
        add_escaped(out, method->recipe);
        str_puts(out, "</pre><table class=\"facts\">");
        for (size_t i = 0; i < method->passport_count; i++)
            add_fact(out, method->passport[i].name, method->passport[i].value);
        str_puts(out, "</table></details>");
    }
}

void report_compare_html(const struct report_compare *r, struct str *out)
{
    put_head(out, r);
    put_verdict(out, r);
    put_table(out, r);
    put_pairs(out, r);
    str_puts(out, "<h2>Charts</h2><div class=\"charts\">");
    add_score_chart(out, r);
    add_cost_chart(out, r);
    add_sweep_chart(out, r);
    add_run_charts(out, r);
    str_puts(out, "</div>");
    put_samples(out, r);
    put_recipes(out, r);
    str_puts(out, "<footer>Written by graft. This page needs no network and holds no script."
                  "</footer></main></body></html>\n");
}

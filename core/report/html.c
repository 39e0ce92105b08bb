/* SPDX-License-Identifier: Apache-2.0
 *
 * report.html: one page that needs nothing else, for a desk and a phone. Every text of the user,
 * the model or the data goes through add_escaped.
 */
#include "report/parts.h"

#include <math.h>
#include <string.h>

const char report_logo[] =
    "<svg viewBox=\"0 0 48 48\" aria-hidden=\"true\"><rect width=\"48\" height=\"48\" rx=\"12\" "
    "style=\"fill:var(--green)\"/><path d=\"M24 40V22M24 28c-1-8-6-12-14-12 0 8 5 12 14 12zM24 "
    "22c0-8 5-12 14-13 0 9-5 13-14 13z\" style=\"stroke:var(--card);stroke-width:2.6;"
    "stroke-linejoin:round;stroke-linecap:round\"/></svg>";

static const char *text_or(const char *text, const char *other)
{
    return text == NULL || *text == '\0' ? other : text;
}

/* The last part of a path is enough for a title. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL || slash[1] == '\0' ? path : slash + 1;
}

static void add_title(struct str *out, const struct report *r)
{
    add_escaped(out, base_name(text_or(r->model, "model")));
    if (r->method == NULL) return;
    str_puts(out, " + ");
    add_escaped(out, r->method);
}

static void add_head(struct str *out, const struct report *r)
{
    str_puts(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                  "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                  "<meta name=\"referrer\" content=\"no-referrer\"><title>");
    add_title(out, r);
    str_puts(out, " \xC2\xB7 graft</title><style>");
    for (size_t i = 0; report_style[i] != NULL; i++) str_puts(out, report_style[i]);
    str_puts(out, "</style></head><body><main><header>");
    str_puts(out, report_logo);
    str_puts(out, "<div><h1>");
    add_title(out, r);
    str_puts(out, "</h1><p>");
    if (r->step_count != 0) {
        str_count(out, r->steps[r->step_count - 1].step);
        str_puts(out, " steps");
        if (isfinite(r->seconds)) {
            str_puts(out, " in ");
            add_duration(out, r->seconds);
        }
        str_puts(out, " \xC2\xB7 ");
    }
    str_puts(out, "measured on ");
    str_count(out, r->rows);
    str_printf(out, " held-out row%s of ", r->rows == 1 ? "" : "s");
    add_escaped(out, text_or(r->split, "valid"));
    str_puts(out, "</p></div></header>");
}

static void add_label(struct str *out, const char *label)
{
    str_putc(out, label[0] >= 'a' && label[0] <= 'z' ? (char)(label[0] - 'a' + 'A') : label[0]);
    add_escaped(out, label + 1);
}

static void hero_begin(struct str *out, const struct report_metric *m)
{
    bool known = isfinite(m->before) && isfinite(m->after) && m->before != m->after &&
                 m->metric->better != METRIC_NEITHER;
    bool better = (m->metric->better == METRIC_HIGHER) == (m->after > m->before);
    str_printf(out, "<div class=\"card\" title=\"%s\"><div class=\"label\">", m->metric->help);
    add_label(out, m->metric->label);
    str_puts(out, "</div><div class=\"pair\"><span class=\"was\">");
    add_value(out, m->metric->unit, m->before);
    str_printf(out,
               "</span><span class=\"to\" aria-label=\"to\">\xE2\x86\x92</span>"
               "<span class=\"now%s\">",
               !known   ? ""
               : better ? " better"
                        : " worse");
    add_value(out, m->metric->unit, m->after);
    str_puts(out, "</span></div>");
}

/* "65 % lower" */
static void add_change(struct str *out, const struct report_metric *m)
{
    double share = (m->after - m->before) / m->before;
    if (!isfinite(share) || m->before <= 0) return;
    str_puts(out, "<div class=\"delta\">");
    add_fixed(out, fabs(share) * 100, fabs(share) < 0.1 ? 1 : 0);
    str_printf(out, " %% %s than before</div>", share <= 0 ? "lower" : "higher");
}

static void add_bar(struct str *out, const struct report_metric *m)
{
    str_puts(out, "<div class=\"bar\"><i style=\"width:");
    add_fixed(out, isfinite(m->after) ? m->after * 100 : 0, 1);
    str_puts(out, "%\"></i></div>");
}

static void add_counts(struct str *out, const struct report_metric *m, size_t rows)
{
    str_puts(out, "<div class=\"delta\">");
    add_row_change(out, m, rows);
    str_puts(out, " answers</div>");
}

static void add_card(struct str *out, const struct report_metric *m, size_t rows)
{
    hero_begin(out, m);
    if (m->metric->unit == METRIC_UNIT_SHARE) add_bar(out, m);
    if (m->metric->unit == METRIC_UNIT_FIGURE) add_change(out, m);
    if (m->metric->counts_rows) add_counts(out, m, rows);
    str_puts(out, "</div>");
}

/* What the answers are like, then what the model thinks of the expected ones. */
static void add_hero(struct str *out, const struct report *r)
{
    str_puts(out, "<section class=\"hero\">");
    for (size_t i = 0; i < r->metric_count; i++)
        if (r->metrics[i].metric->needs_answers && measured(&r->metrics[i]))
            add_card(out, &r->metrics[i], r->rows);
    for (size_t i = 0; i < r->metric_count; i++)
        if (!r->metrics[i].metric->needs_answers) add_card(out, &r->metrics[i], r->rows);
    str_puts(out, "</section>");
}

void add_answer(struct str *out, const char *who, const char *text, const char *expected)
{
    bool right = same_answer(text, expected);
    str_printf(out, "<div class=\"answer%s\"><div class=\"who\"><b>%s</b>", right ? " right" : "",
               who);
    if (right) str_puts(out, "<span class=\"ok\">\xE2\x9C\x93 exact</span>");
    str_puts(out, "</div>");
    if (text == NULL || text[strspn(text, " \t\r\n")] == '\0') {
        str_printf(out, "<div class=\"empty\">%s</div></div>",
                   text == NULL ? "not measured" : "no text");
        return;
    }
    str_puts(out, "<div class=\"text\">");
    add_marked(out, text, expected);
    str_puts(out, "</div></div>");
}

static void add_sample(struct str *out, const struct report_sample *s)
{
    str_puts(out, "<article class=\"card sample\"><div class=\"ask text\">");
    add_escaped(out, s->prompt);
    str_puts(out, "</div><div class=\"answers\">");
    add_answer(out, "Before", s->before, s->expected);
    add_answer(out, "After", s->after, s->expected);
    str_puts(out, "</div>");
    if (s->expected != NULL) {
        str_puts(out, "<div class=\"want\"><div class=\"who\"><b>Expected</b></div>"
                      "<div class=\"text\">");
        add_escaped(out, s->expected);
        str_puts(out, "</div></div>");
    }
    str_puts(out, "</article>");
}

static void add_samples(struct str *out, const struct report *r)
{
    if (r->sample_count == 0) return;
    str_puts(out, "<h2>Answers before and after <span class=\"delta\">\xC2\xB7 words that the "
                  "expected answer lacks are <mark>marked</mark></span></h2>");
    for (size_t i = 0; i < r->sample_count; i++) add_sample(out, &r->samples[i]);
}

static void add_byte_cell(struct str *out, int64_t bytes)
{
    char text[32];
    str_printf(out, "<td class=\"num\">%s</td>",
               bytes < 0 ? "\xE2\x80\x93" : format_bytes((uint64_t)bytes, text));
}

static void add_meter(struct str *out, const char *style, int64_t bytes, int64_t most)
{
    if (bytes < 0) return;
    str_printf(out, "<i class=\"%s\" style=\"width:", style);
    add_fixed(out, most > 0 ? 100.0 * (double)bytes / (double)most : 0, 1);
    str_puts(out, "%\"></i>");
}

static void add_memory_row(struct str *out, const struct report_memory *m, int64_t most, bool total)
{
    str_printf(out, "<tr%s><td>", total ? " class=\"total\"" : "");
    add_escaped(out, m->name);
    str_puts(out, "</td><td class=\"meter\">");
    add_meter(out, "planned", m->planned, most);
    add_meter(out, "used", m->used, most);
    str_puts(out, "</td>");
    add_byte_cell(out, m->planned);
    add_byte_cell(out, m->used);
    str_puts(out, "</tr>");
}

static void add_memory(struct str *out, const struct report *r)
{
    int64_t most = r->memory_planned > r->memory_used ? r->memory_planned : r->memory_used;
    str_puts(out, "<div class=\"card\"><h3>Memory</h3><table><tr><th></th><th></th>"
                  "<th class=\"num\">planned</th><th class=\"num\">used</th></tr>");
    for (size_t i = 0; i < r->memory_count; i++) add_memory_row(out, &r->memory[i], most, false);
    const struct report_memory total = {"total", r->memory_planned, r->memory_used};
    add_memory_row(out, &total, most, true);
    str_puts(out, "</table></div>");
}

static void fact_begin(struct str *out, const char *name)
{
    str_puts(out, "<tr><th>");
    add_escaped(out, name);
    str_puts(out, "</th><td>");
}

void add_fact(struct str *out, const char *name, const char *value)
{
    if (value == NULL) return;
    fact_begin(out, name);
    add_escaped(out, value);
    str_puts(out, "</td></tr>");
}

static void add_parameters(struct str *out, const struct report *r)
{
    fact_begin(out, "trained");
    str_count(out, r->trainable_parameters);
    str_puts(out, " parameters");
    if (r->total_parameters != 0) {
        str_puts(out, " (");
        add_fixed(out, 100.0 * (double)r->trainable_parameters / (double)r->total_parameters, 2);
        str_puts(out, " % of ");
        str_count(out, r->total_parameters);
        str_putc(out, ')');
    }
    str_puts(out, "</td></tr>");
}

static void add_facts(struct str *out, const struct report *r)
{
    str_puts(out, "<div class=\"card\"><h3>The run</h3><table class=\"facts\">");
    add_fact(out, "model", r->model);
    add_fact(out, "method", r->method);
    add_fact(out, "optimizer", r->optimizer);
    add_fact(out, "data", r->data);
    add_parameters(out, r);
    if (isfinite(r->tokens_per_second)) {
        fact_begin(out, "speed");
        str_count(out, (uint64_t)llround(fabs(r->tokens_per_second)));
        str_puts(out, " tokens/s</td></tr>");
    }
    if (isfinite(r->seconds)) {
        fact_begin(out, "time");
        add_duration(out, r->seconds);
        str_puts(out, "</td></tr>");
    }
    add_fact(out, "device", r->device);
    str_puts(out, "</table></div>");
}

static void add_recipe(struct str *out, const struct report *r)
{
    if (r->recipe != NULL) {
        str_puts(out, "<details class=\"card\"><summary>Effective recipe</summary><pre>");
        add_escaped(out, r->recipe);
        str_puts(out, "</pre></details>");
    }
    if (r->passport_count == 0) return;
    str_puts(out, "<details class=\"card\"><summary>Passport</summary><table class=\"facts\">");
    for (size_t i = 0; i < r->passport_count; i++)
        add_fact(out, r->passport[i].name, r->passport[i].value);
    str_puts(out, "</table></details>");
}

void report_html(const struct report *r, struct str *out)
{
    add_head(out, r);
    add_hero(out, r);
    add_curves(out, r);
    add_samples(out, r);
    str_puts(out, "<h2>How it was made</h2><div class=\"two\">");
    add_facts(out, r);
    add_memory(out, r);
    str_puts(out, "</div>");
    add_recipe(out, r);
    str_puts(out, "<footer>Written by graft. This page needs no network and holds no script."
                  "</footer></main></body></html>\n");
}

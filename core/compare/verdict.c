/* SPDX-License-Identifier: Apache-2.0
 *
 * Sentences. Every claim rests on an interval of report_method.differences.
 */
#include "compare/verdict.h"

#include <math.h>
#include <string.h>

struct verdict {
    const struct report_compare *r;
    size_t score; /* index */
    const struct eval_metric *metric;
    size_t order[64]; /* methods that have a figure, best first */
    size_t count;
    size_t group; /* the first so many do not differ from the best */
    struct arena *arena;
    const char **out;
    size_t sentences;
    bool failed;
};

static double mean_of(const struct verdict *v, size_t method)
{
    return v->r->methods[method].scores[v->score].mean;
}

static struct report_interval difference(const struct verdict *v, size_t a, size_t b)
{
    return v->r->methods[a].differences[b * v->r->score_count + v->score];
}

static bool differs(const struct verdict *v, size_t a, size_t b)
{
    struct report_interval d = difference(v, a, b);
    return d.low > 0 || d.high < 0;
}

static bool is_better(const struct verdict *v, double a, double b)
{
    return v->metric->better == METRIC_HIGHER ? a > b : a < b;
}

/* Insertion sort: few, and equal ones stay in the recipe's order. */
static void sort_methods(struct verdict *v)
{
    for (size_t m = 0; m < v->r->method_count && v->count < 64; m++) {
        size_t at = v->count;
        if (v->r->methods[m].finished == 0 || !isfinite(mean_of(v, m))) continue;
        while (at > 0 && is_better(v, mean_of(v, m), mean_of(v, v->order[at - 1]))) {
            v->order[at] = v->order[at - 1];
            at--;
        }
        v->order[at] = m;
        v->count++;
    }
}

/* The best and those that do not differ from it to the front, the order kept. */
static void find_group(struct verdict *v)
{
    for (size_t i = 0; i < v->count; i++) {
        size_t m = v->order[i];
        if (i != 0 && differs(v, m, v->order[0])) continue;
        memmove(v->order + v->group + 1, v->order + v->group, (i - v->group) * sizeof v->order[0]);
        v->order[v->group++] = m;
    }
}

static void say(struct verdict *v, struct str *sentence)
{
    const char *kept = sentence->failed ? NULL : arena_strdup(v->arena, sentence->data);
    if (kept == NULL)
        v->failed = true;
    else if (v->sentences < VERDICT_SENTENCES)
        v->out[v->sentences++] = kept;
    str_free(sentence);
}

static const char *name_of(const struct verdict *v, size_t place)
{
    return v->r->methods[v->order[place]].name;
}

/* "a, b and c" */
static void put_names(const struct verdict *v, struct str *out, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        str_printf(out, "%s%s", i == from ? "" : i + 1 == to ? " and " : ", ", name_of(v, i));
}

static void put_number(const struct verdict *v, struct str *out, double value, double size)
{
    char number[32];
    double scale = v->metric->unit == METRIC_UNIT_SHARE ? 100 : 1, shown = value * scale;
    int decimals = size * scale >= 10 ? 0 : size * scale >= 1 ? 1 : size * scale >= 0.01 ? 3 : 5;
    double unit = pow(10, decimals);
    str_puts(out, format_plain(round(shown * unit) / unit, number));
}

/* "lower by 11 to 19 points" */
static void put_difference(const struct verdict *v, struct str *out, struct report_interval d)
{
    double a = fabs(d.low), b = fabs(d.high), low = a < b ? a : b, high = a < b ? b : a;
    str_printf(out, "%s by ", d.mean < 0 ? "lower" : "higher");
    put_number(v, out, low, high);
    str_puts(out, " to ");
    put_number(v, out, high, high);
    if (v->metric->unit != METRIC_UNIT_FIGURE) str_puts(out, " points");
}

static void say_best(struct verdict *v)
{
    struct str s = {0};
    const char *title = v->metric->label;
    size_t rows = v->r->rows;
    bool all = true;
    for (size_t i = 0; i < v->group; i++)
        for (size_t k = 0; k < i; k++) all &= !differs(v, v->order[i], v->order[k]);
    if (v->count == 1) {
        str_printf(&s, "%s is the only method with a figure.", name_of(v, 0));
    } else if (v->group == 1) {
        str_printf(&s, "%s is best in %s on these %zu %s rows.", name_of(v, 0), title, rows,
                   v->r->split);
    } else if (all) {
        put_names(v, &s, 0, v->group);
        str_printf(&s, " do not differ measurably in %s on these %zu %s rows.", title, rows,
                   v->r->split);
    } else {
        str_printf(&s, "%s has the best %s on these %zu %s rows, and ", name_of(v, 0), title, rows,
                   v->r->split);
        put_names(v, &s, 1, v->group);
        str_puts(&s, " cannot be told from it.");
    }
    say(v, &s);
}

static void say_others(struct verdict *v)
{
    struct str s = {0};
    if (v->group == v->count) return;
    if (v->group > 1) str_printf(&s, "Against %s, ", name_of(v, 0));
    for (size_t i = v->group; i < v->count; i++) {
        str_printf(&s, "%s%s is ", i != v->group ? "; " : "", name_of(v, i));
        put_difference(v, &s, difference(v, v->order[i], v->order[0]));
    }
    str_putc(&s, '.');
    say(v, &s);
}

/* Who did not learn. */
static void say_base(struct verdict *v)
{
    struct str s = {0};
    size_t base = v->r->method_count, found = 0;
    for (size_t i = 0; i < v->count; i++) {
        struct report_interval d = difference(v, v->order[i], base);
        bool better = v->metric->better == METRIC_HIGHER ? d.low > 0 : d.high < 0;
        if (better || !isfinite(d.low)) continue;
        str_printf(&s, "%s%s", found++ == 0 ? "Not measurably better than the base model: " : ", ",
                   name_of(v, i));
    }
    if (found == 0) return;
    str_putc(&s, '.');
    say(v, &s);
}

static void say_cheapest(struct verdict *v)
{
    struct str s = {0};
    size_t best = v->order[0];
    if (v->group < 2) return;
    for (size_t i = 1; i < v->group; i++)
        if (v->r->methods[v->order[i]].trainable_parameters <
            v->r->methods[best].trainable_parameters)
            best = v->order[i];
    str_printf(&s, "Of those, %s trains the fewest parameters (", v->r->methods[best].name);
    str_count(&s, (uint64_t)v->r->methods[best].trainable_parameters);
    str_puts(&s, ").");
    say(v, &s);
}

static void say_failures(struct verdict *v)
{
    struct str s = {0};
    for (size_t m = 0; m < v->r->method_count; m++) {
        const struct report_method *method = &v->r->methods[m];
        if (method->error == NULL) continue;
        if (s.length != 0) str_putc(&s, ' ');
        if (method->finished == 0)
            str_printf(&s, "%s failed.", method->name);
        else
            str_printf(&s, "%s: %zu of %zu seeds failed; its figures are of the rest.",
                       method->name, v->r->seed_count - method->finished, v->r->seed_count);
    }
    if (s.length != 0) say(v, &s);
}

static void say_limits(struct verdict *v, bool selected_on_split)
{
    struct str s = {0};
    if (v->r->seed_count == 1)
        str_puts(&s, "One seed: how far another would move these figures is not known.");
    if (selected_on_split)
        str_printf(&s,
                   "%sThe rates were chosen on the very rows that these figures are of, which "
                   "flatters methods with more rates: give data.test.",
                   s.length != 0 ? " " : "");
    if (v->r->leaked != 0)
        str_printf(&s, "%s%zu %s rows stand in train, which flatters who memorizes.",
                   s.length != 0 ? " " : "", v->r->leaked, v->r->split);
    if (s.length != 0) say(v, &s);
}

/* What the score has to say. */
static void judge(struct verdict *v, size_t score)
{
    v->score = score;
    v->metric = v->r->metrics[score];
    v->count = v->group = 0;
    sort_methods(v);
    find_group(v);
    if (v->count == 0) return;
    say_best(v);
    say_cheapest(v);
    say_others(v);
    say_base(v);
}

size_t verdict_write(const struct report_compare *r, bool selected_on_split, struct arena *arena,
                     const char *out[VERDICT_SENTENCES])
{
    struct verdict v = {.r = r, .arena = arena, .out = out};
    judge(&v, r->main_score);
    /* Where answers tell nobody apart, the loss may. */
    if (r->main_score != 0 && v.group == v.count && v.count > 1) judge(&v, 0);
    say_failures(&v);
    say_limits(&v, selected_on_split);
    return v.failed ? SIZE_MAX : v.sentences;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The comparison on a terminal: what came out, what it took, the verdict.
 */
#include "report/compare_parts.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

enum { COLUMNS = 16, CELL_GAP = 2 };

/* Rows of cells that are as wide as their widest; the first column stands left, others right. */
struct table {
    struct str *cells; /* [rows, columns] */
    size_t rows, columns;
};

static size_t width_of(const struct str *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->length; i++) n += ((unsigned char)s->data[i] & 0xC0) != 0x80;
    return n;
}

static void pad(struct str *out, size_t count)
{
    while (count-- > 0) str_putc(out, ' ');
}

static void put_table(struct str *out, const struct table *t)
{
    size_t width[COLUMNS] = {0};
    for (size_t i = 0; i < t->rows * t->columns; i++) {
        if (t->cells[i].failed) out->failed = true;
        size_t w = width_of(&t->cells[i]);
        if (w > width[i % t->columns]) width[i % t->columns] = w;
    }
    for (size_t i = 0; i < t->rows * t->columns && !out->failed; i++) {
        size_t column = i % t->columns, gap = width[column] - width_of(&t->cells[i]);
        if (column != 0) pad(out, CELL_GAP + gap);
        if (t->cells[i].length != 0) str_add(out, t->cells[i].data, t->cells[i].length);
        if (column == 0) pad(out, gap);
        if (column + 1 == t->columns) str_putc(out, '\n');
    }
}

static void free_cells(struct table *t)
{
    for (size_t i = 0; i < t->rows * t->columns; i++) str_free(&t->cells[i]);
    mem_free(t->cells);
}

static struct str *cell(struct table *t, size_t row, size_t column)
{
    return &t->cells[row * t->columns + column];
}

static void put_score(struct str *out, const struct eval_metric *metric,
                      const struct report_interval *i)
{
    add_score(out, metric, i->mean);
    if (!isfinite(i->low)) return;
    str_puts(out, " (");
    add_range(out, metric, i);
    str_putc(out, ')');
}

/* Name, rate, valid loss, then the scores. */
static void put_results(struct str *out, const struct report_compare *r)
{
    struct table t = {.rows = r->method_count + 2, .columns = 3 + r->score_count};
    if (t.columns > COLUMNS) t.columns = COLUMNS;
    t.cells = mem_zalloc(t.rows * t.columns, sizeof *t.cells);
    if (t.cells == NULL) {
        out->failed = true;
        return;
    }
    str_puts(cell(&t, 0, 1), "lr");
    str_puts(cell(&t, 0, 2), "valid loss");
    str_puts(cell(&t, 1, 0), "base model");
    for (size_t i = 0; 3 + i < t.columns; i++) {
        str_printf(cell(&t, 0, 3 + i), "%s%s%s", r->metrics[i]->label, i == 0 ? ", " : "",
                   i == 0 ? r->split : "");
        add_score(cell(&t, 1, 3 + i), r->metrics[i], r->base_scores[i]);
    }
    for (size_t m = 0; m < r->method_count; m++) {
        const struct report_method *method = &r->methods[m];
        str_puts(cell(&t, m + 2, 0), method->name);
        if (method->finished == 0) {
            str_puts(cell(&t, m + 2, 1), "failed");
            continue;
        }
        add_rate(cell(&t, m + 2, 1), method->lr);
        add_figure(cell(&t, m + 2, 2), method->valid_loss.mean);
        for (size_t i = 0; 3 + i < t.columns; i++)
            put_score(cell(&t, m + 2, 3 + i), r->metrics[i], &method->scores[i]);
    }
    put_table(out, &t);
    free_cells(&t);
}

static void put_costs(struct str *out, const struct report_compare *r)
{
    static const char *const heads[] = {"",         "parameters", "file",        "planned",  "used",
                                        "tokens/s", "time",       "first token", "per token"};
    struct table t = {.rows = r->method_count + 1, .columns = sizeof heads / sizeof heads[0]};
    t.cells = mem_zalloc(t.rows * t.columns, sizeof *t.cells);
    if (t.cells == NULL) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < t.columns; i++) str_puts(cell(&t, 0, i), heads[i]);
    for (size_t m = 0; m < r->method_count; m++) {
        const struct report_method *method = &r->methods[m];
        str_puts(cell(&t, m + 1, 0), method->name);
        if (method->finished == 0) continue;
        str_count(cell(&t, m + 1, 1), method->trainable_parameters);
        add_size(cell(&t, m + 1, 2), (int64_t)method->adapter_bytes);
        add_size(cell(&t, m + 1, 3), method->memory_planned);
        add_size(cell(&t, m + 1, 4), method->memory_used);
        if (isfinite(method->tokens_per_second))
            str_count(cell(&t, m + 1, 5), (uint64_t)llround(fabs(method->tokens_per_second)));
        add_duration(cell(&t, m + 1, 6), method->all_seconds);
        add_latency(cell(&t, m + 1, 7), method->first_token);
        add_latency(cell(&t, m + 1, 8), method->per_token);
    }
    put_table(out, &t);
    free_cells(&t);
}

void report_compare_text(const struct report_compare *r, struct str *out)
{
    put_results(out, r);
    str_putc(out, '\n');
    put_costs(out, r);
    str_putc(out, '\n');
    for (size_t m = 0; m < r->method_count; m++)
        if (r->methods[m].error != NULL)
            str_printf(out, "%s failed: %s\n", r->methods[m].name, r->methods[m].error);
    for (size_t i = 0; i < r->verdict_count; i++) str_printf(out, "%s\n", r->verdict[i]);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * compare.csv: one line per method, for spreadsheets (RFC 4180). Numbers in full, shares from 0 to
 * 1, empty where nothing was measured.
 */
#include "report/compare.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void add_text(struct str *out, const char *text)
{
    if (text == NULL) return;
    if (strpbrk(text, ",\"\r\n") == NULL) {
        str_puts(out, text);
        return;
    }
    str_putc(out, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"') str_putc(out, '"');
        str_putc(out, *text);
    }
    str_putc(out, '"');
}

static void add_number(struct str *out, double value)
{
    char number[32];
    str_putc(out, ',');
    if (isfinite(value)) str_puts(out, format_f64(value, number));
}

static void add_integer(struct str *out, int64_t value)
{
    str_putc(out, ',');
    if (value >= 0) str_printf(out, "%" PRId64, value);
}

static void add_header(struct str *out, const struct report_compare *r)
{
    str_puts(out, "method,lr,runs,trainable_parameters,adapter_bytes,valid_loss");
    for (size_t i = 0; i < r->score_count; i++) {
        const char *name = r->metrics[i]->name;
        str_printf(out, ",%s_%s,%s_%s_low,%s_%s_high", r->split, name, r->split, name, r->split,
                   name);
    }
    str_puts(out, ",memory_planned,memory_used,tokens_per_second,seconds,all_seconds,"
                  "first_token_seconds,token_seconds,error\r\n");
}

static void add_method(struct str *out, const struct report_compare *r,
                       const struct report_method *m)
{
    bool any = m->finished != 0;
    add_text(out, m->name);
    add_number(out, m->lr);
    add_integer(out, (int64_t)m->finished);
    add_integer(out, any ? (int64_t)m->trainable_parameters : -1);
    add_integer(out, any ? (int64_t)m->adapter_bytes : -1);
    add_number(out, m->valid_loss.mean);
    for (size_t i = 0; i < r->score_count; i++) {
        add_number(out, m->scores[i].mean);
        add_number(out, m->scores[i].low);
        add_number(out, m->scores[i].high);
    }
    add_integer(out, m->memory_planned);
    add_integer(out, m->memory_used);
    add_number(out, m->tokens_per_second);
    add_number(out, m->seconds);
    add_number(out, m->all_seconds);
    add_number(out, m->first_token);
    add_number(out, m->per_token);
    str_putc(out, ',');
    add_text(out, m->error);
    str_puts(out, "\r\n");
}

void report_compare_csv(const struct report_compare *r, struct str *out)
{
    add_header(out, r);
    for (size_t m = 0; m < r->method_count; m++) add_method(out, r, &r->methods[m]);
}

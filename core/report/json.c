/* SPDX-License-Identifier: Apache-2.0
 *
 * report.json and steps.jsonl (interface.md, section 3), written in a fixed order of keys.
 */
#include "report/report.h"

#include "base/json.h"

#include <inttypes.h>
#include <string.h>

static void add_key(struct str *out, const char *key)
{
    char last = out->length == 0 ? '\0' : out->data[out->length - 1];
    if (last != '{' && last != '[') str_putc(out, ',');
    if (key == NULL) return;
    json_write_string(out, key, strlen(key));
    str_putc(out, ':');
}

static void add_number(struct str *out, const char *key, double value)
{
    char number[32];
    add_key(out, key);
    str_puts(out, format_f64(value, number));
}

static void add_integer(struct str *out, const char *key, uint64_t value)
{
    add_key(out, key);
    str_printf(out, "%" PRIu64, value);
}

/* Negative: not measured. */
static void add_bytes(struct str *out, const char *key, int64_t value)
{
    add_key(out, key);
    if (value < 0)
        str_puts(out, "null");
    else
        str_printf(out, "%" PRId64, value);
}

static void add_text(struct str *out, const char *key, const char *text)
{
    add_key(out, key);
    if (text == NULL)
        str_puts(out, "null");
    else
        json_write_string(out, text, strlen(text));
}

void report_step_line(struct str *out, const struct report_step *step)
{
    str_putc(out, '{');
    add_integer(out, "step", step->step);
    add_number(out, "loss", step->loss);
    add_integer(out, "tokens", step->tokens);
    add_integer(out, "tokens_seen", step->tokens_seen);
    add_number(out, "lr", step->lr);
    add_number(out, "grad_norm", step->grad_norm);
    add_number(out, "seconds", step->seconds);
    str_puts(out, "}\n");
}

static void add_metrics(struct str *out, const char *key, const struct report *r, bool after)
{
    add_key(out, key);
    str_putc(out, '{');
    for (size_t i = 0; i < r->metric_count; i++)
        add_number(out, r->metrics[i].metric->name,
                   after ? r->metrics[i].after : r->metrics[i].before);
    str_putc(out, '}');
}

static void add_samples(struct str *out, const struct report *r)
{
    add_key(out, "samples");
    str_putc(out, '[');
    for (size_t i = 0; i < r->sample_count; i++) {
        const struct report_sample *s = &r->samples[i];
        add_key(out, NULL);
        str_putc(out, '{');
        add_text(out, "prompt", s->prompt);
        add_text(out, "expected", s->expected);
        add_text(out, "before", s->before);
        add_text(out, "after", s->after);
        str_putc(out, '}');
    }
    str_putc(out, ']');
}

static void add_evals(struct str *out, const struct report *r)
{
    add_key(out, "evals");
    str_putc(out, '[');
    for (size_t i = 0; i < r->eval_count; i++) {
        add_key(out, NULL);
        str_putc(out, '{');
        add_integer(out, "step", r->evals[i].step);
        add_number(out, "loss", r->evals[i].loss);
        str_putc(out, '}');
    }
    str_putc(out, ']');
}

static void add_memory(struct str *out, const struct report *r)
{
    add_key(out, "memory");
    str_putc(out, '{');
    add_bytes(out, "planned", r->memory_planned);
    add_bytes(out, "used", r->memory_used);
    add_key(out, "classes");
    str_putc(out, '[');
    for (size_t i = 0; i < r->memory_count; i++) {
        add_key(out, NULL);
        str_putc(out, '{');
        add_text(out, "name", r->memory[i].name);
        add_bytes(out, "planned", r->memory[i].planned);
        add_bytes(out, "used", r->memory[i].used);
        str_putc(out, '}');
    }
    str_puts(out, "]}");
}

void report_json(const struct report *r, struct str *out)
{
    struct str line = {0};
    str_putc(&line, '{');
    add_text(&line, "model", r->model);
    add_text(&line, "method", r->method);
    add_text(&line, "optimizer", r->optimizer);
    add_text(&line, "device", r->device);
    add_text(&line, "split", r->split);
    add_integer(&line, "rows", r->rows);
    add_metrics(&line, "before", r, false);
    add_metrics(&line, "after", r, true);
    add_integer(&line, "steps", r->step_count == 0 ? 0 : r->steps[r->step_count - 1].step);
    add_evals(&line, r);
    add_memory(&line, r);
    add_number(&line, "tokens_per_second", r->tokens_per_second);
    add_number(&line, "seconds", r->seconds);
    add_integer(&line, "trainable_parameters", r->trainable_parameters);
    add_integer(&line, "total_parameters", r->total_parameters);
    add_samples(&line, r);
    str_puts(&line, "}\n");
    if (line.failed)
        out->failed = true;
    else
        str_add(out, line.data, line.length);
    str_free(&line);
}

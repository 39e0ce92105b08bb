/* SPDX-License-Identifier: Apache-2.0
 *
 * compare.json. What a second run of the same comparison may change (times, memory that the system
 * counted) stands in objects named "measured", everything else is the same.
 */
#include "report/compare.h"

#include "base/json.h"

#include <math.h>

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *bytes(int64_t value)
{
    return value >= 0 ? json_integer((json_int_t)value) : json_null();
}

static json_t *interval(const struct report_interval *i)
{
    return json_pack("{s:o, s:o, s:o}", "mean", real(i->mean), "low", real(i->low), "high",
                     real(i->high));
}

static json_t *scores(const struct report_compare *r, const double *values)
{
    json_t *object = json_object();
    for (size_t i = 0; values != NULL && i < r->score_count; i++)
        json_object_set_new(object, r->metrics[i]->name, real(values[i]));
    return object;
}

static json_t *rates(const struct report_method *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->rate_count; i++) {
        json_t *losses = json_array();
        for (size_t k = 0; k < m->rates[i].count; k++)
            json_array_append_new(losses, real(m->rates[i].losses[k]));
        json_array_append_new(list, json_pack("{s:f, s:o, s:b, s:s?}", "lr", m->rates[i].lr,
                                              "valid_losses", losses, "chosen",
                                              (int)m->rates[i].chosen, "error", m->rates[i].error));
    }
    return list;
}

static json_t *run(const struct report_compare *r, const struct report_run *run)
{
    return json_pack("{s:f, s:I, s:b, s:I, s:o, s:o, s:{s:o, s:o, s:o, s:o, s:o}}", "lr", run->lr,
                     "seed", (json_int_t)run->seed, "finished", (int)run->finished, "steps",
                     (json_int_t)run->step_count, "valid_loss", real(run->valid_loss), r->split,
                     scores(r, run->scores), "measured", "seconds", real(run->seconds),
                     "tokens_per_second", real(run->tokens_per_second), "first_token_seconds",
                     real(run->first_token), "token_seconds", real(run->per_token), "memory_used",
                     bytes(run->memory_used));
}

static json_t *runs(const struct report_compare *r, const struct report_method *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->run_count; i++) json_array_append_new(list, run(r, &m->runs[i]));
    return list;
}

static json_t *all_scores(const struct report_compare *r, const struct report_interval *values)
{
    json_t *object = json_object();
    for (size_t i = 0; i < r->score_count; i++)
        json_object_set_new(object, r->metrics[i]->name, interval(&values[i]));
    return object;
}

/* To every other method, and to the base model. */
static json_t *differences(const struct report_compare *r, const struct report_method *m)
{
    json_t *object = json_object();
    for (size_t k = 0; k <= r->method_count; k++) {
        const char *other = k < r->method_count ? r->methods[k].name : "base model";
        if (&r->methods[k] == m) continue;
        json_object_set_new(object, other, all_scores(r, m->differences + k * r->score_count));
    }
    return object;
}

static json_t *passport(const struct report_method *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->passport_count; i++)
        json_array_append_new(list, json_pack("{s:s?, s:s?}", "name", m->passport[i].name, "value",
                                              m->passport[i].value));
    return list;
}

static json_t *method(const struct report_compare *r, const struct report_method *m)
{
    json_t *object = json_pack("{s:s, s:s?, s:s?, s:o, s:I, s:I, s:I, s:o, s:o}", "name", m->name,
                               "words", m->words, "error", m->error, "lr", real(m->lr),
                               "runs_finished", (json_int_t)m->finished, "trainable_parameters",
                               (json_int_t)m->trainable_parameters, "adapter_bytes",
                               (json_int_t)m->adapter_bytes, "memory_planned",
                               bytes(m->memory_planned), "valid_loss", interval(&m->valid_loss));
    json_object_set_new(object, r->split, all_scores(r, m->scores));
    json_object_set_new(object, "differences", differences(r, m));
    json_object_set_new(object, "efficient", json_boolean(m->efficient));
    json_object_set_new(object, "rates", rates(m));
    json_object_set_new(object, "runs", runs(r, m));
    json_object_set_new(object, "measured",
                        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "memory_used",
                                  bytes(m->memory_used), "tokens_per_second",
                                  real(m->tokens_per_second), "seconds", real(m->seconds),
                                  "all_seconds", real(m->all_seconds), "first_token_seconds",
                                  real(m->first_token), "token_seconds", real(m->per_token)));
    json_object_set_new(object, "recipe", m->recipe != NULL ? json_string(m->recipe) : json_null());
    json_object_set_new(object, "passport", passport(m));
    return object;
}

static json_t *seeds(const struct report_compare *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->seed_count; i++)
        json_array_append_new(list,
                              json_pack("{s:I, s:s?, s:I}", "seed", (json_int_t)r->seeds[i].seed,
                                        "order_sha256", r->seeds[i].order, "trained_tokens",
                                        (json_int_t)r->seeds[i].trained_tokens));
    return list;
}

static json_t *samples(const struct report_compare *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->sample_count; i++) {
        json_t *answers = json_object();
        for (size_t m = 0; m < r->method_count; m++)
            if (r->methods[m].answers != NULL && r->methods[m].answers[i] != NULL)
                json_object_set_new(answers, r->methods[m].name,
                                    json_string(r->methods[m].answers[i]));
        json_array_append_new(list,
                              json_pack("{s:s?, s:s?, s:s?, s:o}", "prompt", r->samples[i].prompt,
                                        "expected", r->samples[i].expected, "base",
                                        r->samples[i].base, "answers", answers));
    }
    return list;
}

void report_compare_json(const struct report_compare *r, struct str *out)
{
    json_t *methods = json_array(), *verdict = json_array();
    for (size_t m = 0; m < r->method_count; m++)
        json_array_append_new(methods, method(r, &r->methods[m]));
    for (size_t i = 0; i < r->verdict_count; i++)
        json_array_append_new(verdict, json_string(r->verdict[i]));
    json_t *root = json_pack(
        "{s:s?, s:s?, s:s?, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:s, s:o}", "model", r->model,
        "device", r->device, "data", r->data, "split", r->split, "rows", (json_int_t)r->rows,
        "steps", (json_int_t)r->steps, "batch_size", (json_int_t)r->batch_size, "total_parameters",
        (json_int_t)r->total_parameters, "rows_in_train", (json_int_t)r->leaked, "seeds", seeds(r),
        "main_score", r->metrics[r->main_score]->name, "verdict", verdict);
    json_object_set_new(root, "intervals",
                        json_pack("{s:f, s:f, s:I}", "level", 0.95, "difference_level",
                                  r->difference_level, "draws", (json_int_t)r->draws));
    json_object_set_new(root, "base",
                        json_pack("{s:o, s:{s:o, s:o}}", r->split, scores(r, r->base_scores),
                                  "measured", "first_token_seconds", real(r->base_first_token),
                                  "token_seconds", real(r->base_per_token)));
    json_object_set_new(root, "methods", methods);
    json_object_set_new(root, "samples", samples(r));
    if (root == NULL)
        out->failed = true;
    else
        json_write(out, root, 1, false);
    str_putc(out, '\n');
    json_decref(root);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * From the folders of the runs to the report: figures with their intervals, the verdict, samples.
 */
#include "compare/parts.h"

#include "compare/statistics.h"
#include "compare/verdict.h"
#include "file/atomic.h"
#include "file/paths.h"

#include <math.h>
#include <string.h>

enum { SAMPLES = 8 };

struct builder {
    struct comparison *c;
    struct arena arena;
    struct report_compare r;
    struct report_method *methods;
    struct collected *
        *runs; /* [methods] of the chosen rate, by seed; those that finished in front */
    const struct eval_metric *metrics[METRIC_KINDS];
    int32_t chosen; /* as bits */
    struct data_rows train;
    struct metric_context *context;
    struct error *e;
};

static void *need(struct builder *b, size_t count, size_t size)
{
    return arena_alloc(&b->arena, count, size);
}

static enum graft_status no_memory(struct builder *b)
{
    return error_memory(b->e, "the report of a comparison", 0);
}

/* All chosen metrics are there once the rows are scored. */
static const struct metric_column *score_of(const struct rows *rows,
                                            const struct eval_metric *metric)
{
    return metric_scores_find(&rows->scores, (enum metric)(metric - eval_metrics));
}

/* Runs */

static enum graft_status add_run(struct builder *b, size_t m, size_t rate, size_t seed)
{
    struct report_method *method = &b->methods[m];
    struct report_run *runs = (struct report_run *)(uintptr_t)method->runs;
    struct collected found;
    enum graft_status status = compare_collect(b->c, m, rate, seed, &b->arena, &found, b->e);
    if (status != GRAFT_OK) {
        rows_free(&found.rows);
        return status;
    }
    method->all_seconds += isfinite(found.run.seconds) ? found.run.seconds : 0;
    if (found.run.finished) {
        status = rows_score(&found.rows, b->context, b->chosen, b->e);
        double *scores = need(b, b->r.score_count, sizeof *scores);
        for (size_t i = 0; scores != NULL && status == GRAFT_OK && i < b->r.score_count; i++)
            scores[i] = score_of(&found.rows, b->metrics[i])->value;
        found.run.scores = scores;
        b->runs[m][method->finished++] = found;
        if (scores == NULL) status = no_memory(b);
    } else {
        rows_free(&found.rows);
    }
    runs[method->run_count++] = found.run;
    return status;
}

static enum graft_status add_rates(struct builder *b, size_t m, size_t chosen)
{
    const struct settings_method *s = &b->c->settings->methods[m];
    struct report_rate *rates = need(b, s->rates.count, sizeof *rates);
    if (rates == NULL) return no_memory(b);
    for (size_t i = 0; i < s->rates.count; i++) {
        const struct compare_record *record = compare_record_at(&b->c->state, m, i, 0);
        rates[i] = (struct report_rate){s->rates.items[i], record->candidate.loss,
                                        record->candidate.rungs, i == chosen, record->error};
    }
    b->methods[m].rates = rates;
    b->methods[m].rate_count = s->rates.count;
    return GRAFT_OK;
}

static enum graft_status add_runs(struct builder *b, size_t m)
{
    const struct settings_compare *s = b->c->settings;
    size_t rates = s->methods[m].rates.count, seeds = s->seeds.count;
    struct report_method *method = &b->methods[m];
    method->runs = need(b, rates * seeds, sizeof *method->runs);
    b->runs[m] = need(b, rates * seeds, sizeof *b->runs[m]);
    if (method->runs == NULL || b->runs[m] == NULL) return no_memory(b);
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; i < rates * seeds && status == GRAFT_OK; i++)
        if (compare_record_at(&b->c->state, m, i / seeds, i % seeds)->begun)
            status = add_run(b, m, i / seeds, i % seeds);
    return status;
}

static double mean_of(const struct collected *runs, size_t count,
                      double (*value)(const struct collected *run))
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += value(&runs[i]);
    return count != 0 ? sum / (double)count : (double)NAN;
}

static double seconds_of(const struct collected *run)
{
    return run->run.seconds;
}

static double speed_of(const struct collected *run)
{
    return run->run.tokens_per_second;
}

static double first_token_of(const struct collected *run)
{
    return run->run.first_token;
}

static double per_token_of(const struct collected *run)
{
    return run->run.per_token;
}

/* A mean and the range of the seeds: valid rows are no sample that is drawn from here. */
static struct report_interval valid_of(const struct collected *runs, size_t count)
{
    struct report_interval out = {0, INFINITY, -INFINITY};
    for (size_t i = 0; i < count; i++) {
        double loss = runs[i].run.valid_loss;
        out.mean += loss / (double)count;
        out.low = loss < out.low ? loss : out.low;
        out.high = loss > out.high ? loss : out.high;
    }
    return count != 0 ? out : (struct report_interval){(double)NAN, (double)NAN, (double)NAN};
}

static enum graft_status add_method(struct builder *b, size_t m)
{
    const struct settings_compare *s = b->c->settings;
    struct report_method *method = &b->methods[m];
    size_t chosen = compare_chosen(&b->c->state, m);
    method->name = s->methods[m].name;
    method->error = compare_failure(&b->c->state, m);
    method->lr = chosen != SIZE_MAX ? s->methods[m].rates.items[chosen] : (double)NAN;
    method->memory_planned = method->memory_used = -1;
    enum graft_status status = add_rates(b, m, chosen);
    if (status == GRAFT_OK) status = add_runs(b, m);
    const struct collected *runs = b->runs[m];
    method->valid_loss = valid_of(runs, method->finished);
    method->seconds = mean_of(runs, method->finished, seconds_of);
    method->tokens_per_second = mean_of(runs, method->finished, speed_of);
    method->first_token = mean_of(runs, method->finished, first_token_of);
    method->per_token = mean_of(runs, method->finished, per_token_of);
    for (size_t i = 0; i < method->finished; i++)
        if (runs[i].run.memory_used > method->memory_used)
            method->memory_used = runs[i].run.memory_used;
    if (status != GRAFT_OK || method->finished == 0) return status;
    method->words = runs->words;
    method->trainable_parameters = runs->parameters;
    method->adapter_bytes = runs->adapter_bytes;
    method->memory_planned = runs->memory_planned;
    method->recipe = runs->recipe;
    method->passport = runs->passport;
    method->passport_count = runs->passport_count;
    b->r.model = runs->model;
    b->r.device = runs->device;
    b->r.total_parameters = runs->total_parameters - runs->parameters;
    return GRAFT_OK;
}

/* Intervals */

/* values[m][run]; the base model is the last method, with one run. */
static const double *const *const *gather(struct builder *b, const struct eval_metric *metric,
                                          size_t *runs)
{
    size_t count = b->r.method_count;
    const double *const **all = need(b, count + 1, sizeof *all);
    for (size_t m = 0; all != NULL && m <= count; m++) {
        size_t n = m < count ? b->methods[m].finished : 1;
        const double **values = need(b, n + 1, sizeof *values);
        if (values == NULL) return NULL;
        for (size_t i = 0; i < n; i++)
            values[i] = score_of(m < count ? &b->runs[m][i].rows : &b->c->base, metric)->rows;
        runs[m] = n;
        all[m] = values;
    }
    return all;
}

static enum graft_status add_intervals(struct builder *b, size_t score)
{
    size_t count = b->r.method_count, scores = b->r.score_count, all = count + 1;
    struct report_interval *of_method = need(b, all, sizeof *of_method);
    struct report_interval *of_pair = need(b, all * all, sizeof *of_pair);
    size_t *runs = need(b, all, sizeof *runs);
    const double *const *const *values = runs != NULL ? gather(b, b->metrics[score], runs) : NULL;
    if (of_method == NULL || of_pair == NULL || values == NULL) return no_memory(b);
    struct bootstrap input = {.methods = all,
                              .rows = b->r.rows,
                              .width = score_of(&b->c->base, b->metrics[score])->width,
                              .runs = runs,
                              .values = values,
                              .metric = b->metrics[score],
                              .context = b->context,
                              .level = 0.95,
                              .pair_level = b->r.difference_level};
    size_t draws = bootstrap_draws(&input);
    if (score == 0 || draws < b->r.draws) b->r.draws = draws;
    enum graft_status status = bootstrap(&input, of_method, of_pair, b->e);
    for (size_t m = 0; m < count && status == GRAFT_OK; m++) {
        b->methods[m].scores[score] = of_method[m];
        for (size_t k = 0; k < all; k++)
            b->methods[m].differences[k * scores + score] = of_pair[m * all + k];
    }
    return status;
}

static enum graft_status add_scores(struct builder *b)
{
    size_t count = b->r.method_count, scores = b->r.score_count;
    enum graft_status status = GRAFT_OK;
    for (size_t m = 0; m < count; m++) {
        b->methods[m].scores = need(b, scores, sizeof *b->methods[m].scores);
        b->methods[m].differences =
            need(b, (count + 1) * scores, sizeof *b->methods[m].differences);
        if (b->methods[m].scores == NULL || b->methods[m].differences == NULL) return no_memory(b);
    }
    for (size_t i = 0; i < scores && status == GRAFT_OK; i++) status = add_intervals(b, i);
    return status;
}

/* Loss, whatever was asked for, and the metrics that the rows have what they need for. The main
 * score is the first one of answers, which a user sees; else the loss. */
static void choose_scores(struct builder *b, const struct settings *s)
{
    size_t main_score = SIZE_MAX;
    for (int i = 0; i < METRIC_KINDS; i++) {
        const struct eval_metric *metric = &eval_metrics[i];
        bool asked = i == METRIC_LOSS || (s->eval.metrics >> i & 1) != 0;
        if (!asked || (metric->needs_answers && !b->c->base.has_answers)) continue;
        if (metric->needs_answers && metric->better != METRIC_NEITHER && main_score == SIZE_MAX)
            main_score = b->r.score_count;
        b->metrics[b->r.score_count++] = metric;
        b->chosen |= 1 << i;
    }
    b->r.metrics = b->metrics;
    b->r.main_score = main_score != SIZE_MAX ? main_score : 0;
}

static enum graft_status score_base(struct builder *b, const struct settings *s)
{
    struct rows *base = &b->c->base;
    double *scores = need(b, b->r.score_count, sizeof *scores);
    enum graft_status status = scores != NULL ? GRAFT_OK : no_memory(b);
    for (size_t i = 0; i < s->data.train.count && status == GRAFT_OK; i++)
        status = data_read(s->data.train.items[i], &b->train, b->e);
    if (status == GRAFT_OK)
        status = metric_context_create(b->chosen, base->has_answers ? base->file.expected : NULL,
                                       base->count, &b->train, &b->context, b->e);
    if (status == GRAFT_OK) status = rows_score(base, b->context, b->chosen, b->e);
    for (size_t i = 0; i < b->r.score_count && status == GRAFT_OK; i++)
        scores[i] = score_of(base, b->metrics[i])->value;
    b->r.base_scores = scores;
    return status;
}

/* Answers that are as wrong (or right) as the base model's for every method say nothing: the loss
 * does. */
static void leave_floor(struct builder *b)
{
    size_t score = b->r.main_score;
    for (size_t m = 0; m < b->r.method_count; m++)
        if (b->methods[m].finished != 0 &&
            b->methods[m].scores[score].mean != b->r.base_scores[score])
            return;
    b->r.main_score = 0;
}

/* No other is as good for less; fewer parameters break ties. */
static void mark_efficient(struct builder *b)
{
    size_t score = b->r.main_score;
    double sign = b->metrics[score]->better == METRIC_HIGHER ? 1 : -1;
    for (size_t m = 0; m < b->r.method_count; m++) {
        struct report_method *a = &b->methods[m];
        a->efficient = a->finished != 0 && isfinite(a->scores[score].mean);
        for (size_t k = 0; k < b->r.method_count && a->efficient; k++) {
            const struct report_method *o = &b->methods[k];
            double x = sign * a->scores[score].mean, y = sign * o->scores[score].mean;
            if (k == m || o->finished == 0 || !isfinite(y)) continue;
            bool cheaper = o->trainable_parameters < a->trainable_parameters;
            bool as_cheap = o->trainable_parameters <= a->trainable_parameters;
            if ((y > x && as_cheap) || (y >= x && cheaper)) a->efficient = false;
        }
    }
}

/* Samples */

/* Rows that the methods answer differently say most. */
static bool answers_differ(const struct builder *b, size_t row)
{
    const char *first = NULL;
    for (size_t m = 0; m < b->r.method_count; m++) {
        if (b->methods[m].finished == 0) continue;
        const char *answer = b->runs[m][0].rows.file.after[row].answer;
        if (first != NULL && strcmp(first, answer) != 0) return true;
        first = answer;
    }
    return false;
}

static enum graft_status add_samples(struct builder *b)
{
    const struct rows *base = &b->c->base;
    struct report_compare_sample *samples = need(b, SAMPLES, sizeof *samples);
    size_t chosen[SAMPLES], count = 0;
    if (samples == NULL) return no_memory(b);
    if (!base->has_answers) return GRAFT_OK;
    for (int want = 1; want >= 0; want--)
        for (size_t row = 0; row < base->count && count < SAMPLES; row++)
            if (answers_differ(b, row) == (want != 0)) chosen[count++] = row;
    for (size_t i = 0; i < count; i++)
        samples[i] =
            (struct report_compare_sample){base->prompts[chosen[i]], base->file.expected[chosen[i]],
                                           base->file.after[chosen[i]].answer};
    for (size_t m = 0; m < b->r.method_count; m++) {
        const char **answers = need(b, SAMPLES, sizeof *answers);
        if (answers == NULL) return no_memory(b);
        for (size_t i = 0; i < count && b->methods[m].finished != 0; i++)
            answers[i] = b->runs[m][0].rows.file.after[chosen[i]].answer;
        b->methods[m].answers = answers;
    }
    b->r.samples = samples;
    b->r.sample_count = count;
    return GRAFT_OK;
}

static const char *field(const struct collected *run, const char *name)
{
    for (size_t i = 0; i < run->passport_count; i++)
        if (strcmp(run->passport[i].name, name) == 0) return run->passport[i].value;
    return NULL;
}

static enum graft_status add_seeds(struct builder *b)
{
    const struct settings_compare *s = b->c->settings;
    struct report_seed *seeds = need(b, s->seeds.count, sizeof *seeds);
    if (seeds == NULL) return no_memory(b);
    for (size_t i = 0; i < s->seeds.count; i++) {
        seeds[i].seed = s->seeds.items[i];
        for (size_t m = 0; m < b->r.method_count; m++)
            for (size_t k = 0; k < b->methods[m].finished; k++) {
                const struct collected *run = &b->runs[m][k];
                if (run->run.seed != seeds[i].seed) continue;
                int64_t tokens = 0;
                seeds[i].order = field(run, "order sha256");
                const char *trained = field(run, "trained tokens");
                if (trained != NULL && parse_int64(trained, &tokens))
                    seeds[i].trained_tokens = (uint64_t)tokens;
            }
    }
    b->r.seeds = seeds;
    b->r.seed_count = s->seeds.count;
    return GRAFT_OK;
}

static enum graft_status add_verdict(struct builder *b)
{
    const char **sentences = need(b, VERDICT_SENTENCES, sizeof *sentences);
    bool sweeps = false;
    for (size_t m = 0; m < b->r.method_count; m++) sweeps |= b->methods[m].rate_count > 1;
    if (sentences == NULL) return no_memory(b);
    b->r.verdict_count =
        verdict_write(&b->r, sweeps && strcmp(b->r.split, "valid") == 0, &b->arena, sentences);
    b->r.verdict = sentences;
    return b->r.verdict_count != SIZE_MAX ? GRAFT_OK : no_memory(b);
}

static enum graft_status fill(struct builder *b, const struct settings *s)
{
    const struct settings_compare *c = b->c->settings;
    size_t count = c->method_count;
    b->methods = need(b, count, sizeof *b->methods);
    b->runs = need(b, count, sizeof *b->runs);
    b->r = (struct report_compare){
        .data = arena_strdup(&b->arena, path_last(s->data.train.items[0], 2)),
        .split = s->data.test != NULL ? "test" : "valid",
        .rows = b->c->base.count,
        .steps = b->c->state.steps,
        .batch_size = s->train.batch_size,
        .leaked = b->c->leak.rows,
        .difference_level = 1 - 0.05 / (double)(count > 2 ? count * (count - 1) / 2 : 1),
        .methods = b->methods,
        .method_count = count,
        .base_first_token = b->c->state.base_time.first_token,
        .base_per_token = b->c->state.base_time.per_token};
    if (b->methods == NULL || b->runs == NULL || b->r.data == NULL) return no_memory(b);
    choose_scores(b, s);
    enum graft_status status = score_base(b, s);
    for (size_t m = 0; m < count && status == GRAFT_OK; m++) status = add_method(b, m);
    if (status == GRAFT_OK) status = add_seeds(b);
    if (status == GRAFT_OK) status = add_scores(b);
    if (status != GRAFT_OK) return status;
    leave_floor(b);
    mark_efficient(b);
    status = add_samples(b);
    return status == GRAFT_OK ? add_verdict(b) : status;
}

/* Files */

static enum graft_status write_one(struct builder *b, const char *name,
                                   void (*write)(const struct report_compare *r, struct str *out))
{
    struct str text = {0};
    char *path = path_join(b->c->settings->output, name);
    write(&b->r, &text);
    enum graft_status status = path == NULL || text.failed
                                   ? error_memory(b->e, name, text.length)
                                   : atomic_write_file(path, text.data, text.length, b->e);
    mem_free(path);
    str_free(&text);
    return status;
}

static void free_runs(struct builder *b)
{
    for (size_t m = 0; b->runs != NULL && m < b->r.method_count; m++)
        for (size_t i = 0; b->runs[m] != NULL && i < b->methods[m].finished; i++)
            rows_free(&b->runs[m][i].rows);
    metric_context_destroy(b->context);
    data_rows_free(&b->train);
    arena_free(&b->arena);
}

enum graft_status compare_report(struct comparison *c, struct compare_outcome *outcome,
                                 struct error *e)
{
    struct builder b = {.c = c, .e = e};
    struct settings *s = NULL;
    enum graft_status status = settings_compare_run(c->settings, 0, 0, 0, NULL, &s, e);
    if (status == GRAFT_OK) status = fill(&b, s);
    if (status == GRAFT_OK) status = write_one(&b, "compare.csv", report_compare_csv);
    if (status == GRAFT_OK) status = write_one(&b, "compare.html", report_compare_html);
    if (status == GRAFT_OK) status = write_one(&b, "compare.json", report_compare_json);
    if (status == GRAFT_OK) {
        report_compare_text(&b.r, &outcome->table);
        for (size_t m = 0; m < b.r.method_count; m++) outcome->failed += b.methods[m].error != NULL;
    }
    settings_free(s);
    free_runs(&b);
    return status;
}

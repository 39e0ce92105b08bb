/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run leaves: the adapter, the passport, the measured rows, the report. The report comes
 * last: where it stands, the run is finished.
 */
#include "train/trainer.h"

#include "base/hash.h"
#include "base/json.h"
#include "eval/rows.h"
#include "file/atomic.h"
#include "file/paths.h"

#include <math.h>
#include <string.h>
#include <sys/resource.h>

static enum graft_status write_text(const struct trainer *t, const char *name, struct str *text,
                                    struct error *e)
{
    char *path = run_folder_file(t->folder, name);
    enum graft_status status = path == NULL || text->failed
                                   ? error_memory(e, name, text->length)
                                   : atomic_write_file(path, text->data, text->length, e);
    mem_free(path);
    return status;
}

/* A stack: each adapter in a folder of its own, and the order. */
static enum graft_status save_stack(struct trainer *t, struct error *e)
{
    struct str text = {0};
    json_t *list = json_array();
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; i < t->settings->adapter_count && status == GRAFT_OK; i++) {
        char *name = mem_format("adapters/%zu-%s", i, t->settings->adapters[i].method);
        char *folder = name != NULL ? run_folder_file(t->folder, name) : NULL;
        if (folder == NULL)
            status = error_memory(e, "a path", 0);
        else
            status = folder_make(folder, e);
        if (status == GRAFT_OK) {
            json_array_append_new(list, json_string(name));
            status = adapt_save(t->session->adapt, i, folder, path_last(t->settings->model.path, 1),
                                t->session->backend, e);
        }
        mem_free(folder);
        mem_free(name);
    }
    json_t *stack = json_pack("{s:o}", "adapters", list);
    json_write(&text, stack, 2, false);
    str_putc(&text, '\n');
    if (status == GRAFT_OK) status = write_text(t, "stack.json", &text, e);
    json_decref(stack);
    str_free(&text);
    return status;
}

static enum graft_status save_adapters(struct trainer *t, struct error *e)
{
    if (t->settings->adapter_count > 1) return save_stack(t, e);
    return adapt_save(t->session->adapt, 0, run_folder_path(t->folder),
                      path_last(t->settings->model.path, 1), t->session->backend, e);
}

/* The passport */

struct passport {
    struct arena arena;
    struct report_field *fields;
    size_t count, capacity;
    bool failed;
};

static void add_field(struct passport *p, const char *name, const char *value)
{
    const char *n = arena_strdup(&p->arena, name);
    const char *v = arena_strdup(&p->arena, value);
    if (n == NULL || v == NULL ||
        !array_reserve(&p->fields, &p->capacity, p->count + 1, sizeof *p->fields)) {
        p->failed = true;
        return;
    }
    p->fields[p->count++] = (struct report_field){n, v};
}

static void add_file(struct passport *p, const char *what, const char *path)
{
    char hex[HASH_HEX_SIZE], value[1200];
    if (path_kind(path) != PATH_FILE || hash_file_hex(path, hex, NULL) != GRAFT_OK) {
        add_field(p, what, path_last(path, 1));
        return;
    }
    snprintf(value, sizeof value, "%s sha256 %s", path_last(path, 1), hex);
    add_field(p, what, value);
}

static void add_plugin(struct passport *p, const char *what, const struct plugin *plugin)
{
    char hex[HASH_HEX_SIZE], value[1200];
    if (plugin_hash(plugin, hex, NULL) != GRAFT_OK) return;
    snprintf(value, sizeof value, "%s %s, ABI %u.%u, sha256 %s", plugin->name, plugin->version,
             plugin->abi_major, plugin->abi_minor, hex);
    add_field(p, what, value);
}

static enum graft_status fill_passport(struct trainer *t, struct passport *p, struct error *e)
{
    const struct settings *s = t->settings;
    struct train_rows rows;
    char hex[HASH_HEX_SIZE], number[32];
    enum graft_status status = trainer_rows(t, &rows, e);
    if (status != GRAFT_OK) return status;
    hash_bytes_hex(t->recipe, strlen(t->recipe), hex);
    add_field(p, "graft", GRAFT_VERSION);
    add_field(p, "recipe sha256", hex);
    add_file(p, "model", s->model.path);
    for (size_t i = 0; i < s->data.train.count; i++) add_file(p, "train", s->data.train.items[i]);
    if (s->data.valid != NULL) add_file(p, "valid", s->data.valid);
    if (s->data.test != NULL) add_file(p, "test", s->data.test);
    add_field(p, "template", t->session->has_chat ? t->session->chat.name : "none");
    for (size_t i = 0; i < s->adapter_count; i++) add_plugin(p, "adapter", s->adapters[i].plugin);
    add_plugin(p, "optimizer", s->optimizer.plugin);
    add_plugin(p, "backend", device_plugin(t->session->device));
    add_field(p, "device", device_name(t->session->device));
    snprintf(number, sizeof number, "%u", device_threads(t->session->device));
    add_field(p, "threads", number);
    snprintf(number, sizeof number, "%lld", (long long)s->train.seed);
    add_field(p, "seed", number);
    add_field(p, "order sha256", rows.hash);
    snprintf(number, sizeof number, "%llu", (unsigned long long)rows.trained_tokens);
    add_field(p, "trained tokens", number);
    return GRAFT_OK;
}

static enum graft_status write_passport(const struct trainer *t, const struct passport *p,
                                        struct error *e)
{
    struct str text = {0};
    json_t *object = json_array();
    for (size_t i = 0; i < p->count; i++)
        json_array_append_new(object, json_pack("{s:s, s:s}", "name", p->fields[i].name, "value",
                                                p->fields[i].value));
    json_write(&text, object, 1, false);
    str_putc(&text, '\n');
    enum graft_status status =
        p->failed ? error_memory(e, "passport.json", 0) : write_text(t, "passport.json", &text, e);
    json_decref(object);
    str_free(&text);
    return status;
}

/* The report */

static double value_of(const struct eval_measure *m, enum metric kind)
{
    const struct metric_column *column = metric_scores_find(&m->scores, kind);
    return column != NULL ? column->value : (double)NAN;
}

/* The chosen ones, in the order of the table. */
static size_t fill_metrics(const struct trainer *t, struct report_metric metrics[METRIC_KINDS])
{
    size_t n = 0;
    for (enum metric kind = 0; kind < METRIC_KINDS; kind++)
        if ((t->settings->eval.metrics >> kind & 1) != 0)
            metrics[n++] = (struct report_metric){.metric = &eval_metrics[kind],
                                                  .before = value_of(&t->before, kind),
                                                  .after = value_of(&t->after, kind)};
    return n;
}

static size_t fill_samples(const struct trainer *t, struct report_sample samples[SAMPLES_KEPT])
{
    size_t n = t->generator != NULL ? t->after.count : 0;
    if (n > SAMPLES_KEPT) n = SAMPLES_KEPT;
    for (size_t i = 0; i < n; i++) {
        const struct data_row *row = &t->final.rows.rows[t->final.tokens.rows[i].source];
        const char *prompt = "";
        for (size_t m = 0; m + 1 < row->message_count; m++)
            if (strcmp(row->messages[m].role, "user") == 0) prompt = row->messages[m].content;
        samples[i] =
            (struct report_sample){.prompt = prompt,
                                   .expected = t->final.expected[i],
                                   .before = i < t->before.count ? t->before.rows[i].answer : NULL,
                                   .after = t->after.rows[i].answer};
    }
    return n;
}

/* rows.jsonl: every row of the split, for metrics that nobody thought of before. */
static enum graft_status write_rows(const struct trainer *t, struct error *e)
{
    struct str text = {0};
    if (!t->has_final) return GRAFT_OK;
    for (size_t i = 0; i < t->after.count; i++) {
        size_t source = t->final.tokens.rows[i].source;
        const struct eval_row_line line = {.file = path_last(data_row_file(&t->final.rows, source), 1),
                                           .line = t->final.rows.rows[source].line,
                                           .expected = t->after.rows[i].expected,
                                           .before =
                                               i < t->before.count ? &t->before.rows[i] : NULL,
                                           .after = &t->after.rows[i]};
        eval_row_line(&text, &line);
    }
    enum graft_status status = write_text(t, "rows.jsonl", &text, e);
    str_free(&text);
    return status;
}

static int64_t peak_memory(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : -1;
}

/* "lora r=8 ..., q_proj v_proj": the recipe's own words. */
static void method_text(const struct trainer *t, struct str *out)
{
    for (size_t i = 0; i < t->settings->adapter_count; i++) {
        json_t *options = option_values_json(t->settings->adapters[i].options, false);
        str_printf(out, "%s%s", i != 0 ? " + " : "", t->settings->adapters[i].method);
        const json_t *rank = json_object_get(options, "r");
        if (json_is_integer(rank)) str_printf(out, " r=%lld", (long long)json_integer_value(rank));
        json_decref(options);
    }
    size_t sites = adapt_sites(t->session->adapt);
    if (sites != 0) str_printf(out, " on %zu layer%s", sites, sites == 1 ? "" : "s");
}

static enum graft_status write_reports(struct trainer *t, const struct passport *p,
                                       struct train_outcome *outcome, struct error *e)
{
    struct report_sample samples[SAMPLES_KEPT];
    struct report_metric metrics[METRIC_KINDS];
    struct train_plan plan;
    struct str method = {0}, html = {0}, json = {0};
    trainer_memory(t, &plan);
    method_text(t, &method);
    double seconds = t->seconds > 0 ? t->seconds : (double)NAN;
    struct report r = {
        .model = model_title(t->session->model),
        .method = method.data,
        .optimizer = t->settings->optimizer.method,
        .device = device_name(t->session->device),
        .data = path_last(t->settings->data.train.items[0], 2),
        .split = t->final_name,
        .rows = t->final.count,
        .metrics = metrics,
        .metric_count = fill_metrics(t, metrics),
        .samples = samples,
        .sample_count = fill_samples(t, samples),
        .steps = t->steps,
        .step_count = t->step_count,
        .evals = t->evals,
        .eval_count = t->eval_count,
        .memory = plan.classes,
        .memory_count = plan.count,
        .memory_planned = plan.total,
        .memory_used = peak_memory(),
        .tokens_per_second = (double)t->tokens_seen / seconds,
        .seconds = seconds,
        .trainable_parameters = (uint64_t)plan.parameters,
        .total_parameters = (uint64_t)(plan.parameters + plan.base_parameters),
        .recipe = t->recipe,
        .passport = p->fields,
        .passport_count = p->count,
    };
    report_html(&r, &html);
    report_json(&r, &json);
    report_text(&r, &outcome->table);
    enum graft_status status = write_text(t, "report.html", &html, e);
    if (status == GRAFT_OK) status = write_text(t, "report.json", &json, e);
    str_free(&method);
    str_free(&html);
    str_free(&json);
    return status;
}

enum graft_status trainer_finish(struct trainer *t, struct train_outcome *outcome, struct error *e)
{
    struct passport p = {{0}, NULL, 0, 0, false};
    enum graft_status status = GRAFT_OK;
    if (t->settings->early_stopping.enabled && t->best.bytes != NULL)
        status = parameter_copy_restore(t->session, &t->best, e);
    if (status == GRAFT_OK) status = trainer_measure(t, TRAIN_AFTER, &t->after, e);
    if (status == GRAFT_OK) status = save_adapters(t, e);
    if (status == GRAFT_OK) status = fill_passport(t, &p, e);
    if (status == GRAFT_OK) status = write_passport(t, &p, e);
    if (status == GRAFT_OK) status = write_rows(t, e);
    if (status == GRAFT_OK) status = write_reports(t, &p, outcome, e);
    mem_free(p.fields);
    arena_free(&p.arena);
    return status;
}

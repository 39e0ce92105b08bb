/* SPDX-License-Identifier: Apache-2.0
 *
 * graft eval RUN: the metrics of a finished run (or a model) on a file of rows.
 */
#include "cli/cli.h"
#include "cli/progress.h"

#include "eval/runner.h"
#include "file/paths.h"
#include "plugin/quote.h"
#include "report/report.h"
#include "session/source.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct measure {
    struct source source;
    struct session *session;
    struct eval_set set;
    struct eval_runner runner;
    struct eval_measure measure;
    const char *path; /* of the rows */
    int64_t rows, max_new_tokens;
    int32_t metrics; /* of --metrics; 0: the recipe's */
};

static bool show(void *context, size_t done, size_t total)
{
    char line[64];
    (void)context;
    snprintf(line, sizeof line, "measuring  %zu/%zu rows", done, total);
    progress_show(line);
    return cli_stop_requested(NULL);
}

/* The file: --data, or the run's split. */
static enum graft_status choose_file(const struct cli_args *args, const struct settings *s,
                                     const char **path, struct error *e)
{
    const char *data = cli_value(args, "data"), *split = cli_value(args, "split");
    char shown[QUOTE_SIZE];
    if (data != NULL && split != NULL)
        return error_set(e, GRAFT_E_INVALID, "--data and --split exclude each other");
    if (data == NULL && s != NULL) {
        if (split == NULL) split = s->data.test != NULL ? "test" : "valid";
        if (strcmp(split, "test") == 0)
            data = s->data.test;
        else if (strcmp(split, "valid") == 0)
            data = s->data.valid;
        else if (strcmp(split, "train") == 0 && s->data.train.count == 1)
            data = s->data.train.items[0];
        else if (strcmp(split, "train") == 0)
            return error_set(e, GRAFT_E_INVALID,
                             "--split train: data.train names %zu files; name one with --data",
                             s->data.train.count);
        else
            return error_set(e, GRAFT_E_INVALID, "--split: found %s, expected train, valid or test",
                             quote_text(split, shown));
    }
    if (data == NULL)
        return error_set(e, GRAFT_E_INVALID, "no rows to measure; name a file with --data");
    if (path_kind(data) == PATH_MISSING)
        return error_set(e, GRAFT_E_INVALID, "%s: there is no such file%s", data,
                         cli_value(args, "data") == NULL ? "; name another with --data" : "");
    *path = data;
    return GRAFT_OK;
}

/* --metrics; before the model is loaded, since it may be wrong. */
static enum graft_status read_metrics(const struct cli_args *args, struct measure *m,
                                      struct error *e)
{
    const char *names = cli_value(args, "metrics");
    if (names == NULL) return GRAFT_OK;
    if (metrics_parse(names, &m->metrics, e) != GRAFT_OK) return error_place(e, "--metrics");
    return GRAFT_OK;
}

/* What is measured: chosen, or as the recipe says. The run's own training rows where they count. */
static enum graft_status choose_metrics(struct measure *m, struct error *e)
{
    const struct settings *s = m->source.settings;
    const int32_t usual = 1 << METRIC_LOSS | 1 << METRIC_PERPLEXITY | 1 << METRIC_EXACT_MATCH;
    int32_t metrics = m->metrics != 0 ? m->metrics : s != NULL ? s->eval.metrics : usual;
    struct data_rows train = {0};
    enum graft_status status = GRAFT_OK;
    if (s != NULL && metrics_need_train(metrics))
        for (size_t i = 0; i < s->data.train.count && status == GRAFT_OK; i++)
            status = data_read(s->data.train.items[i], &train, e);
    if (status == GRAFT_OK)
        status = eval_set_choose(&m->set, metrics, s != NULL ? &train : NULL, e);
    data_rows_free(&train);
    return status;
}

/* The options of what is measured; before the model is loaded, since they may be wrong. */
static enum graft_status read_options(const struct cli_args *args, struct measure *m,
                                      struct error *e)
{
    const struct settings *s = m->source.settings;
    enum graft_status status = choose_file(args, s, &m->path, e);
    if (status == GRAFT_OK)
        status = cli_int(args, "rows", 0, INT64_MAX, s != NULL ? s->eval.rows : 0, &m->rows, e);
    if (status == GRAFT_OK)
        status = cli_int(args, "max-new-tokens", 1, 1 << 20,
                         s != NULL ? s->eval.max_new_tokens : 96, &m->max_new_tokens, e);
    return status;
}

static enum graft_status load(struct measure *m, struct error *e)
{
    struct data_tokenize_options options = source_tokenize(m->session, m->source.settings);
    enum graft_status status =
        eval_set_load(m->session, m->path, &options, (size_t)m->rows, &m->set, e);
    if (status != GRAFT_OK) return status;
    data_log_template(&options, &m->set.tokens.ledger);
    return choose_metrics(m, e);
}

static enum graft_status run(const struct cli_args *args, struct measure *m, struct error *e)
{
    struct device_request device = source_device(m->source.settings, cli_value(args, "backend"));
    enum graft_status status =
        eval_runner_plan(m->session, &m->set, (size_t)m->max_new_tokens, &m->runner, e);
    if (status == GRAFT_OK) status = session_start(m->session, &device, e);
    if (status == GRAFT_OK && m->source.request.adapter_count != 0)
        status = session_load_adapters(m->session, m->source.folders, e);
    if (status == GRAFT_OK) status = eval_runner_run(&m->runner, show, NULL, &m->measure, e);
    return status == GRAFT_OK ? eval_score(&m->set, &m->measure, e) : status;
}

static int print_json(const struct measure *m)
{
    json_t *object = json_pack("{s:I}", "rows", (json_int_t)m->set.count);
    for (size_t i = 0; i < m->measure.scores.column_count; i++) {
        const struct metric_column *c = &m->measure.scores.columns[i];
        json_object_set_new(object, c->metric->name,
                            isfinite(c->value) ? json_real(c->value) : json_null());
    }
    return cli_print_json(object);
}

static int print(const struct cli_args *args, const struct measure *m)
{
    struct str text = {0};
    if (cli_flag(args, "json")) return print_json(m);
    report_scores(&m->measure.scores, &text);
    return cli_print(&text);
}

int command_eval(const struct cli_args *args)
{
    struct error e = {0};
    struct measure m = {0};
    cli_signals_begin();
    enum graft_status status = read_metrics(args, &m, &e);
    if (status == GRAFT_OK)
        status = source_open(args->arguments[0], cli_value(args, "model"), &m.source, &e);
    if (status == GRAFT_OK) status = read_options(args, &m, &e);
    if (status == GRAFT_OK) status = session_open(&m.source.request, &m.session, &e);
    if (status == GRAFT_OK) status = load(&m, &e);
    if (status == GRAFT_OK) status = run(args, &m, &e);
    progress_clear();
    int exit_status = status == GRAFT_OK ? print(args, &m) : cli_fail(&e);
    eval_measure_free(&m.measure);
    eval_runner_fini(&m.runner);
    eval_set_free(&m.set);
    session_close(m.session);
    source_free(&m.source);
    return exit_status;
}

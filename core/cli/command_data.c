/* SPDX-License-Identifier: Apache-2.0
 *
 * graft data show and graft data check: a recipe's files, or one file, before anything is trained.
 */
#include "cli/cli.h"
#include "cli/recipe.h"

#include "audit/audit.h"
#include "data/show.h"
#include "session/source.h"

#include <string.h>

/* What data is looked at by: the recipe's settings and the model's tokenizer and template. */
struct view {
    struct settings *settings; /* NULL: a file */
    struct session *session;   /* NULL: a file without --model */
    struct data_tokenize_options options;
};

static void view_close(struct view *v)
{
    session_close(v->session);
    settings_free(v->settings);
}

/* Without a recipe and without --model there are only the rows. */
static enum graft_status view_open(const struct cli_args *args, struct view *v, struct error *e)
{
    const char *file = args->arguments[0], *model = cli_value(args, "model");
    struct session_request request = {
        .model = model, .quantize = "keep", .template_name = cli_value(args, "template")};
    if (settings_is_recipe(file)) {
        enum graft_status status = recipe_load_data(args, &v->settings, e);
        if (status != GRAFT_OK) return status;
        if (model == NULL) request.model = v->settings->model.path;
        if (request.template_name == NULL) request.template_name = v->settings->data.template_name;
    } else if (cli_flag(args, "set")) {
        return error_set(e, GRAFT_E_INVALID, "--set: changes a recipe, and %s is none", file);
    } else if (model == NULL && request.template_name != NULL) {
        return error_set(e, GRAFT_E_INVALID, "--template: has no effect without --model");
    } else if (model == NULL) {
        return GRAFT_OK;
    }
    enum graft_status status = session_open(&request, &v->session, e);
    if (status != GRAFT_OK) return status;
    v->options = source_tokenize(v->session, v->settings);
    v->options.chat_named |= cli_value(args, "template") != NULL;
    return data_check_options(&v->options, e);
}

/* ---- show ---- */

struct show {
    struct view view;
    struct data_rows rows;
    struct data_tokens tokens;
    int64_t first, count;
};

static enum graft_status read_rows(const struct cli_args *args, struct show *s, struct error *e)
{
    const struct settings *settings = s->view.settings;
    if (settings == NULL) return data_read(args->arguments[0], &s->rows, e);
    for (size_t i = 0; i < settings->data.train.count; i++) {
        enum graft_status status = data_read(settings->data.train.items[i], &s->rows, e);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

static enum graft_status show(const struct cli_args *args, struct show *s, struct str *out,
                              struct error *e)
{
    enum graft_status status = view_open(args, &s->view, e);
    if (status == GRAFT_OK && s->view.session == NULL)
        status =
            error_set(e, GRAFT_E_INVALID,
                      "%s: a data file needs --model, whose tokenizer and template it is shown by",
                      args->arguments[0]);
    if (status == GRAFT_OK) status = read_rows(args, s, e);
    if (status == GRAFT_OK) status = cli_int(args, "row", 1, INT64_MAX, 1, &s->first, e);
    if (status == GRAFT_OK) status = cli_int(args, "rows", 1, INT64_MAX, 3, &s->count, e);
    if (status != GRAFT_OK) return status;
    status = data_tokenize(&s->rows, &s->view.options, &s->tokens, e);
    if (status != GRAFT_OK) return status;
    data_log_template(&s->view.options, &s->tokens.ledger);
    if ((size_t)s->first > s->rows.count)
        return error_set(e, GRAFT_E_INVALID, "--row: found %lld, there are %zu rows",
                         (long long)s->first, s->rows.count);
    struct data_show_request request = {.rows = &s->rows,
                                        .options = &s->view.options,
                                        .ledger = &s->tokens.ledger,
                                        .first = (size_t)s->first - 1,
                                        .count = (size_t)s->count,
                                        .colour = cli_colours(1)};
    return data_show(&request, out, e);
}

int command_data_show(const struct cli_args *args)
{
    struct error e = {0};
    struct show s = {0};
    struct str text = {0};
    enum graft_status status = show(args, &s, &text, &e);
    data_tokens_free(&s.tokens);
    data_rows_free(&s.rows);
    int failed = status != GRAFT_OK ? recipe_fail(s.view.settings, &e) : EXIT_DONE;
    view_close(&s.view);
    if (failed == EXIT_DONE) return cli_print(&text);
    str_free(&text);
    return failed;
}

/* ---- check ---- */

static void add_split(struct audit *a, const char *name, const char *const *files, size_t count)
{
    a->splits[a->split_count++] =
        (struct audit_split){.name = name, .files = files, .file_count = count};
}

static void set_splits(const struct cli_args *args, const struct view *v, struct audit *a)
{
    const struct settings *settings = v->settings;
    if (settings == NULL) {
        add_split(a, "data", args->arguments, 1);
        return;
    }
    add_split(a, "train", settings->data.train.items, settings->data.train.count);
    if (settings->data.valid != NULL) add_split(a, "valid", &settings->data.valid, 1);
    if (settings->data.test != NULL) add_split(a, "test", &settings->data.test, 1);
}

int command_data_check(const struct cli_args *args)
{
    struct error e = {0};
    struct view view = {0};
    struct audit audit = {.stop = cli_stop_requested};
    struct str text = {0};
    json_t *json = NULL;
    size_t found = 0;
    cli_signals_begin();
    enum graft_status status = view_open(args, &view, &e);
    if (status == GRAFT_OK) {
        set_splits(args, &view, &audit);
        audit.options = view.session != NULL ? &view.options : NULL;
        status = audit_run(&audit, &e);
    }
    if (status == GRAFT_OK) {
        found = audit_count(&audit);
        if (cli_flag(args, "json"))
            json = audit_json(&audit);
        else
            audit_print(&audit, &text);
    }
    audit_free(&audit);
    int failed = status != GRAFT_OK ? recipe_fail(view.settings, &e) : EXIT_DONE;
    view_close(&view);
    if (failed != EXIT_DONE) return failed;
    int printed = cli_flag(args, "json") ? cli_print_json(json) : cli_print(&text);
    return printed != EXIT_DONE ? printed : found != 0 ? EXIT_FAILED : EXIT_DONE;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * graft data show: the exact tokens of rows, trained, masked and special told apart.
 */
#include "cli/cli.h"
#include "cli/recipe.h"

#include "data/show.h"
#include "session/session.h"

#include <string.h>

static bool is_recipe(const char *path)
{
    size_t n = strlen(path);
    return (n > 5 && strcmp(path + n - 5, ".yaml") == 0) ||
           (n > 4 && strcmp(path + n - 4, ".yml") == 0);
}

struct show {
    struct settings *settings; /* NULL: a file with --model */
    struct session *session;
    struct data_rows rows;
    struct data_tokens tokens;
    int64_t first, count;
};

static enum graft_status open_session(const struct cli_args *args, struct show *s, struct error *e)
{
    const char *file = args->arguments[0], *model = cli_value(args, "model");
    struct session_request request = {
        .model = model, .quantize = "keep", .template_name = cli_value(args, "template")};
    if (is_recipe(file)) {
        enum graft_status status = recipe_load(args, &s->settings, e);
        if (status != GRAFT_OK) return status;
        if (model == NULL) request.model = s->settings->model.path;
        if (request.template_name == NULL) request.template_name = s->settings->data.template_name;
    } else if (model == NULL) {
        return error_set(
            e, GRAFT_E_INVALID,
            "%s: a data file needs --model, whose tokenizer and template it is shown by", file);
    }
    return session_open(&request, &s->session, e);
}

static enum graft_status read_rows(const struct cli_args *args, struct show *s, struct error *e)
{
    if (s->settings == NULL) return data_read(args->arguments[0], &s->rows, e);
    for (size_t i = 0; i < s->settings->data.train.count; i++) {
        enum graft_status status = data_read(s->settings->data.train.items[i], &s->rows, e);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

static enum graft_status show(const struct cli_args *args, struct show *s, struct str *out,
                              struct error *e)
{
    enum graft_status status = open_session(args, s, e);
    if (status == GRAFT_OK) status = read_rows(args, s, e);
    if (status == GRAFT_OK) status = cli_int(args, "row", 1, INT64_MAX, 1, &s->first, e);
    if (status == GRAFT_OK) status = cli_int(args, "rows", 1, INT64_MAX, 3, &s->count, e);
    if (status != GRAFT_OK) return status;
    const struct settings *settings = s->settings;
    size_t context = (size_t)model_config(s->session->model)->context;
    struct data_tokenize_options options = {
        .tokenizer = s->session->tokenizer,
        .chat = s->session->has_chat ? &s->session->chat : NULL,
        .train_all = settings != NULL && settings->data.train_on == TRAIN_ON_ALL,
        .drop_long = settings != NULL && settings->data.too_long == TOO_LONG_DROP,
        .max_length = settings != NULL ? (size_t)settings->data.max_length : context,
        .context = context};
    status = data_tokenize(&s->rows, &options, &s->tokens, e);
    if (status != GRAFT_OK) return status;
    if ((size_t)s->first > s->rows.count)
        return error_set(e, GRAFT_E_INVALID, "--row: found %lld, there are %zu rows",
                         (long long)s->first, s->rows.count);
    struct data_show_request request = {.rows = &s->rows,
                                        .options = &options,
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
    session_close(s.session);
    settings_free(s.settings);
    if (status == GRAFT_OK) return cli_print(&text);
    str_free(&text);
    return cli_fail(&e);
}

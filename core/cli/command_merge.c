/* SPDX-License-Identifier: Apache-2.0
 *
 * graft merge RUN|PEFT: the model with its adapters as a model that needs no adapter.
 */
#include "cli/cli.h"
#include "cli/progress.h"

#include "adapt/merge.h"
#include "file/atomic.h"
#include "model/save.h"
#include "session/source.h"

#include <stdio.h>
#include <string.h>

struct merging {
    struct source source;
    struct session *session;
    struct folder *folder;
    const char *output;
    int32_t dtype;
    size_t sites;
};

static bool show(void *context, size_t done, size_t total)
{
    struct merging *m = context;
    char line[64];
    m->sites = total;
    snprintf(line, sizeof line, "merging  %zu/%zu layers", done, total);
    progress_show(line);
    return cli_stop_requested(NULL);
}

static enum graft_status read_options(const struct cli_args *args, struct merging *m,
                                      struct error *e)
{
    static const struct {
        const char *name;
        int32_t dtype;
    } types[] = {{"bf16", GRAFT_DTYPE_BF16}, {"f16", GRAFT_DTYPE_F16}, {"f32", GRAFT_DTYPE_F32}};
    const char *name = cli_value(args, "dtype");
    m->dtype = SAVE_DTYPE_AUTO;
    m->output = cli_value(args, "output");
    if (m->output == NULL)
        return error_set(e, GRAFT_E_INVALID, "merge: name the new folder with --output DIR");
    for (size_t i = 0; name != NULL && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, name) == 0) m->dtype = types[i].dtype;
    if (name != NULL && m->dtype == SAVE_DTYPE_AUTO)
        return error_set(e, GRAFT_E_INVALID, "--dtype: found \"%s\", expected bf16, f16 or f32",
                         name);
    return GRAFT_OK;
}

static enum graft_status open_source(const struct cli_args *args, struct merging *m,
                                     struct error *e)
{
    enum graft_status status =
        source_open(args->arguments[0], cli_value(args, "model"), &m->source, e);
    if (status != GRAFT_OK) return status;
    if (m->source.request.adapter_count == 0)
        return error_set(e, GRAFT_E_INVALID, "%s is a model without adapters: nothing to merge",
                         args->arguments[0]);
    m->source.request.no_text = true;
    status = session_open(&m->source.request, &m->session, e);
    if (status == GRAFT_OK) status = adapt_check_merge(m->session->adapt, e);
    return status == GRAFT_OK ? folder_begin(m->output, &m->folder, e) : status;
}

/* On the CPU, whose arithmetic is f32 whatever the run's device. */
static enum graft_status merge(struct merging *m, struct error *e)
{
    struct device_request device = {.name = "cpu", .base_dir = "."};
    enum graft_status status = session_start(m->session, &device, e);
    if (status == GRAFT_OK) status = session_load_adapters(m->session, m->source.folders, e);
    if (status != GRAFT_OK) return status;
    struct merge_request request = {.adapt = m->session->adapt,
                                    .backend = m->session->backend,
                                    .dtype = m->dtype,
                                    .progress = show,
                                    .context = m};
    status = adapt_merge(&request, folder_path(m->folder), e);
    if (status != GRAFT_OK) return status;
    struct folder *folder = m->folder;
    m->folder = NULL;
    return folder_commit(folder, e);
}

int command_merge(const struct cli_args *args)
{
    struct error e = {0};
    struct merging m = {0};
    struct str text = {0};
    cli_signals_begin();
    enum graft_status status = read_options(args, &m, &e);
    if (status == GRAFT_OK) status = open_source(args, &m, &e);
    if (status == GRAFT_OK) status = merge(&m, &e);
    progress_clear();
    if (status == GRAFT_OK)
        str_printf(&text, "merged %zu layers of %s into %s\n", m.sites,
                   model_title(m.session->model), m.output);
    int exit_status = status == GRAFT_OK ? cli_print(&text) : cli_fail(&e);
    folder_abort(m.folder);
    session_close(m.session);
    source_free(&m.source);
    return exit_status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of a comparison: look at everything, take the folder, measure the base, make the runs,
 * report.
 */
#include "compare/parts.h"

#include "file/atomic.h"
#include "file/paths.h"

#include <string.h>

static enum graft_status measure_base(struct comparison *c, struct error *e)
{
    struct settings *s = NULL;
    size_t method = 0;
    enum graft_status status = GRAFT_OK;
    while (c->state.methods[method].error != NULL) method++;
    c->base_path = path_join(c->settings->output, "base.rows.jsonl");
    if (c->base_path == NULL) return error_memory(e, "a path", 0);
    if (path_kind(c->base_path) != PATH_FILE) {
        status = settings_compare_run(c->settings, method, 0, 0, NULL, &s, e);
        if (status == GRAFT_OK)
            status = compare_measure_base(c->request, s, c->base_path, &c->state.base_time, e);
        settings_free(s);
        if (status == GRAFT_E_INTERRUPTED)
            return error_set(e, status, "stopped at the base model; go on with --resume");
    }
    return status == GRAFT_OK ? rows_load_base(c->base_path, &c->base, e) : status;
}

static enum graft_status run(struct comparison *c, struct compare_outcome *outcome, struct error *e)
{
    const char *output = c->settings->output;
    enum run_mode mode = c->request->mode;
    enum graft_status status = compare_folder_check(output, mode, e);
    if (status == GRAFT_OK) status = compare_state_create(c->settings, &c->state, e);
    if (status == GRAFT_OK) status = compare_plan(c, e);
    if (status == GRAFT_OK) status = compare_folder_open(output, mode, &c->lock, e);
    if (status == GRAFT_OK) status = compare_state_recipes(&c->state, e);
    if (status == GRAFT_OK && mode == RUN_RESUME) status = compare_state_load(&c->state, output, e);
    if (status == GRAFT_OK) status = compare_state_save(&c->state, output, e);
    if (status == GRAFT_OK) status = measure_base(c, e);
    if (status == GRAFT_OK) status = compare_runs(c, e);
    return status == GRAFT_OK ? compare_report(c, outcome, e) : status;
}

enum graft_status compare_run(const struct compare_request *request,
                              struct compare_outcome *outcome, struct error *e)
{
    struct comparison c = {.request = request, .settings = request->settings};
    memset(outcome, 0, sizeof *outcome);
    enum graft_status status = run(&c, outcome, e);
    file_unlock(c.lock);
    rows_free(&c.base);
    mem_free(c.base_path);
    compare_state_free(&c.state);
    return status;
}

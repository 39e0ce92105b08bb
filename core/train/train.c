/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of a run: look at everything, start the device, take the folder, go on or begin, train,
 * finish.
 */
#include "train/trainer.h"

#include "base/log.h"
#include "file/atomic.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

static enum graft_status make_recipe(struct trainer *t, struct error *e)
{
    struct str text = {0};
    enum graft_status status =
        settings_write_yaml(t->settings, run_folder_path(t->folder), false, &text, e);
    if (status == GRAFT_OK && (t->recipe = str_take(&text)) == NULL)
        status = error_memory(e, "recipe.yaml", text.length);
    str_free(&text);
    return status;
}

static enum graft_status write_recipe(const struct trainer *t, struct error *e)
{
    char *path = run_folder_file(t->folder, "recipe.yaml");
    enum graft_status status = path != NULL
                                   ? atomic_write_file(path, t->recipe, strlen(t->recipe), e)
                                   : error_memory(e, "a path", 0);
    mem_free(path);
    return status;
}

/* With --resume: the newest whole checkpoint, checked against the recipe. */
static enum graft_status go_on(struct trainer *t, struct error *e)
{
    const char *run = run_folder_path(t->folder);
    json_t *state = NULL;
    int64_t step = 0;
    enum graft_status status = checkpoint_newest(run, &step, &state, e);
    if (status != GRAFT_OK || state == NULL) return status;
    status = trainer_same_recipe(t, state, e);
    if (status == GRAFT_OK) status = trainer_restore(t, state, e);
    if (status == GRAFT_OK) status = checkpoint_load(t->session, run, step, &t->best, e);
    if (status == GRAFT_OK) log_info("going on after step %lld", (long long)step);
    json_decref(state);
    return status;
}

static enum graft_status run(struct trainer *t, struct train_outcome *outcome, struct error *e)
{
    enum graft_status status = make_recipe(t, e);
    if (status == GRAFT_OK && t->request->mode == RUN_RESUME) status = go_on(t, e);
    if (status == GRAFT_OK) status = write_recipe(t, e);
    if (status == GRAFT_OK) status = steps_open(t, e);
    if (status == GRAFT_OK && t->step == 0) status = trainer_before(t, e);
    if (status == GRAFT_OK) status = trainer_steps(t, e);
    if (status == GRAFT_OK) status = trainer_checkpoint(t, e);
    outcome->paused = status == GRAFT_OK && trainer_pauses(t);
    if (status == GRAFT_OK && !outcome->paused) status = trainer_finish(t, outcome, e);
    outcome->steps = t->step;
    outcome->valid_loss = t->eval_count != 0 ? t->evals[t->eval_count - 1].loss : (double)NAN;
    return status;
}

/* The peak that the report shows is of this run, not of what the process did before. */
static void forget_peak_memory(void)
{
    int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (file < 0) return;
    if (write(file, "5", 1) != 1) log_info("the peak of memory may be of an earlier run");
    close(file);
}

enum graft_status train_run(const struct train_request *request, struct train_outcome *outcome,
                            struct error *e)
{
    struct trainer t = {.request = request, .settings = request->settings};
    const char *output = request->settings->output;
    memset(outcome, 0, sizeof *outcome);
    outcome->valid_loss = (double)NAN;
    if (output == NULL)
        return error_set(e, GRAFT_E_INVALID,
                         "output: is missing; name the folder of the run (or --set output=FOLDER)");
    outcome->was_finished = request->mode == RUN_RESUME && run_folder_finished(output);
    if (outcome->was_finished) return GRAFT_OK;
    enum graft_status status = run_folder_check(output, request->mode, e);
    forget_peak_memory();
    if (status == GRAFT_OK) status = trainer_prepare(&t, e);
    bool alone = request->measured == NULL; /* a comparison has looked, once for all its runs */
    if (status == GRAFT_OK && alone) status = trainer_warn_leaks(&t, e);
    if (status == GRAFT_OK) status = trainer_start(&t, e);
    if (status == GRAFT_OK) status = run_folder_open(output, request->mode, &t.folder, e);
    if (status == GRAFT_OK) status = run(&t, outcome, e);
    trainer_fini(&t);
    return status;
}

enum graft_status train_plan(struct settings *settings, struct train_plan *plan, struct error *e)
{
    struct train_request request = {.settings = settings};
    struct trainer t = {.request = &request, .settings = settings};
    enum graft_status status = trainer_prepare(&t, e);
    if (status == GRAFT_OK) trainer_memory(&t, plan);
    if (status == GRAFT_OK) status = trainer_rows(&t, &plan->rows, e);
    trainer_fini(&t);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * graft train RECIPE: the run, its line of progress, and its table.
 */
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/recipe.h"

#include "train/train.h"

#include <stdio.h>
#include <time.h>

static void step_line(const struct train_progress *p, char *line, size_t size)
{
    char memory[32], left[32];
    snprintf(line, size, "step %lld/%lld  loss %.4f  lr %.2e  %.0f tokens/s  %s  %s left",
             (long long)p->done, (long long)p->total, p->loss, p->lr, p->tokens_per_second,
             format_bytes(p->memory, memory), progress_time(p->seconds_left, left));
}

/* Without a terminal a line now and then, so that a log shows life. */
static void show(void *context, const struct train_progress *p)
{
    static const char *const names[] = {[TRAIN_BEFORE] = "measuring before",
                                        [TRAIN_VALID] = "measuring valid",
                                        [TRAIN_AFTER] = "measuring after"};
    time_t *last = context, now = time(NULL);
    char line[256];
    if (p->phase == TRAIN_STEPS)
        step_line(p, line, sizeof line);
    else
        snprintf(line, sizeof line, "%s  %lld/%lld rows", names[p->phase], (long long)p->done,
                 (long long)p->total);
    progress_show(line);
    if (cli_is_terminal(2) || now - *last < 10) return;
    *last = now;
    fprintf(stderr, "%s\n", line);
}

int command_train(const struct cli_args *args)
{
    struct error e = {0};
    struct settings *settings = NULL;
    struct train_outcome outcome = {0};
    time_t last = 0;
    enum run_mode mode;
    if (recipe_mode(args, &mode, &e) != GRAFT_OK || recipe_load(args, &settings, &e) != GRAFT_OK)
        return cli_fail(&e);
    struct train_request request = {.settings = settings,
                                    .mode = mode,
                                    .progress = show,
                                    .stop = cli_stop_requested,
                                    .context = &last};
    cli_signals_begin();
    enum graft_status status = recipe_test_device(settings, &e);
    if (status == GRAFT_OK) status = train_run(&request, &outcome, &e);
    progress_clear();
    int exit_status;
    if (status != GRAFT_OK) {
        str_free(&outcome.table);
        exit_status = recipe_fail(settings, &e);
    } else if (outcome.was_finished) {
        fprintf(stderr,
                "%s: this run is finished; nothing to do (--overwrite trains anew, "
                "another output trains beside it)\n",
                settings->output);
        exit_status = EXIT_DONE;
    } else {
        str_printf(&outcome.table, "\n%s/report.html\n", settings->output);
        exit_status = cli_print(&outcome.table);
    }
    settings_free(settings);
    return exit_status;
}

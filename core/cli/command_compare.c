/* SPDX-License-Identifier: Apache-2.0
 *
 * graft compare RECIPE: several methods on the same rows, and a report of them.
 */
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/recipe.h"

#include "base/log.h"
#include "compare/compare.h"

#include <stdio.h>
#include <time.h>

static void run_line(const struct compare_progress *p, char *line, size_t size)
{
    static const char *const phases[] = {[TRAIN_BEFORE] = "measuring before",
                                         [TRAIN_STEPS] = "step",
                                         [TRAIN_VALID] = "measuring valid",
                                         [TRAIN_AFTER] = "measuring after"};
    const struct train_progress *t = &p->train;
    char left[32], what[64] = "";
    if (t->phase == TRAIN_STEPS)
        snprintf(what, sizeof what, "  loss %.4f  %s left in this run", t->loss,
                 progress_time(t->seconds_left, left));
    if (p->method == NULL)
        snprintf(line, size, "base model  %s  %lld/%lld", phases[t->phase], (long long)t->done,
                 (long long)t->total);
    else
        snprintf(line, size, "run %zu/%zu  %s  lr %g  seed %lld  %s %lld/%lld%s", p->done + 1,
                 p->total, p->method, p->lr, (long long)p->seed, phases[t->phase],
                 (long long)t->done, (long long)t->total, what);
}

/* Without a terminal a line now and then, so that a log shows life. */
static void show(void *context, const struct compare_progress *p)
{
    time_t *last = context, now = time(NULL);
    char line[256];
    run_line(p, line, sizeof line);
    progress_show(line);
    if (cli_is_terminal(2) || now - *last < 30) return;
    *last = now;
    fprintf(stderr, "%s\n", line);
}

static void note(void *context, const char *line)
{
    (void)context;
    progress_clear();
    fprintf(stderr, "%s\n", line);
}

/* What every run says of itself would bury what the comparison says. */
static void warnings_alone(void *unused, enum log_level level, const char *line)
{
    (void)unused;
    if (level != LOG_WARNING) return;
    progress_clear();
    fprintf(stderr, "graft: warning: %s\n", line);
}

/* All runs are made on one device: that of any of them. */
static enum graft_status test_device(const struct settings_compare *compare, struct error *e)
{
    struct settings *run = NULL;
    enum graft_status status = settings_compare_run(compare, 0, 0, 0, NULL, &run, e);
    if (status == GRAFT_OK) status = recipe_test_device(run, e);
    settings_free(run);
    return status;
}

int command_compare(const struct cli_args *args)
{
    struct error e = {0};
    struct settings_compare *settings = NULL;
    struct compare_outcome outcome = {{0}, 0};
    time_t last = 0;
    enum run_mode mode;
    if (recipe_mode(args, &mode, &e) != GRAFT_OK ||
        recipe_load_compare(args, &settings, &e) != GRAFT_OK)
        return cli_fail(&e);
    struct compare_request request = {.settings = settings,
                                      .mode = mode,
                                      .progress = show,
                                      .note = note,
                                      .stop = cli_stop_requested,
                                      .context = &last};
    cli_signals_begin();
    log_set_sink(warnings_alone, NULL);
    enum graft_status status = test_device(settings, &e);
    if (status == GRAFT_OK) status = compare_run(&request, &outcome, &e);
    progress_clear();
    int exit_status;
    if (status != GRAFT_OK) {
        str_free(&outcome.table);
        exit_status = cli_fail(&e);
    } else {
        str_printf(&outcome.table, "\n%s/compare.html\n", settings->output);
        exit_status = cli_print(&outcome.table);
        if (exit_status == EXIT_DONE && outcome.failed != 0) {
            fprintf(stderr, "graft: %zu of %zu methods failed; the table says why\n",
                    outcome.failed, settings->method_count);
            exit_status = EXIT_FAILED;
        }
    }
    settings_compare_free(settings);
    return exit_status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory refused at every place of a whole training run: recipe, plugins, model, tokenizer, data,
 * programs, steps, evaluation, checkpoint, resume, report. Each time the run says that memory is
 * missing, leaves nothing allocated, and a run afterwards succeeds.
 *
 * The distance between two refusals grows with their number, which leaves out some late ones;
 * GRAFT_TEST_SEED begins elsewhere, and GRAFT_TEST_ALL=1 refuses every single allocation (minutes).
 */
#define _XOPEN_SOURCE 700 /* nftw */

#include "unit/test.h"

#include "base/log.h"
#include "base/memory.h"
#include "train/train.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATA GRAFT_SOURCE_DIR "/tests/e2e/data/"
#define MODEL GRAFT_SOURCE_DIR "/examples/models/stories260K/stories260K.gguf"

static char root[] = "/tmp/graft-fault.XXXXXX";
static char recipe[64], output[64];

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

static void remove_output(void)
{
    nftw(output, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void silent(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(root) == NULL) return -1;
    snprintf(recipe, sizeof recipe, "%s/recipe.yaml", root);
    snprintf(output, sizeof output, "%s/run", root);
    FILE *file = fopen(recipe, "w");
    if (file == NULL) return -1;
    fprintf(file,
            "model: %s\n"
            "data: {train: %salpaca.jsonl, valid: %salpaca.jsonl, max_length: 256, "
            "template: alpaca}\n"
            "adapter: {method: lora, r: 2, lora_dropout: 0.1, rank_pattern: {v_proj: 4}}\n"
            "optimizer: {method: adamw, lr: 1.0e-3}\n"
            "train: {max_steps: 2, batch_size: 2, early_stopping: {patience: 2}}\n"
            "eval: {every: 1, rows: 2, max_new_tokens: 2}\n"
            "checkpoint: {every: 1, keep: 1}\n"
            "backend: {name: cpu, threads: 2}\n"
            "output: run\n",
            MODEL, DATA, DATA);
    fclose(file);
    log_set_sink(silent, NULL);
    return setenv("GRAFT_PLUGIN_PATH", GRAFT_BUILD_DIR "/" GRAFT_PLUGIN_DIR, 1);
}

static int tear_down(void **state)
{
    (void)state;
    nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}

static enum graft_status train(enum run_mode mode, struct error *e)
{
    struct settings *settings = NULL;
    struct train_outcome outcome = {0};
    enum graft_status status = settings_load(recipe, NULL, 0, &settings, e);
    if (status == GRAFT_OK) {
        struct train_request request = {.settings = settings, .mode = mode};
        status = train_run(&request, &outcome, e);
        str_free(&outcome.table);
    }
    settings_free(settings);
    return status;
}

/* The text may be cut short by the missing memory, but not the reason. */
static void check_refused(int64_t n, enum graft_status status, const struct error *e)
{
    if (status == GRAFT_E_MEMORY && strstr(e->text, "memory") != NULL) return;
    fail_msg("allocation %lld: status %d: %s", (long long)n, (int)status, e->text);
}

static void check_live(int64_t n, int64_t live)
{
    if (mem_live_count() == live) return;
    fail_msg("allocation %lld: %lld objects were left", (long long)n,
             (long long)(mem_live_count() - live));
}

/* Refuses allocation n and all later ones, for rising n, until there is no n-th any more; returns
 * how many runs were refused. */
static int sweep(enum run_mode mode, int64_t first, int64_t growth, int64_t live)
{
    int refused = 0;
    if (getenv("GRAFT_TEST_ALL") != NULL) growth = INT64_MAX;
    for (int64_t n = first;; n += 1 + n / growth) {
        struct error e = {0};
        mem_fail_after(n);
        enum graft_status status = train(mode, &e);
        mem_fail_after(0);
        check_live(n, live);
        if (status == GRAFT_OK) return refused;
        check_refused(n, status, &e);
        refused++;
    }
}

static int64_t first_place(void)
{
    const char *seed = getenv("GRAFT_TEST_SEED");
    int64_t first = seed != NULL ? strtoll(seed, NULL, 10) % 97 + 1 : 1;
    print_message("first refusal: %lld (GRAFT_TEST_SEED)\n", (long long)first);
    return first;
}

/* What is allocated once and kept (plugins stay loaded) is there after the first run. */
static int64_t warm_up(void)
{
    struct error e = {0};
    remove_output();
    assert_ok(train(RUN_NEW, &e), &e);
    remove_output();
    return mem_live_count();
}

static void test_new_run(void **state)
{
    (void)state;
    struct error e = {0};
    int64_t live = warm_up();
    int refused = sweep(RUN_OVERWRITE, first_place(), 100, live);
    print_message("%d refused runs\n", refused);
    assert_true(refused > 200);
    remove_output();
    assert_ok(train(RUN_NEW, &e), &e);
    assert_int_equal(mem_live_count(), live);
}

/* A refused run is gone on with: what it left is whole. */
static void test_resumed_run(void **state)
{
    (void)state;
    int64_t live = warm_up();
    int refused = sweep(RUN_RESUME, first_place() + 40, 60, live);
    print_message("%d refused runs\n", refused);
    assert_true(refused > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_new_run),
                                       cmocka_unit_test(test_resumed_run)};
    return cmocka_run_group_tests(tests, set_up, tear_down) != 0;
}

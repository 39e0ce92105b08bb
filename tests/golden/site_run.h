/* SPDX-License-Identifier: Apache-2.0
 *
 * A golden model with adapters at its sites, and every program that tests of such methods run.
 */
#ifndef TESTS_GOLDEN_SITE_RUN_H
#define TESTS_GOLDEN_SITE_RUN_H

#include "base/json.h"
#include "base/memory.h"
#include "file/safetensors.h"
#include "generate/generator.h"
#include "session/loss.h"
#include "train/update.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATA GRAFT_SOURCE_DIR "/tests/golden/data/"
#define CASES DATA "site_methods/"

/* The reference trains in f32: its own distance from f64 is of this size. */
#define BUDGET 1e-4

enum { MOST_ROWS = 128, MOST_TOKENS = 256, VIRTUAL = 32, STEPS = 10, ROWS = 4, STACK = 3 };

/* ---- rows ---- */

struct rows {
    struct safetensors *trace;
    struct data_sequence row[MOST_ROWS];
    int32_t *ids, *labels;
    struct data_tokens tokens;
};

/* The rows of a golden model's trace, with virtual tokens in front. */
static inline void rows_open(struct rows *r, const char *base, const struct session *s)
{
    struct error e = {0};
    char path[512];
    snprintf(path, sizeof path, DATA "%s/trace.safetensors", base);
    memset(r, 0, sizeof *r);
    assert_ok(safetensors_open(path, &r->trace, &e), &e);
    const struct tensor_view *lengths = safetensors_find(r->trace, "row_lengths");
    const int32_t *ids = safetensors_find(r->trace, "tokens")->data;
    const int32_t *labels = safetensors_find(r->trace, "labels")->data;
    size_t extra = (size_t)s->rows.virtual_tokens, at = 0, count = (size_t)lengths->shape.dim[0];
    int32_t vocab = (int32_t)model_config(s->model)->vocab;
    assert_true(count <= MOST_ROWS && extra <= VIRTUAL);
    r->ids = calloc(count * (VIRTUAL + 64), sizeof *r->ids);
    r->labels = calloc(count * (VIRTUAL + 64), sizeof *r->labels);
    assert_true(r->ids != NULL && r->labels != NULL);
    for (size_t i = 0; i < count; i++) {
        size_t n = (size_t)((const int32_t *)lengths->data)[i];
        struct data_sequence *row = &r->row[i];
        *row = (struct data_sequence){
            .ids = r->ids + at, .labels = r->labels + at, .length = extra + n};
        for (size_t t = 0; t < extra + n; t++, at++) {
            r->ids[at] = t < extra ? vocab + (int32_t)t : ids[t - extra];
            r->labels[at] = t < extra ? -100 : labels[t - extra];
            row->trained += t > 0 && r->labels[at] != -100;
        }
        ids += n;
        labels += n;
    }
    r->tokens = (struct data_tokens){.rows = r->row, .count = count};
}

static inline void rows_close(struct rows *r)
{
    safetensors_close(r->trace);
    free(r->ids);
    free(r->labels);
}

/* ---- a session with every program that the tests run ---- */

struct run {
    struct session *session;
    struct rows rows;
    struct batch_slot slot;
    struct micro_batch batch;
    struct loss_program train;
    struct settings settings;
    struct update_program update;
    struct plan *logits_plan;
    struct program *logits_program;
    graft_value logits; /* [tokens, vocab] */
    struct generator *generator;
};

static inline void plan_logits(struct run *r)
{
    struct error e = {0};
    struct graph *g;
    struct session *s = r->session;
    struct adapt_mode mode = {.training = false};
    assert_ok(graph_create(&g, &e), &e);
    struct model_inputs in = {.tokens = graph_stored(g, r->slot.ids),
                              .positions = graph_stored(g, r->slot.positions),
                              .first = graph_stored(g, r->slot.first),
                              .last = graph_stored(g, r->slot.last)};
    struct model_wrap wrap = adapt_begin(s->adapt, g, &mode);
    r->logits = model_logits(s->model, g, model_hidden(s->model, g, &in, &wrap, NULL), &wrap);
    adapt_end(s->adapt);
    graph_keep(g, r->logits);
    assert_ok(session_plan(s, g, &r->logits_plan, &e), &e);
    graph_destroy(g);
}

static inline void plan_update(struct run *r)
{
    struct error e = {0};
    struct option_request request = {.path = "optimizer", .place = "here"};
    struct settings *s = &r->settings;
    assert_ok(plugin_load(GRAFT_PLUGIN_OPTIMIZER, "adamw", NULL, &s->optimizer.plugin, &e), &e);
    request.plugin = s->optimizer.plugin;
    assert_ok(option_values_create(&request, &s->optimizer.options, &e), &e);
    s->train.max_grad_norm = 1.0;
    assert_ok(update_plan(r->session, s, &r->update, &e), &e);
}

static inline void run_open(struct run *r, const char *base,
                            const struct settings_adapter *adapters, size_t count, bool from_files,
                            bool recompute)
{
    struct error e = {0};
    char path[512];
    struct session_request request = {.model = path,
                                      .quantize = "keep",
                                      .adapters = adapters,
                                      .adapter_count = count,
                                      .from_files = from_files,
                                      .seed = 7};
    struct device_request device = {.name = "cpu", .threads = 1};
    memset(r, 0, sizeof *r);
    snprintf(path, sizeof path, DATA "%s/model.gguf", base);
    assert_ok(session_open(&request, &r->session, &e), &e);
    rows_open(&r->rows, base, r->session);
    assert_ok(batch_slot_create(r->session, MOST_TOKENS, &r->slot, &e), &e);
    assert_ok(micro_batch_create(MOST_TOKENS, &r->batch, &e), &e);
    r->batch.position_offset = (int32_t)r->session->rows.position_offset;
    assert_ok(loss_program_plan(r->session, &r->slot, true, recompute, &r->train, &e), &e);
    plan_update(r);
    plan_logits(r);
    struct generator_size size = {.slots = 3, .length = 64, .tokens = 40};
    assert_ok(generator_plan(r->session, &size, &r->generator, &e), &e);
    assert_ok(session_start(r->session, &device, &e), &e);
    assert_ok(loss_program_compile(r->session, &r->train, &e), &e);
    assert_ok(update_compile(r->session, &r->update, &e), &e);
    assert_ok(session_compile(r->session, r->logits_plan, &r->logits_program, &e), &e);
    assert_ok(generator_compile(r->generator, &e), &e);
}

static inline void run_close(struct run *r)
{
    generator_destroy(r->generator);
    program_destroy(r->logits_program);
    plan_destroy(r->logits_plan);
    update_destroy(&r->update);
    loss_program_destroy(&r->train);
    batch_slot_destroy(&r->slot);
    micro_batch_destroy(&r->batch);
    rows_close(&r->rows);
    session_close(r->session);
    option_values_destroy(r->settings.optimizer.options);
}

/* One step on four rows; gives its loss before the update. */
static inline float step(struct run *r, uint32_t number, uint32_t first_row)
{
    struct error e = {0};
    struct packed_step packed;
    uint32_t rows[ROWS];
    size_t begin[ROWS + 1];
    float loss = 0, norm = 0;
    for (uint32_t i = 0; i < ROWS; i++) rows[i] = first_row + i;
    assert_ok(pack_step(&r->rows.tokens, rows, ROWS, MOST_TOKENS, begin, &packed, &e), &e);
    assert_int_equal(packed.count, 1);
    pack_micro_batch(&packed, 0, &r->batch);
    assert_ok(loss_program_run(r->session, &r->train, &r->batch, 1.0 / (double)packed.trained,
                               number, &loss, &e),
              &e);
    assert_ok(update_run(r->session, &r->update, 1e-2, 0.01, number, &norm, &e), &e);
    assert_true(isfinite(norm) && norm > 0);
    return loss;
}

/* Logits of one row, virtual tokens left out; the caller frees. */
static inline float *logits_of(struct run *r, const int32_t *ids, size_t count)
{
    struct error e = {0};
    size_t extra = (size_t)r->session->rows.virtual_tokens, n = extra + count;
    size_t vocab = (size_t)model_config(r->session->model)->vocab;
    const struct backend *b = r->session->backend;
    struct stored *entries[4] = {r->slot.ids, r->slot.positions, r->slot.first, r->slot.last};
    int64_t live[GRAFT_ROWS_KINDS] = {0, (int64_t)n, 0};
    for (int i = 0; i < 4; i++) {
        int32_t values[MOST_TOKENS];
        for (size_t t = 0; t < n; t++) {
            int32_t id = t < extra ? (int32_t)(vocab + t) : ids[t - extra];
            int32_t at[4] = {id, (int32_t)t + r->batch.position_offset, 0, (int32_t)t};
            values[t] = at[i];
        }
        assert_ok(stored_write(entries[i], b, values, n * sizeof *values, &e), &e);
    }
    assert_ok(program_run(r->logits_program, live, &e), &e);
    float *all = malloc(n * vocab * sizeof *all), *out = malloc(count * vocab * sizeof *out);
    assert_true(all != NULL && out != NULL);
    assert_ok(program_read(r->logits_program, r->logits, all, n * vocab * sizeof *all, &e), &e);
    memcpy(out, all + extra * vocab, count * vocab * sizeof *out);
    free(all);
    return out;
}

static inline float *row0_logits(struct run *r, int64_t *count)
{
    size_t extra = (size_t)r->session->rows.virtual_tokens, n = r->rows.row[0].length - extra;
    *count = (int64_t)n * model_config(r->session->model)->vocab;
    return logits_of(r, r->rows.row[0].ids + extra, n);
}

static inline void compare(const char *what, const char *name, const float *a, const float *b,
                           int64_t count, double budget)
{
    double worst = 0.0;
    for (int64_t i = 0; i < count; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= worst)) worst = d;
    }
    print_message("  %s, %s: %.1e\n", name, what, worst);
    if (!(worst <= budget)) fail_msg("%s: %s differs by %g, at most %g", name, what, worst, budget);
}

/* ---- folders ---- */

static inline void temporary(char *path /* [64] */)
{
    strcpy(path, "/tmp/graft-test-XXXXXX");
    assert_non_null(mkdtemp(path));
}

static inline void remove_folder(const char *path)
{
    static const char *const names[] = {"adapter_config.json", "adapter_model.safetensors",
                                        "adapter.safetensors"};
    for (size_t i = 0; i < 3; i++) {
        char file[256];
        snprintf(file, sizeof file, "%s/%s", path, names[i]);
        unlink(file);
    }
    assert_int_equal(rmdir(path), 0);
}

#endif

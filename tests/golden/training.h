/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of training share: a golden model with a LoRA on the CPU backend, the rows of its
 * trace, and steps of training out of the trainer's own parts. The plugins are the build's own.
 */
#ifndef TESTS_GOLDEN_TRAINING_H
#define TESTS_GOLDEN_TRAINING_H

#include "unit/test.h"

#include "base/memory.h"
#include "file/safetensors.h"
#include "session/loss.h"
#include "train/schedule.h"
#include "train/update.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOLDEN GRAFT_SOURCE_DIR "/tests/golden/data/"

enum { STEPS = 20, STEP_ROWS = 4, MOST_ROWS = 8, CAPACITY = 256 };

/* Of every trace; trace.json. */
static const double peak_rate = 5e-3, weight_decay = 0.01, most_norm = 1.0;

static inline void use_built_plugins(void)
{
    setenv("GRAFT_PLUGIN_PATH", GRAFT_BUILD_DIR "/" GRAFT_PLUGIN_DIR, 1);
}

/* A trace's rows, all of them in `tokens`. */
struct trace {
    struct safetensors *file;
    struct data_sequence *rows;
    struct data_tokens tokens;
    const float *losses, *grad_norms; /* [STEPS] */
};

static inline const struct tensor_view *trace_find(const struct trace *t, const char *name)
{
    const struct tensor_view *view = safetensors_find(t->file, name);
    if (view == NULL) fail_msg("the trace has no %s", name);
    return view;
}

static inline void trace_open(struct trace *t, const char *name)
{
    struct error e = {0};
    char path[512];
    memset(t, 0, sizeof *t);
    snprintf(path, sizeof path, GOLDEN "%s/trace.safetensors", name);
    assert_ok(safetensors_open(path, &t->file, &e), &e);
    const struct tensor_view *lengths = trace_find(t, "row_lengths");
    const int32_t *ids = trace_find(t, "tokens")->data, *labels = trace_find(t, "labels")->data;
    size_t count = (size_t)lengths->shape.dim[0];
    assert_true(count >= (size_t)STEPS * STEP_ROWS);
    t->rows = calloc(count, sizeof *t->rows);
    assert_non_null(t->rows);
    for (size_t i = 0; i < count; i++) {
        struct data_sequence row = {.ids = ids, .labels = labels, .source = i};
        row.length = (size_t)((const int32_t *)lengths->data)[i];
        for (size_t k = 1; k < row.length; k++) row.trained += labels[k] != LABEL_IGNORED;
        ids += row.length;
        labels += row.length;
        t->rows[i] = row;
    }
    t->tokens.rows = t->rows;
    t->tokens.count = count;
    t->losses = trace_find(t, "losses")->data;
    t->grad_norms = trace_find(t, "grad_norms")->data;
}

static inline void trace_close(struct trace *t)
{
    free(t->rows);
    safetensors_close(t->file);
}

/* ---- a session with its programs ---- */

struct rig_request {
    const char *model;   /* under GOLDEN: "llama", "llama/model.gguf" */
    const char *adapter; /* the case whose adapter it begins with */
    double dropout;      /* instead of the adapter's own, when not 0 */
    bool fresh;          /* drawn from the seed, and only the options are that case's */
    double max_norm;     /* of clipping; 0: the traces', below 0: none */
    bool recompute;
    uint32_t threads; /* 0: 2 */
};

struct rig {
    struct arena arena;
    struct settings_adapter adapter;
    struct settings settings; /* only what an update reads */
    struct session *session;
    struct batch_slot slot;
    struct micro_batch batch;
    struct loss_program loss;
    struct update_program update;
};

static inline void options_make(const struct plugin *plugin, const struct option_input *inputs,
                                size_t count, struct option_values **values)
{
    struct error e = {0};
    struct option_request request = {
        .plugin = plugin, .path = "", .place = "the test", .inputs = inputs, .count = count};
    assert_ok(option_values_create(&request, values, &e), &e);
}

static inline void rig_optimizer(struct rig *r, double max_norm)
{
    struct error e = {0};
    struct settings *s = &r->settings;
    assert_ok(plugin_load(GRAFT_PLUGIN_OPTIMIZER, "adamw", ".", &s->optimizer.plugin, &e), &e);
    options_make(s->optimizer.plugin, NULL, 0, &s->optimizer.options);
    s->train.max_grad_norm = max_norm != 0.0 ? fmax(max_norm, 0.0) : most_norm;
    s->train.schedule =
        (struct settings_schedule){.kind = SCHEDULE_COSINE, .warmup_steps = 3, .num_cycles = 0.5};
}

static inline void rig_adapter(struct rig *r, const struct rig_request *q, const char *folder)
{
    struct error e = {0};
    assert_ok(adapt_read_config(folder, &r->arena, &r->adapter, &e), &e);
    if (q->dropout == 0.0) return;
    const struct option_input inputs[3] = {
        {.key = "r", .type = OPTION_INPUT_INT, .i = 4, .place = "the test"},
        {.key = "lora_alpha", .type = OPTION_INPUT_INT, .i = 8, .place = "the test"},
        {.key = "lora_dropout", .type = OPTION_INPUT_FLOAT, .f = q->dropout, .place = "the test"}};
    option_values_destroy(r->adapter.options);
    options_make(r->adapter.plugin, inputs, 3, &r->adapter.options);
}

/* session_open without a tokenizer, which these models do not have. */
static inline void rig_session(struct rig *r, const char *model)
{
    struct error e = {0};
    struct model_options keep = {.quantize = "keep"};
    struct session *s = mem_zalloc(1, sizeof *s);
    assert_non_null(s);
    assert_ok(store_create(&s->store, &e), &e);
    assert_ok(model_open(model, &keep, s->store, &s->model, &e), &e);
    struct adapt_request request = {
        .adapters = &r->adapter, .count = 1, .model = s->model, .store = s->store, .seed = 42};
    assert_ok(adapt_create(&request, &s->adapt, &e), &e);
    r->session = s;
}

static inline void rig_open(struct rig *r, const struct rig_request *q)
{
    struct error e = {0};
    char model[512], folder[512];
    const char *folders[1] = {folder};
    struct device_request device = {
        .name = "cpu", .base_dir = ".", .threads = q->threads != 0 ? q->threads : 2};
    memset(r, 0, sizeof *r);
    snprintf(model, sizeof model, GOLDEN "%s", q->model);
    snprintf(folder, sizeof folder, GOLDEN "%s/adapter", q->adapter);
    rig_optimizer(r, q->max_norm);
    rig_adapter(r, q, folder);
    rig_session(r, model);
    assert_ok(batch_slot_create(r->session, CAPACITY, &r->slot, &e), &e);
    assert_ok(micro_batch_create(CAPACITY, &r->batch, &e), &e);
    assert_ok(loss_program_plan(r->session, &r->slot, true, q->recompute, &r->loss, &e), &e);
    assert_ok(update_plan(r->session, &r->settings, &r->update, &e), &e);
    assert_ok(session_start(r->session, &device, &e), &e);
    if (!q->fresh) assert_ok(session_load_adapters(r->session, folders, &e), &e);
    assert_ok(loss_program_compile(r->session, &r->loss, &e), &e);
    assert_ok(update_compile(r->session, &r->update, &e), &e);
}

static inline void rig_close(struct rig *r)
{
    update_destroy(&r->update);
    loss_program_destroy(&r->loss);
    micro_batch_destroy(&r->batch);
    batch_slot_destroy(&r->slot);
    session_close(r->session);
    option_values_destroy(r->adapter.options);
    option_values_destroy(r->settings.optimizer.options);
    arena_free(&r->arena);
}

/* Adds the gradients of rows first .. first + count - 1, at most `together` in a micro-batch. */
static inline double rig_loss(struct rig *r, const struct trace *t, uint32_t step, size_t first,
                              size_t count, size_t together)
{
    struct error e = {0};
    uint32_t rows[MOST_ROWS];
    size_t begin[MOST_ROWS + 1] = {0};
    struct packed_step packed = {.tokens = &t->tokens, .rows = rows, .begin = begin};
    double loss = 0;
    assert_true(count <= MOST_ROWS);
    for (size_t i = 0; i < count; i++) {
        rows[i] = (uint32_t)(first + i);
        packed.token_count += t->rows[first + i].length;
        packed.trained += t->rows[first + i].trained;
    }
    packed.row_count = count;
    while (begin[packed.count] < count) {
        size_t end = begin[packed.count] + together;
        begin[++packed.count] = end < count ? end : count;
    }
    for (size_t m = 0; m < packed.count; m++) {
        float part = NAN;
        pack_micro_batch(&packed, m, &r->batch);
        assert_ok(loss_program_run(r->session, &r->loss, &r->batch, 1.0 / (double)packed.trained,
                                   step + 1, &part, &e),
                  &e);
        loss += (double)part;
    }
    return loss;
}

static inline float rig_update(struct rig *r, uint32_t step)
{
    struct error e = {0};
    float norm = NAN;
    double rate = peak_rate *
                  schedule_multiplier(&r->settings.train.schedule, (int64_t)step, STEPS, peak_rate);
    assert_ok(update_run(r->session, &r->update, rate, weight_decay, (int64_t)step + 1, &norm, &e),
              &e);
    return norm;
}

/* The whole trace, `together` rows in a micro-batch. */
static inline void rig_train(struct rig *r, const struct trace *t, size_t together)
{
    for (uint32_t step = 0; step < STEPS; step++) {
        (void)rig_loss(r, t, step, (size_t)step * STEP_ROWS, STEP_ROWS, together);
        (void)rig_update(r, step);
    }
}

/* A parameter (or with `gradient` its gradient) as it is on the device; free. */
static inline float *rig_read(const struct rig *r, const struct stored *p, bool gradient)
{
    struct error e = {0};
    float *values = malloc(p->bytes);
    assert_non_null(values);
    assert_ok(stored_read(gradient ? p->gradient : p, r->session->backend, values, p->bytes, &e),
              &e);
    return values;
}

static inline const struct stored *rig_first(const struct rig *r)
{
    return store_first(r->session->store, STORE_ADAPTER);
}

/* ‖a - b‖ and ‖b‖. */
static inline double distance(const float *a, const float *b, size_t count, double *norm)
{
    double difference = 0, sum = 0;
    for (size_t i = 0; i < count; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        sum += (double)b[i] * (double)b[i];
    }
    *norm = sqrt(sum);
    return sqrt(difference);
}

/* ---- files ---- */

struct scratch {
    char folder[64];
};

static inline void scratch_make(struct scratch *s)
{
    snprintf(s->folder, sizeof s->folder, "/tmp/graft-golden-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
}

static inline void scratch_remove(const struct scratch *s)
{
    static const char *const names[] = {"adapter_config.json", "adapter_model.safetensors"};
    char path[128];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", s->folder, names[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(s->folder), 0);
}

static inline void rig_save(struct rig *r, const struct scratch *s)
{
    struct error e = {0};
    assert_ok(adapt_save(r->session->adapt, 0, s->folder, "base", r->session->backend, &e), &e);
}

#endif

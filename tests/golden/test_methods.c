/* SPDX-License-Identifier: Apache-2.0
 *
 * Every folder of data/methods: the adapter that the reference saved is loaded, trained on the rows
 * of a trace beside it and saved. Losses, gradient norms and the adapter at the end are the
 * reference's, and our files have its keys, shapes and settings. The plugins are the build's own.
 */
#include "unit/test.h"

#include "base/json.h"
#include "base/memory.h"
#include "file/safetensors.h"
#include "session/loss.h"
#include "train/schedule.h"
#include "train/update.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOLDEN GRAFT_SOURCE_DIR "/tests/golden/data/"
#define METHODS GOLDEN "methods/"

enum { STEP_ROWS = 4, STEPS_OF_SCHEDULE = 20, CAPACITY = 256, MOST_METHODS = 64 };

static const double peak_rate = 5e-3, weight_decay = 0.01, most_norm = 1.0;
/* Losses and entries of adapters are absolute, norms relative. Where torch's adapter in f32 is
 * itself further than a tenth of that from the one in f64, trace.json may widen it: "budget". */
static const double LOSS = 1e-4, NORM = 1e-3, FINAL = 1e-4;

struct method {
    char folder[512];
    char model[512], rows[512];
    int64_t steps;
    double ratio;    /* of LoRA+'s learning rates */
    double budget;   /* of the adapter at the end */
    json_t *fresh;   /* the options to begin with, in place of a file; else NULL */
    json_t *pattern; /* of the entries that are left at the end; NULL: all */
    struct safetensors *trace, *source;
    struct data_sequence *sequences;
    int32_t *ids, *labels; /* with the virtual tokens that the adapter wants */
    struct data_tokens tokens;
};

struct worst {
    double loss, norm, final;
};

static void grow(double *worst, double found)
{
    if (!(found <= *worst)) *worst = found; /* NaN stays */
}

static void method_open(struct method *m, const char *name)
{
    struct error e = {0};
    char path[640];
    json_t *json = NULL;
    memset(m, 0, sizeof *m);
    snprintf(m->folder, sizeof m->folder, METHODS "%s", name);
    snprintf(path, sizeof path, "%s/trace.json", m->folder);
    assert_ok(json_read_file(path, 1 << 16, &json, &e), &e);
    snprintf(m->model, sizeof m->model, GOLDEN "%s",
             json_string_value(json_object_get(json, "base")));
    snprintf(m->rows, sizeof m->rows, GOLDEN "%s/trace.safetensors",
             json_string_value(json_object_get(json, "rows")));
    m->steps = json_integer_value(json_object_get(json, "steps"));
    m->ratio = json_number_value(json_object_get(json, "loraplus_lr_ratio"));
    const json_t *noise = json_object_get(json_object_get(json, "float64_difference"), "final");
    m->budget = json_number_value(json_object_get(json, "budget"));
    if (m->budget > 0) assert_true(json_number_value(noise) > FINAL / 10);
    if (!(m->budget > 0)) m->budget = FINAL;
    m->fresh = json_incref(json_object_get(json, "fresh"));
    m->pattern = json_incref(json_object_get(json, "rank_pattern"));
    json_decref(json);
    snprintf(path, sizeof path, "%s/trace.safetensors", m->folder);
    assert_ok(safetensors_open(path, &m->trace, &e), &e);
    assert_ok(safetensors_open(m->rows, &m->source, &e), &e);
}

static void method_close(struct method *m)
{
    json_decref(m->fresh);
    json_decref(m->pattern);
    free(m->sequences);
    free(m->ids);
    free(m->labels);
    safetensors_close(m->source);
    safetensors_close(m->trace);
}

/* The source's rows, each with `extra` untrained ids from `first` on in front. */
static void read_rows(struct method *m, size_t extra, int32_t first)
{
    const int32_t *lengths = safetensors_find(m->source, "row_lengths")->data;
    const struct tensor_view *ids = safetensors_find(m->source, "tokens");
    const int32_t *labels = safetensors_find(m->source, "labels")->data;
    size_t count = (size_t)m->steps * STEP_ROWS, from = 0, to = 0;
    size_t room = (size_t)ids->shape.dim[0] + count * extra;
    m->sequences = calloc(count, sizeof *m->sequences);
    m->ids = calloc(room, sizeof *m->ids);
    m->labels = calloc(room, sizeof *m->labels);
    assert_true(m->sequences != NULL && m->ids != NULL && m->labels != NULL);
    assert_true((size_t)safetensors_find(m->source, "row_lengths")->shape.dim[0] >= count);
    for (size_t i = 0; i < count; i++) {
        struct data_sequence *row = &m->sequences[i];
        *row = (struct data_sequence){.ids = m->ids + to, .labels = m->labels + to, .source = i};
        row->length = extra + (size_t)lengths[i];
        for (size_t k = 0; k < extra; k++, to++) {
            m->ids[to] = first + (int32_t)k;
            m->labels[to] = LABEL_IGNORED;
        }
        for (size_t k = 0; k < (size_t)lengths[i]; k++, from++, to++) {
            m->ids[to] = ((const int32_t *)ids->data)[from];
            m->labels[to] = labels[from];
            row->trained += k + extra > 0 && labels[from] != LABEL_IGNORED;
        }
    }
    m->tokens = (struct data_tokens){.rows = m->sequences, .count = count};
}

/* ---- a session with its programs ---- */

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

static void options_make(const struct plugin *plugin, const struct option_input *inputs,
                         size_t count, struct option_values **values)
{
    struct error e = {0};
    struct option_request request = {
        .plugin = plugin, .path = "", .place = "the test", .inputs = inputs, .count = count};
    assert_ok(option_values_create(&request, values, &e), &e);
}

/* What no adapter_config.json holds: LoRA+'s ratio. The case's other options are LoRA's r and
 * lora_alpha. */
static void set_ratio(struct rig *r, double ratio)
{
    json_t *known = option_values_json(r->adapter.options, true);
    const struct option_input inputs[3] = {
        {.key = "r",
         .type = OPTION_INPUT_INT,
         .i = json_integer_value(json_object_get(known, "r")),
         .place = "the test"},
        {.key = "lora_alpha",
         .type = OPTION_INPUT_FLOAT,
         .f = json_number_value(json_object_get(known, "lora_alpha")),
         .place = "the test"},
        {.key = "loraplus_lr_ratio", .type = OPTION_INPUT_FLOAT, .f = ratio, .place = "the test"}};
    json_decref(known);
    option_values_destroy(r->adapter.options);
    options_make(r->adapter.plugin, inputs, 3, &r->adapter.options);
}

/* LoRA as a recipe would ask for it. */
static void begin_fresh(struct rig *r, const json_t *fresh)
{
    struct error e = {0};
    const json_t *targets = json_object_get(fresh, "target_modules");
    struct settings_adapter *a = &r->adapter;
    const struct option_input inputs[4] = {
        {.key = "r",
         .type = OPTION_INPUT_INT,
         .i = json_integer_value(json_object_get(fresh, "r")),
         .place = "the test"},
        {.key = "lora_alpha",
         .type = OPTION_INPUT_FLOAT,
         .f = json_number_value(json_object_get(fresh, "lora_alpha")),
         .place = "the test"},
        {.key = "use_rslora",
         .type = OPTION_INPUT_BOOL,
         .b = json_is_true(json_object_get(fresh, "use_rslora")),
         .place = "the test"},
        {.key = "init_lora_weights",
         .type = OPTION_INPUT_STRING,
         .s = json_string_value(json_object_get(fresh, "init_lora_weights")),
         .place = "the test"}};
    a->method = "lora";
    assert_ok(plugin_load(GRAFT_PLUGIN_ADAPTER, "lora", ".", &a->plugin, &e), &e);
    options_make(a->plugin, inputs, 4, &a->options);
    a->target_modules.names.count = json_array_size(targets);
    a->target_modules.names.items =
        arena_alloc(&r->arena, json_array_size(targets), sizeof(char *));
    assert_non_null(a->target_modules.names.items);
    for (size_t i = 0; i < json_array_size(targets); i++)
        a->target_modules.names.items[i] = json_string_value(json_array_get(targets, i));
}

static void rig_open(struct rig *r, struct method *m)
{
    struct error e = {0};
    const char *folders[1] = {m->folder};
    struct device_request device = {.name = "cpu", .base_dir = ".", .threads = 2};
    struct settings *s = &r->settings;
    memset(r, 0, sizeof *r);
    assert_ok(plugin_load(GRAFT_PLUGIN_OPTIMIZER, "adamw", ".", &s->optimizer.plugin, &e), &e);
    options_make(s->optimizer.plugin, NULL, 0, &s->optimizer.options);
    s->train.max_grad_norm = most_norm;
    s->train.schedule =
        (struct settings_schedule){.kind = SCHEDULE_COSINE, .warmup_steps = 3, .num_cycles = 0.5};
    if (m->fresh != NULL)
        begin_fresh(r, m->fresh);
    else
        assert_ok(adapt_read_config(m->folder, &r->arena, &r->adapter, &e), &e);
    if (m->ratio != 0.0 && fabs(m->ratio - 1.0) > 0.0) set_ratio(r, m->ratio);
    assert_ok(session_open(&(struct session_request){.model = m->model,
                                                     .quantize = "keep",
                                                     .adapters = &r->adapter,
                                                     .adapter_count = 1,
                                                     .from_files = m->fresh == NULL,
                                                     .no_text = true,
                                                     .seed = 42},
                           &r->session, &e),
              &e);
    read_rows(m, (size_t)r->session->rows.virtual_tokens,
              (int32_t)model_config(r->session->model)->vocab);
    assert_ok(batch_slot_create(r->session, CAPACITY, &r->slot, &e), &e);
    assert_ok(micro_batch_create(CAPACITY, &r->batch, &e), &e);
    r->batch.position_offset = (int32_t)r->session->rows.position_offset;
    assert_ok(loss_program_plan(r->session, &r->slot, true, false, &r->loss, &e), &e);
    assert_ok(update_plan(r->session, s, &r->update, &e), &e);
    assert_ok(session_start(r->session, &device, &e), &e);
    if (m->fresh == NULL) assert_ok(session_load_adapters(r->session, folders, &e), &e);
    assert_ok(loss_program_compile(r->session, &r->loss, &e), &e);
    assert_ok(update_compile(r->session, &r->update, &e), &e);
}

static void rig_close(struct rig *r)
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

/* Adds the gradients of the step's rows, all at once or one after the other. */
static double step_loss(struct rig *r, const struct method *m, uint32_t step, bool together)
{
    struct error e = {0};
    uint32_t rows[STEP_ROWS];
    size_t begin[STEP_ROWS + 1];
    struct packed_step packed;
    double loss = 0;
    for (uint32_t i = 0; i < STEP_ROWS; i++) rows[i] = step * STEP_ROWS + i;
    assert_ok(pack_step(&m->tokens, rows, STEP_ROWS, CAPACITY, begin, &packed, &e), &e);
    assert_int_equal(packed.count, 1);
    if (!together) packed.count = STEP_ROWS;
    for (size_t i = 0; i <= STEP_ROWS && !together; i++) begin[i] = i;
    for (size_t k = 0; k < packed.count; k++) {
        float part = NAN;
        pack_micro_batch(&packed, k, &r->batch);
        r->loss.once = k == 0 ? 1.0 : 0.0;
        assert_ok(loss_program_run(r->session, &r->loss, &r->batch, 1.0 / (double)packed.trained,
                                   step + 1, &part, &e),
                  &e);
        loss += (double)part;
    }
    return loss;
}

static void train(struct rig *r, const struct method *m, bool together, struct worst *worst)
{
    const float *losses = safetensors_find(m->trace, "losses")->data;
    const float *norms = safetensors_find(m->trace, "grad_norms")->data;
    for (uint32_t step = 0; step < m->steps; step++) {
        struct error e = {0};
        float norm = NAN;
        double loss = step_loss(r, m, step, together);
        double rate = peak_rate * schedule_multiplier(&r->settings.train.schedule, (int64_t)step,
                                                      STEPS_OF_SCHEDULE, peak_rate);
        assert_ok(
            update_run(r->session, &r->update, rate, weight_decay, (int64_t)step + 1, &norm, &e),
            &e);
        grow(&worst->loss, fabs(loss - (double)losses[step]));
        grow(&worst->norm, fabs((double)norm - (double)norms[step]) / (double)norms[step]);
    }
}

/* ---- files ---- */

static const char *const file_names[] = {"adapter_config.json", "adapter_model.safetensors",
                                         "adapter.safetensors", "full.safetensors"};

/* The reference's tensors, each with the same name and shape in ours, and no other. */
static void compare_tensors(const struct method *m, const char *folder, const char *file,
                            struct worst *worst)
{
    struct error e = {0};
    struct safetensors *ours = NULL, *theirs = NULL;
    char path[640];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    assert_ok(safetensors_open(path, &ours, &e), &e);
    snprintf(path, sizeof path, "%s/%s", m->folder, file);
    assert_ok(safetensors_open(path, &theirs, &e), &e);
    assert_int_equal(safetensors_count(ours), safetensors_count(theirs));
    for (size_t i = 0; i < safetensors_count(theirs); i++) {
        const struct tensor_view *expected = safetensors_tensor(theirs, i);
        const struct tensor_view *found = safetensors_find(ours, expected->name);
        if (found == NULL) fail_msg("%s is missing", expected->name);
        char name[320];
        snprintf(name, sizeof name, "final.%s", expected->name);
        const struct tensor_view *final = safetensors_find(m->trace, name);
        if (final == NULL) final = expected; /* what is frozen stays as it was */
        if (found->shape.rank != final->shape.rank ||
            memcmp(found->shape.dim, final->shape.dim, sizeof found->shape.dim) != 0)
            fail_msg("%s has another shape", expected->name);
        const float *a = found->data, *b = final->data;
        /* the sign of a pair of factors' columns and rows is nobody's */
        for (size_t k = 0; k < found->bytes / sizeof *a; k++)
            grow(&worst->final, m->fresh != NULL ? fabs(fabs((double)a[k]) - fabs((double)b[k]))
                                                 : fabs((double)a[k] - (double)b[k]));
    }
    safetensors_close(theirs);
    safetensors_close(ours);
}

static bool same_value(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return fabs(json_number_value(a) - json_number_value(b)) <
               1e-12 + 1e-9 * fabs(json_number_value(b));
    return json_equal(a, b);
}

/* What ours says, theirs says too. Theirs may say more: of what is off, and of itself. */
static void compare_configs(const struct method *m, const char *folder)
{
    static const char *const other[] = {"base_model_name_or_path", "peft_version"};
    struct error e = {0};
    json_t *ours = NULL, *theirs = NULL;
    char path[640];
    snprintf(path, sizeof path, "%s/adapter_config.json", folder);
    assert_ok(json_read_file(path, 1 << 20, &ours, &e), &e);
    snprintf(path, sizeof path, "%s/adapter_config.json", m->folder);
    assert_ok(json_read_file(path, 1 << 20, &theirs, &e), &e);
    if (m->pattern != NULL) json_object_set(theirs, "rank_pattern", m->pattern);
    assert_true(m->pattern == NULL || json_is_object(json_object_get(ours, "rank_pattern")));
    for (void *it = json_object_iter(ours); it != NULL; it = json_object_iter_next(ours, it)) {
        const char *key = json_object_iter_key(it);
        const json_t *value = json_object_get(theirs, key), *own = json_object_iter_value(it);
        bool skipped = false;
        for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
            skipped |= strcmp(key, other[i]) == 0;
        if (skipped || (value == NULL && json_is_null(own))) continue;
        if (value == NULL) fail_msg("%s: the reference has no such key", key);
        if (!same_value(own, value)) fail_msg("%s: the reference has another value", key);
    }
    json_decref(ours);
    json_decref(theirs);
}

static void compare_files(struct rig *r, const struct method *m, struct worst *worst)
{
    struct error e = {0};
    char folder[64] = "/tmp/graft-methods-XXXXXX", path[640];
    assert_non_null(mkdtemp(folder));
    assert_ok(adapt_save(r->session->adapt, 0, folder, "base", r->session->backend, &e), &e);
    for (size_t i = 1; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, file_names[i]);
        if (access(path, F_OK) == 0) compare_tensors(m, folder, file_names[i], worst);
    }
    compare_configs(m, folder);
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, file_names[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
}

/* ---- the table: one row for each folder ---- */

static void test_method(void **state)
{
    const char *name = *state;
    struct worst worst = {0};
    struct method m;
    struct rig r;
    method_open(&m, name);
    rig_open(&r, &m);
    train(&r, &m, true, &worst);
    compare_files(&r, &m, &worst);
    print_message("| %-16s | %.1e | %.1e | %.1e |\n", name, worst.loss, worst.norm, worst.final);
    rig_close(&r);
    double budget = m.budget;
    method_close(&m);
    if (!(worst.loss <= LOSS)) fail_msg("a loss differs by %g, at most %g", worst.loss, LOSS);
    if (!(worst.norm <= NORM)) fail_msg("a norm differs by %g, at most %g", worst.norm, NORM);
    if (!(worst.final <= budget))
        fail_msg("adapters differ by %g, at most %g", worst.final, budget);
}

/* A step is the same however it is split, what a method adds to the loss included. */
static void test_split(void **state)
{
    static const char *const names[] = {"adalora", "save_norms"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct worst worst = {0};
        struct method m;
        struct rig r;
        method_open(&m, names[i]);
        rig_open(&r, &m);
        train(&r, &m, false, &worst);
        rig_close(&r);
        method_close(&m);
        if (!(worst.loss <= LOSS && worst.norm <= NORM))
            fail_msg("%s: a loss differs by %g, a norm by %g", names[i], worst.loss, worst.norm);
    }
}

static int by_name(const void *a, const void *b)
{
    const struct CMUnitTest *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* Arguments, if any, name the folders to test. */
int main(int argc, char **argv)
{
    struct CMUnitTest tests[MOST_METHODS];
    char names[MOST_METHODS][64];
    size_t count = 0;
    setenv("GRAFT_PLUGIN_PATH", GRAFT_BUILD_DIR "/" GRAFT_PLUGIN_DIR, 1);
    DIR *folder = opendir(METHODS);
    const struct dirent *entry;
    if (folder == NULL) return 1;
    while ((entry = readdir(folder)) != NULL && count + 1 < MOST_METHODS) {
        bool wanted = argc < 2;
        for (int i = 1; i < argc; i++) wanted |= strcmp(argv[i], entry->d_name) == 0;
        if (entry->d_name[0] == '.' || strlen(entry->d_name) >= sizeof names[0] || !wanted)
            continue;
        strcpy(names[count], entry->d_name);
        tests[count] = (struct CMUnitTest){
            .name = names[count], .test_func = test_method, .initial_state = names[count]};
        count++;
    }
    closedir(folder);
    if (count == 0) return 1;
    if (argc < 2) tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_split);
    qsort(tests, count, sizeof tests[0], by_name);
    print_message("| method           | loss    | norm    | adapter |\n");
    return _cmocka_run_group_tests("methods", tests, count, NULL, NULL) != 0;
}

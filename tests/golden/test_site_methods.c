/* SPDX-License-Identifier: Apache-2.0
 *
 * Methods at attention, block, embedding and norm sites against PEFT and the `adapters` library
 * (make_site_methods.py): ten steps, the trained adapter, and their files read here. Then what no
 * library says: gradient checkpointing, generation, stacks.
 */
#include "unit/test.h"

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
static void rows_open(struct rows *r, const char *base, const struct session *s)
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

static void rows_close(struct rows *r)
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

static void plan_logits(struct run *r)
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

static void plan_update(struct run *r)
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

static void run_open(struct run *r, const char *base, const struct settings_adapter *adapters,
                     size_t count, bool from_files, bool recompute)
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

static void run_close(struct run *r)
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
static float step(struct run *r, uint32_t number, uint32_t first_row)
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
static float *logits_of(struct run *r, const int32_t *ids, size_t count)
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

static float *row0_logits(struct run *r, int64_t *count)
{
    size_t extra = (size_t)r->session->rows.virtual_tokens, n = r->rows.row[0].length - extra;
    *count = (int64_t)n * model_config(r->session->model)->vocab;
    return logits_of(r, r->rows.row[0].ids + extra, n);
}

static void compare(const char *what, const char *name, const float *a, const float *b,
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

static void temporary(char *path /* [64] */)
{
    strcpy(path, "/tmp/graft-test-XXXXXX");
    assert_non_null(mkdtemp(path));
}

static void remove_folder(const char *path)
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

/* The file of numbers in an adapter's folder. */
static struct safetensors *open_numbers(const char *folder)
{
    struct error e = {0};
    struct safetensors *file = NULL;
    char path[600];
    snprintf(path, sizeof path, "%s/adapter.safetensors", folder);
    if (access(path, R_OK) != 0)
        snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    assert_ok(safetensors_open(path, &file, &e), &e);
    return file;
}

/* AdapterHub's keys hold the adapter's name: "golden" there, "default" here. */
static void our_name(const char *name, char out[256])
{
    const char *golden = strstr(name, ".golden.");
    if (golden == NULL)
        snprintf(out, 256, "%s", name);
    else
        snprintf(out, 256, "%.*s.default.%s", (int)(golden - name), name, golden + 8);
}

/* ---- a golden case ---- */

static void write_initial(const struct run *r, const struct safetensors *trace)
{
    struct error e = {0};
    size_t written = 0, expected = 0;
    for (size_t i = 0; i < safetensors_count(trace); i++) {
        const struct tensor_view *view = safetensors_tensor(trace, i);
        if (strncmp(view->name, "initial.", 8) != 0) continue;
        const struct stored *p = store_find(r->session->store, STORE_ADAPTER, view->name + 8);
        if (p == NULL) fail_msg("%s is no parameter here", view->name + 8);
        assert_int_equal(p->bytes, view->bytes);
        assert_ok(stored_write(p, r->session->backend, view->data, view->bytes, &e), &e);
        written++;
    }
    for (const struct stored *p = store_first(r->session->store, STORE_ADAPTER); p != NULL;
         p = p->next)
        expected++;
    assert_int_equal(written, expected);
}

static void compare_files(const char *name, const char *ours, const char *theirs)
{
    struct safetensors *a = open_numbers(ours), *b = open_numbers(theirs);
    assert_int_equal(safetensors_count(a), safetensors_count(b));
    double worst = 0;
    for (size_t i = 0; i < safetensors_count(b); i++) {
        char key[256];
        const struct tensor_view *want = safetensors_tensor(b, i);
        our_name(want->name, key);
        const struct tensor_view *got = safetensors_find(a, key);
        if (got == NULL) fail_msg("%s is not in the saved file", key);
        assert_memory_equal(got->shape.dim, want->shape.dim, sizeof got->shape.dim);
        assert_int_equal(got->shape.rank, want->shape.rank);
        for (uint64_t k = 0; k < want->bytes / sizeof(float); k++) {
            double x = (double)((const float *)got->data)[k],
                   y = (double)((const float *)want->data)[k];
            worst = fmax(worst, fabs(x - y));
        }
    }
    print_message("  %s, trained adapter: %.1e\n", name, worst);
    if (!(worst <= BUDGET)) fail_msg("%s: the trained adapter differs by %g", name, worst);
    safetensors_close(a);
    safetensors_close(b);
}

/* What PEFT's config says must stand in ours. */
static void compare_configs(const char *ours, const char *theirs)
{
    static const char *const skipped[] = {"peft_version",
                                          "base_model_name_or_path",
                                          "revision",
                                          "encoder_hidden_size",
                                          "tokenizer_name_or_path",
                                          "name",
                                          "model_name",
                                          "version"};
    struct error e = {0};
    json_t *a = NULL, *b = NULL, *value;
    const char *key;
    char path[600];
    snprintf(path, sizeof path, "%s/adapter_config.json", ours);
    assert_ok(json_read_file(path, 1 << 20, &a, &e), &e);
    snprintf(path, sizeof path, "%s/adapter_config.json", theirs);
    assert_ok(json_read_file(path, 1 << 20, &b, &e), &e);
    bool hub = json_object_get(b, "config") != NULL;
    json_object_foreach(hub ? json_object_get(b, "config") : b, key, value)
    {
        const json_t *got = json_object_get(hub ? json_object_get(a, "config") : a, key);
        bool skip = false;
        for (size_t i = 0; i < sizeof skipped / sizeof skipped[0]; i++)
            skip |= strcmp(key, skipped[i]) == 0;
        if (skip || strcmp(key, "target_modules") == 0) continue;
        bool same = json_is_number(value) && json_is_number(got)
                        ? fabs(json_number_value(value) - json_number_value(got)) == 0.0
                        : json_equal(value, got) || (got == NULL && json_is_null(value));
        if (!same) fail_msg("%s: %s differs", theirs, key);
    }
    json_decref(a);
    json_decref(b);
}

/* A folder's adapter on its base gives these logits. */
static void check_loaded(const char *name, const char *what, const char *base, const char *folder,
                         const float *logits, double budget)
{
    struct error e = {0};
    struct arena arena = {0};
    struct settings_adapter adapter = {0};
    struct run r;
    int64_t count;
    const char *folders[1] = {folder};
    assert_ok(adapt_read_config(folder, &arena, &adapter, &e), &e);
    run_open(&r, base, &adapter, 1, true, false);
    assert_ok(session_load_adapters(r.session, folders, &e), &e);
    float *found = row0_logits(&r, &count);
    compare(what, name, found, logits, count, budget);
    free(found);
    run_close(&r);
    option_values_destroy(adapter.options);
    arena_free(&arena);
}

static void check_case(const char *name, const char *base)
{
    struct error e = {0};
    struct arena arena = {0};
    struct settings_adapter adapter = {0};
    struct safetensors *trace;
    struct run r;
    char path[512], final[512], saved[64];
    float losses[STEPS];
    int64_t count;
    snprintf(path, sizeof path, CASES "%s/trace.safetensors", name);
    assert_ok(safetensors_open(path, &trace, &e), &e);
    snprintf(final, sizeof final, CASES "%s/final", name);
    assert_ok(adapt_read_config(final, &arena, &adapter, &e), &e);
    run_open(&r, base, &adapter, 1, false, false);
    write_initial(&r, trace);
    float *first = row0_logits(&r, &count);
    compare("logits", name, first, safetensors_find(trace, "logits")->data, count, BUDGET);
    for (uint32_t i = 0; i < STEPS; i++) losses[i] = step(&r, i + 1, ROWS * i);
    compare("losses", name, losses, safetensors_find(trace, "losses")->data, STEPS, BUDGET);
    float *last = row0_logits(&r, &count);
    temporary(saved);
    assert_ok(adapt_save(r.session->adapt, 0, saved, "base", r.session->backend, &e), &e);
    compare_files(name, saved, final);
    compare_configs(saved, final);
    run_close(&r);
    check_loaded(name, "logits of the library's file", base, final,
                 safetensors_find(trace, "final_logits")->data, BUDGET);
    check_loaded(name, "logits of our file", base, saved, last, 1e-5);
    remove_folder(saved);
    free(first);
    free(last);
    option_values_destroy(adapter.options);
    arena_free(&arena);
    safetensors_close(trace);
}

static void test_prefix(void **state)
{
    (void)state;
    check_case("prefix", "llama");
    check_case("prefix_qwen2", "qwen2");
    check_case("prefix_projection", "llama");
}

static void test_prompt(void **state)
{
    (void)state;
    check_case("prompt", "llama");
    check_case("p_tuning", "qwen2");
}

static void test_bottleneck(void **state)
{
    (void)state;
    check_case("bottleneck_houlsby", "llama");
    check_case("bottleneck_pfeiffer", "llama");
    check_case("bottleneck_parallel", "llama");
    check_case("bottleneck_ln", "llama");
}

static void test_others(void **state)
{
    (void)state;
    check_case("llama_adapter", "llama");
    check_case("ln_tuning", "llama");
}

/* ---- without a library ---- */

struct wish { /* one adapter */
    const char *method;
    struct option_input inputs[4];
    size_t count;
};

static const struct wish prefix = {
    "prefix",
    {{.key = "num_virtual_tokens", .type = OPTION_INPUT_INT, .i = 5, .place = "here"}},
    1};
static const struct wish projected = {
    "prefix",
    {{.key = "num_virtual_tokens", .type = OPTION_INPUT_INT, .i = 3, .place = "here"},
     {.key = "prefix_projection", .type = OPTION_INPUT_BOOL, .b = true, .place = "here"}},
    2};
static const struct wish prompt = {
    "prompt",
    {{.key = "num_virtual_tokens", .type = OPTION_INPUT_INT, .i = 4, .place = "here"}},
    1};
static const struct wish p_tuning = {
    "p_tuning",
    {{.key = "num_virtual_tokens", .type = OPTION_INPUT_INT, .i = 3, .place = "here"}},
    1};
static const struct wish lora = {
    "lora", {{.key = "r", .type = OPTION_INPUT_INT, .i = 2, .place = "here"}}, 1};
static const struct wish bottleneck = {
    "bottleneck",
    {{.key = "reduction_factor", .type = OPTION_INPUT_FLOAT, .f = 8, .place = "here"},
     {.key = "mh_adapter", .type = OPTION_INPUT_BOOL, .b = true, .place = "here"}},
    2};
static const struct wish llama_adapter = {
    "llama_adapter",
    {{.key = "adapter_layers", .type = OPTION_INPUT_INT, .i = 2, .place = "here"}},
    1};

static void grant(const struct wish *wish, struct settings_adapter *out)
{
    struct error e = {0};
    struct option_request request = {
        .path = "adapter", .place = "here", .inputs = wish->inputs, .count = wish->count};
    *out = (struct settings_adapter){.method = wish->method};
    assert_ok(plugin_load(GRAFT_PLUGIN_ADAPTER, wish->method, NULL, &out->plugin, &e), &e);
    request.plugin = out->plugin;
    assert_ok(option_values_create(&request, &out->options, &e), &e);
}

/* Every number of the adapters; the caller frees. */
static float *parameters(const struct run *r, uint64_t *bytes)
{
    struct error e = {0};
    struct stored *flat = store_flat(r->session->store, STORE_ADAPTER);
    float *out = malloc(flat->bytes);
    assert_non_null(out);
    *bytes = flat->bytes;
    assert_ok(stored_read(flat, r->session->backend, out, flat->bytes, &e), &e);
    return out;
}

static void test_checkpointing(void **state)
{
    static const struct wish *const wishes[] = {&prefix, &projected, &prompt, &llama_adapter,
                                                &bottleneck};
    (void)state;
    for (size_t w = 0; w < sizeof wishes / sizeof wishes[0]; w++) {
        struct settings_adapter adapter;
        float losses[2][3], *trained[2];
        uint64_t bytes = 0;
        grant(wishes[w], &adapter);
        for (int recompute = 0; recompute < 2; recompute++) {
            struct run r;
            run_open(&r, "llama", &adapter, 1, false, recompute != 0);
            for (uint32_t i = 0; i < 3; i++) losses[recompute][i] = step(&r, i + 1, ROWS * i);
            trained[recompute] = parameters(&r, &bytes);
            run_close(&r);
        }
        assert_memory_equal(losses[0], losses[1], sizeof losses[0]);
        assert_memory_equal(trained[0], trained[1], bytes);
        free(trained[0]);
        free(trained[1]);
        option_values_destroy(adapter.options);
    }
}

static int32_t largest(const float *logits, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}

/* Each generated token is the likeliest one of the whole row's forward pass. */
static void check_generated(struct run *r, size_t row, const struct generate_answer *answer)
{
    size_t extra = (size_t)r->session->rows.virtual_tokens;
    size_t vocab = (size_t)model_config(r->session->model)->vocab;
    size_t given = r->rows.row[row].length - extra, n = given + answer->count;
    int32_t ids[MOST_TOKENS];
    memcpy(ids, r->rows.row[row].ids + extra, given * sizeof *ids);
    memcpy(ids + given, answer->ids, answer->count * sizeof *ids);
    float *logits = logits_of(r, ids, n);
    for (size_t t = given; t < n; t++)
        assert_int_equal(ids[t], largest(logits + (t - 1) * vocab, vocab));
    if (answer->ended) assert_int_equal(largest(logits + (n - 1) * vocab, vocab), 2);
    free(logits);
}

static void test_generation(void **state)
{
    static const struct wish *const wishes[][2] = {{&prefix, NULL},
                                                   {&prompt, NULL},
                                                   {&p_tuning, &prefix},
                                                   {&prompt, &p_tuning},
                                                   {&llama_adapter, &prefix}};
    enum { PROMPTS = 4, NEW = 12 };
    (void)state;
    for (size_t w = 0; w < sizeof wishes / sizeof wishes[0]; w++) {
        struct error e = {0};
        struct settings_adapter adapters[2];
        struct run r;
        size_t count = wishes[w][1] != NULL ? 2 : 1, tokens = 0;
        struct generate_prompt prompts[PROMPTS];
        struct generate_answer answers[PROMPTS];
        int32_t ids[PROMPTS][NEW];
        for (size_t i = 0; i < count; i++) grant(wishes[w][i], &adapters[i]);
        run_open(&r, "llama", adapters, count, false, false);
        for (uint32_t i = 0; i < 5; i++) step(&r, i + 1, ROWS * i);
        for (size_t i = 0; i < PROMPTS; i++) {
            prompts[i] = (struct generate_prompt){r.rows.row[i].ids, r.rows.row[i].length};
            answers[i] = (struct generate_answer){.ids = ids[i]};
        }
        struct generate_request request = {.prompts = prompts,
                                           .answers = answers,
                                           .count = PROMPTS,
                                           .max_new_tokens = NEW,
                                           .sample = {.top_p = 1.0}};
        assert_ok(generator_run(r.generator, &request, &e), &e);
        for (size_t i = 0; i < PROMPTS; i++) {
            check_generated(&r, i, &answers[i]);
            tokens += answers[i].count;
        }
        assert_true(tokens > 0);
        run_close(&r);
        for (size_t i = 0; i < count; i++) option_values_destroy(adapters[i].options);
    }
}

/* Every parameter of every adapter moves; saved and loaded, the stack gives the same logits. */
static void check_stack(const char *name, const struct wish *const wishes[STACK])
{
    struct error e = {0};
    struct arena arena = {0};
    struct settings_adapter adapters[STACK], read[STACK] = {{0}};
    struct run r;
    char folders[STACK][64];
    const char *paths[STACK];
    float first = 0, last = 0;
    uint64_t bytes;
    int64_t numbers;
    size_t count = 0;
    while (count < STACK && wishes[count] != NULL) {
        grant(wishes[count], &adapters[count]);
        count++;
    }
    run_open(&r, "llama", adapters, count, false, false);
    float *before = parameters(&r, &bytes);
    for (uint32_t i = 0; i < 8; i++) {
        last = step(&r, i + 1, 0);
        if (i == 0) first = last;
    }
    assert_true(last < first);
    float *after = parameters(&r, &bytes);
    for (const struct stored *p = store_first(r.session->store, STORE_ADAPTER); p != NULL;
         p = p->next) {
        bool moved = memcmp((const char *)before + p->offset, (const char *)after + p->offset,
                            p->bytes) != 0;
        if (!moved) fail_msg("%s: %s never moved", name, p->name);
    }
    float *logits = row0_logits(&r, &numbers);
    for (size_t i = 0; i < count; i++) {
        temporary(folders[i]);
        paths[i] = folders[i];
        assert_ok(adapt_save(r.session->adapt, i, folders[i], "base", r.session->backend, &e), &e);
        assert_ok(adapt_read_config(folders[i], &arena, &read[i], &e), &e);
    }
    run_close(&r);
    run_open(&r, "llama", read, count, true, false);
    assert_ok(session_load_adapters(r.session, paths, &e), &e);
    float *again = row0_logits(&r, &numbers);
    compare("stack saved and loaded", name, logits, again, numbers, 0.0);
    run_close(&r);
    for (size_t i = 0; i < count; i++) {
        option_values_destroy(adapters[i].options);
        option_values_destroy(read[i].options);
        remove_folder(folders[i]);
    }
    free(before);
    free(after);
    free(logits);
    free(again);
    arena_free(&arena);
}

static void test_stacks(void **state)
{
    (void)state;
    check_stack("prefix + lora", (const struct wish *const[STACK]){&prefix, &lora});
    check_stack("lora + lora", (const struct wish *const[STACK]){&lora, &lora});
    check_stack("bottleneck + lora", (const struct wish *const[STACK]){&bottleneck, &lora});
    check_stack("bottleneck + bottleneck",
                (const struct wish *const[STACK]){&bottleneck, &bottleneck});
    check_stack("prefix + prefix + llama_adapter",
                (const struct wish *const[STACK]){&prefix, &prefix, &llama_adapter});
    check_stack("prompt + prompt + prefix",
                (const struct wish *const[STACK]){&prompt, &prompt, &prefix});
}

/* SAMPLE_VOCAB and TEXT begin as rows of the model's table. */
static void check_prompt_init(const char *init, const char *text)
{
    struct error e = {0};
    struct wish wish = {
        "prompt",
        {{.key = "num_virtual_tokens", .type = OPTION_INPUT_INT, .i = 5, .place = "here"},
         {.key = "prompt_tuning_init", .type = OPTION_INPUT_STRING, .s = init, .place = "here"},
         {.key = "prompt_tuning_init_text",
          .type = OPTION_INPUT_STRING,
          .s = text,
          .place = "here"}},
        3};
    struct settings_adapter adapter;
    struct run r;
    struct token_list ids = {0};
    struct safetensors *base;
    uint64_t bytes;
    grant(&wish, &adapter);
    run_open(&r, "llama", &adapter, 1, false, false);
    assert_ok(safetensors_open(DATA "llama/model.safetensors", &base, &e), &e);
    const struct tensor_view *view = safetensors_find(base, "model.embed_tokens.weight");
    const float *table = view->data;
    float *found = parameters(&r, &bytes);
    size_t C = (size_t)view->shape.dim[1];
    assert_ok(tokenizer_encode(r.session->tokenizer, text, strlen(text), true, &ids, &e), &e);
    for (size_t i = 0; i < 5; i++) {
        size_t row = 0, rows = (size_t)view->shape.dim[0];
        while (row < rows && memcmp(found + i * C, table + row * C, C * sizeof *found) != 0) row++;
        assert_true(row < rows);
        if (text[0] != '\0') assert_int_equal(row, ids.ids[i % ids.count]);
    }
    token_list_free(&ids);
    free(found);
    safetensors_close(base);
    run_close(&r);
    option_values_destroy(adapter.options);
}

static void test_prompt_init(void **state)
{
    (void)state;
    check_prompt_init("SAMPLE_VOCAB", "");
    check_prompt_init("TEXT", "AB");
    check_prompt_init("TEXT", "ABCDEFGHI");
}

/* The prefix begins as the bare model's keys and values of the text. */
static void test_prefix_text(void **state)
{
    static const struct wish wish = {
        "prefix",
        {{.key = "num_virtual_tokens", .type = OPTION_INPUT_INT, .i = 5, .place = "here"},
         {.key = "init_text", .type = OPTION_INPUT_STRING, .s = "ABCDEFG", .place = "here"}},
        2};
    struct error e = {0};
    struct settings_adapter adapter;
    struct run r;
    struct safetensors *file;
    uint64_t bytes;
    (void)state;
    grant(&wish, &adapter);
    run_open(&r, "llama", &adapter, 1, false, false);
    assert_ok(safetensors_open(CASES "prefix_text/table.safetensors", &file, &e), &e);
    const struct tensor_view *view = safetensors_find(file, "prompt_embeddings");
    float *found = parameters(&r, &bytes);
    assert_int_equal(bytes, view->bytes);
    compare("keys and values of a text", "prefix", found, view->data,
            graft_shape_count(view->shape), 1e-5);
    free(found);
    safetensors_close(file);
    run_close(&r);
    option_values_destroy(adapter.options);
}

static void expect_refusal(const struct wish *wish, bool one_layer, const char *text)
{
    struct error e = {0};
    struct settings_adapter adapter;
    struct session *s = NULL;
    int64_t layer = 1;
    grant(wish, &adapter);
    if (one_layer) adapter.layers_to_transform = (struct numbers){&layer, 1};
    struct session_request request = {.model = DATA "llama/model.gguf",
                                      .quantize = "keep",
                                      .adapters = &adapter,
                                      .adapter_count = 1};
    assert_int_equal(session_open(&request, &s, &e), GRAFT_E_INVALID);
    if (strstr(e.text, text) == NULL) fail_msg("\"%s\" does not say \"%s\"", e.text, text);
    option_values_destroy(adapter.options);
}

static void test_refusals(void **state)
{
    struct wish wish = {
        "prefix",
        {{.key = "num_virtual_tokens", .type = OPTION_INPUT_INT, .i = 128, .place = "here"}},
        1};
    (void)state;
    expect_refusal(&wish, false, "128 leave no token of the model's context of 128");
    wish.method = "prompt";
    expect_refusal(&wish, false, "128 leave no token of the model's context of 128");
    expect_refusal(&prefix, true, "a prefix stands in every layer");
    wish = llama_adapter;
    wish.inputs[0].i = 3;
    expect_refusal(&wish, false, "adapter_layers: 3; the model has 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefix),        cmocka_unit_test(test_prompt),
        cmocka_unit_test(test_bottleneck),    cmocka_unit_test(test_others),
        cmocka_unit_test(test_checkpointing), cmocka_unit_test(test_generation),
        cmocka_unit_test(test_stacks),        cmocka_unit_test(test_prompt_init),
        cmocka_unit_test(test_prefix_text),   cmocka_unit_test(test_refusals),
    };
    setenv("GRAFT_PLUGIN_PATH", GRAFT_BUILD_DIR "/lib/graft/plugins", 1);
    return TEST_MAIN(tests);
}

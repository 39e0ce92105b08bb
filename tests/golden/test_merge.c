/* SPDX-License-Identifier: Apache-2.0
 *
 * Merging: the written model, opened again without adapters, gives the logits that transformers and
 * PEFT give with them, from folders and from GGUF; every method that says it can be merged does;
 * what cannot be is refused in one line and leaves nothing. The plugins are the build's own.
 */
#include "unit/test.h"

#include "unit/test_model.h"

#include "adapt/merge.h"
#include "base/json.h"
#include "base/memory.h"
#include "file/atomic.h"
#include "file/gguf.h"
#include "file/paths.h"
#include "file/safetensors.h"
#include "model/save.h"
#include "session/session.h"

#include <graft/adapter.h>

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define Q8 GRAFT_TEST_DIR "/unit/data/llama-q8_0.gguf"

enum { TOKENS = 18, MOST_VOCAB = 128, MOST = 4 };

/* ---- a model with adapters, and its logits ---- */

struct rig {
    struct arena arena;
    struct settings_adapter adapters[MOST];
    const char *folders[MOST]; /* NULL: random numbers */
    size_t count;
    struct session *session;
    float logits[TOKENS * MOST_VOCAB];
    int64_t vocab;
};

static const int32_t *token_ids; /* [TOKENS] of the case */

static void adapter_from(struct rig *r, const char *folder)
{
    struct error e = {0};
    r->folders[r->count] = folder;
    assert_ok(adapt_read_config(folder, &r->arena, &r->adapters[r->count++], &e), &e);
}

static void load_numbers(struct rig *r)
{
    struct error e = {0};
    struct session *s = r->session;
    uint32_t draw = 1;
    if (r->count == 0) return;
    if (r->folders[0] != NULL) {
        assert_ok(session_load_adapters(s, r->folders, &e), &e);
        return;
    }
    for (const struct stored *p = store_first(s->store, STORE_ADAPTER); p != NULL; p = p->next) {
        float *values = malloc(p->bytes);
        assert_non_null(values);
        for (size_t i = 0; i < p->bytes / sizeof *values; i++) {
            draw = draw * 1664525U + 1013904223U;
            values[i] = ((float)(draw >> 8) * 0x1p-24F - 0.5F) * 0.5F;
        }
        assert_ok(stored_write(p, s->backend, values, p->bytes, &e), &e);
        free(values);
    }
}

static void write_inputs(const struct rig *r, const struct input_entries *in)
{
    struct error e = {0};
    struct stored *entries[4] = {in->tokens, in->positions, in->first, in->last};
    for (int i = 0; i < 4; i++) {
        int32_t values[TOKENS];
        for (int32_t t = 0; t < TOKENS; t++) values[t] = i == 0 ? token_ids[t] : i == 2 ? 0 : t;
        assert_ok(stored_write(entries[i], r->session->backend, values, sizeof values, &e), &e);
    }
}

static void rig_open(struct rig *r, const char *model, const char *quantize)
{
    struct error e = {0};
    struct device_request device = {.name = "cpu", .base_dir = ".", .threads = 2};
    struct adapt_mode mode = {.training = false};
    struct session_request request = {.model = model,
                                      .quantize = quantize,
                                      .adapters = r->adapters,
                                      .adapter_count = r->count,
                                      .from_files = r->folders[0] != NULL,
                                      .no_text = true};
    struct model_wrap wrap = {0};
    struct graph *graph = NULL;
    struct plan *plan = NULL;
    struct program *program = NULL;
    assert_ok(session_open(&request, &r->session, &e), &e);
    struct session *s = r->session;
    r->vocab = model_config(s->model)->vocab;
    assert_true(r->vocab <= MOST_VOCAB);
    struct input_entries entries = input_entries(s->store, TOKENS);
    assert_ok(graph_create(&graph, &e), &e);
    struct model_inputs in = input_values(graph, &entries);
    if (s->adapt != NULL) wrap = adapt_begin(s->adapt, graph, &mode);
    graft_value hidden = model_hidden(s->model, graph, &in, &wrap, NULL);
    graft_value logits = model_logits(s->model, graph, hidden, &wrap);
    if (s->adapt != NULL) adapt_end(s->adapt);
    graph_keep(graph, logits);
    graph_prune(graph);
    assert_ok(graph_status(graph, &e), &e);
    assert_ok(session_plan(s, graph, &plan, &e), &e);
    assert_ok(session_start(s, &device, &e), &e);
    assert_ok(session_compile(s, plan, &program, &e), &e);
    load_numbers(r);
    write_inputs(r, &entries);
    const int64_t live[GRAFT_ROWS_KINDS] = {0, TOKENS, 0};
    assert_ok(program_run(program, live, &e), &e);
    uint64_t bytes = (uint64_t)(TOKENS * r->vocab) * sizeof *r->logits;
    assert_ok(program_read(program, logits, r->logits, bytes, &e), &e);
    program_destroy(program);
    plan_destroy(plan);
    graph_destroy(graph);
}

static void rig_close(struct rig *r)
{
    session_close(r->session);
    for (size_t i = 0; i < r->count; i++) option_values_destroy(r->adapters[i].options);
    arena_free(&r->arena);
}

/* ---- merged ---- */

struct output {
    char root[64], folder[96], model[128]; /* model: what to open */
};

static void output_make(struct output *o)
{
    snprintf(o->root, sizeof o->root, "/tmp/graft-merge-XXXXXX");
    assert_non_null(mkdtemp(o->root));
    snprintf(o->folder, sizeof o->folder, "%s/merged", o->root);
}

static void output_remove(const struct output *o)
{
    static const char *const names[] = {"merged/model.safetensors", "merged/config.json",
                                        "merged/model.gguf", "merged/trace.json"};
    struct error e = {0};
    assert_ok(folder_remove(o->root, names, 4, &e), &e);
}

static enum graft_status merge(struct rig *r, int32_t dtype, struct output *o, struct error *e)
{
    struct folder *folder = NULL;
    struct session *s = r->session;
    struct merge_request request = {.adapt = s->adapt, .backend = s->backend, .dtype = dtype};
    bool gguf = weights_kind(model_weights(s->model)) == WEIGHTS_GGUF;
    snprintf(o->model, sizeof o->model, "%s%s", o->folder, gguf ? "/model.gguf" : "");
    enum graft_status status = adapt_check_merge(s->adapt, e);
    if (status != GRAFT_OK) return status;
    assert_ok(folder_begin(o->folder, &folder, e), e);
    status = adapt_merge(&request, folder_path(folder), e);
    if (status != GRAFT_OK)
        folder_abort(folder);
    else
        assert_ok(folder_commit(folder, e), e);
    return status;
}

static double difference(const float *a, const float *b, int64_t count)
{
    double worst = 0.0;
    for (int64_t i = 0; i < count; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= worst)) worst = d;
    }
    return worst;
}

/* What may be rounding: W x + B A x and (W + B A) x round in other places, by shares of what they
 * sum up to. */
static double rounding(const float *logits, int64_t count)
{
    double largest = 0.0;
    for (int64_t i = 0; i < count; i++) largest = fmax(largest, fabs((double)logits[i]));
    return 4e-6 * largest;
}

static void compare(const struct rig *r, const char *name, const struct output *o)
{
    struct rig merged = {0};
    int64_t count = TOKENS * r->vocab;
    rig_open(&merged, o->model, "keep");
    double worst = difference(r->logits, merged.logits, count), most = rounding(r->logits, count);
    print_message("  %s: %.1e of at most %.1e\n", name, worst, most);
    if (!(worst <= most)) fail_msg("%s: merged logits differ by %g", name, worst);
    rig_close(&merged);
}

/* f32 merging, and the merged model against the unmerged one; it stays on disk. */
static void check_same(struct rig *r, const char *name, struct output *o)
{
    struct error e = {0};
    output_make(o);
    assert_ok(merge(r, GRAFT_DTYPE_F32, o, &e), &e);
    compare(r, name, o);
}

/* ---- the golden cases ---- */

static void check_case(const char *name, const char *file)
{
    struct error e = {0};
    char path[512], adapter[512], model[512];
    struct safetensors *trace = NULL;
    struct output o;
    struct rig r = {0}, bare = {0}, again = {0};
    snprintf(path, sizeof path, GOLDEN "%s/trace.safetensors", name);
    snprintf(adapter, sizeof adapter, GOLDEN "%s/adapter", name);
    snprintf(model, sizeof model, GOLDEN "%s%s", name, file);
    assert_ok(safetensors_open(path, &trace, &e), &e);
    token_ids = safetensors_find(trace, "tokens")->data;
    const float *expected = safetensors_find(trace, "logits")->data;
    adapter_from(&r, adapter);
    rig_open(&r, model, "keep");
    check_same(&r, name, &o);
    rig_open(&again, o.model, "keep");
    rig_open(&bare, model, "keep");
    int64_t count = TOKENS * r.vocab;
    assert_true(difference(again.logits, expected, count) <= 1e-5);
    assert_true(difference(bare.logits, expected, count) > 1e-2); /* the adapter does something */
    rig_close(&bare);
    rig_close(&again);
    rig_close(&r);
    output_remove(&o);
    safetensors_close(trace);
}

static void test_golden(void **state)
{
    (void)state;
    check_case("llama", "");
    check_case("llama", "/model.gguf");
    check_case("qwen2", "");
    check_case("qwen2", "/model.gguf");
    check_case("llama3", "");
    check_case("llama3", "/model.gguf");
    check_case("mistral", "");
}

static const int32_t some_ids[TOKENS] = {5,  9,  4, 17, 30, 22, 8, 11, 40,
                                         41, 13, 3, 6,  25, 7,  7, 19, 33};

static void test_stack(void **state)
{
    static const char *const models[2] = {GOLDEN "llama", GOLDEN "llama/model.gguf"};
    (void)state;
    token_ids = some_ids;
    for (int i = 0; i < 2; i++) {
        struct output o;
        struct rig r = {0};
        adapter_from(&r, GOLDEN "llama/adapter");
        adapter_from(&r, GOLDEN "llama_rslora/adapter");
        rig_open(&r, models[i], "keep");
        check_same(&r, "two LoRAs", &o);
        output_remove(&o);
        rig_close(&r);
    }
}

/* `file`: of the base, "" or a GGUF in it. True: merged. What is refused must say that a method
 * cannot be merged, or a new bias. */
static bool check_method(const char *name, const char *folder, const char *file)
{
    struct error e = {0};
    char path[640], model[512];
    struct output o;
    struct rig r = {0};
    json_t *json = NULL;
    snprintf(path, sizeof path, "%s/trace.json", folder);
    assert_ok(json_read_file(path, 1 << 16, &json, &e), &e);
    snprintf(model, sizeof model, GOLDEN "%s%s", json_string_value(json_object_get(json, "base")),
             file);
    json_decref(json);
    adapter_from(&r, folder);
    rig_open(&r, model, "keep");
    output_make(&o);
    bool done = merge(&r, GRAFT_DTYPE_F32, &o, &e) == GRAFT_OK;
    if (done)
        compare(&r, name, &o);
    else if (strstr(e.text, "cannot be merged") == NULL)
        fail_msg("%s", e.text);
    else
        print_message("  %s: %s\n", name, e.text);
    output_remove(&o);
    rig_close(&r);
    return done;
}

static void test_methods(void **state)
{
    DIR *dir = opendir(GOLDEN "methods");
    struct dirent *entry;
    size_t merged = 0;
    (void)state;
    token_ids = some_ids;
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        char folder[512];
        snprintf(folder, sizeof folder, GOLDEN "methods/%.200s", entry->d_name);
        if (entry->d_name[0] != '.') merged += check_method(entry->d_name, folder, "");
    }
    closedir(dir);
    assert_true(merged > 0);
}

/* Whole modules: the head or the table of a tied model, norms, a projection and its bias; biases.
 */
static void test_own_numbers(void **state)
{
    static const char *const names[] = {"save_head", "save_embedding", "save_norms", "save_ia3",
                                        "bias_all"};
    (void)state;
    token_ids = some_ids;
    for (size_t i = 0; i < 5; i++) {
        char folder[512];
        snprintf(folder, sizeof folder, GOLDEN "methods/%s", names[i]);
        assert_true(check_method(names[i], folder, ""));
        assert_true(check_method(names[i], folder, "/model.gguf"));
    }
}

/* ---- types, and what is left alone ---- */

static void same_tensor(const struct weights *a, const struct weights *b, const char *name)
{
    const struct tensor_view *x = weights_find(a, name), *y = weights_find(b, name);
    assert_non_null(x);
    assert_non_null(y);
    assert_int_equal(x->dtype, y->dtype);
    assert_int_equal(x->bytes, y->bytes);
    assert_memory_equal(x->data, y->data, x->bytes);
}

static void expect_dtype(const struct weights *w, const char *name, int32_t dtype)
{
    const struct tensor_view *view = weights_find(w, name);
    assert_non_null(view);
    assert_int_equal(view->dtype, dtype);
}

static void test_quantized_gguf(void **state)
{
    struct error e = {0};
    struct output o;
    struct rig r = {0};
    struct weights *merged = NULL;
    (void)state;
    token_ids = some_ids;
    adapter_from(&r, GOLDEN "llama/adapter");
    rig_open(&r, Q8, "keep");
    check_same(&r, "Q8_0", &o);
    output_remove(&o);
    output_make(&o);
    assert_ok(merge(&r, SAVE_DTYPE_AUTO, &o, &e), &e);
    assert_ok(weights_open(o.model, &merged, &e), &e);
    const struct weights *base = model_weights(r.session->model);
    struct gguf_metadata a = gguf_metadata(weights_gguf(base)),
                         b = gguf_metadata(weights_gguf(merged));
    assert_int_equal(a.count, b.count);
    assert_int_equal(a.length, b.length);
    assert_memory_equal(a.bytes, b.bytes, a.length);
    assert_int_equal(weights_count(base), weights_count(merged));
    expect_dtype(merged, "blk.1.attn_q.weight", GRAFT_DTYPE_F16);
    expect_dtype(merged, "blk.0.attn_v.weight", GRAFT_DTYPE_F16);
    expect_dtype(merged, "blk.0.attn_k.weight", GRAFT_DTYPE_Q8_0);
    for (size_t i = 0; i < weights_count(base); i++) {
        const char *name = weights_tensor(base, i)->name;
        if (strstr(name, "attn_q") == NULL && strstr(name, "attn_v") == NULL)
            same_tensor(base, merged, name);
    }
    weights_close(merged);
    output_remove(&o);
    rig_close(&r);
}

/* Quantized on load: all linear layers become the numbers that the adapter was trained with. */
static void test_nf4(void **state)
{
    static const char *const models[2] = {GOLDEN "llama", GOLDEN "llama/model.gguf"};
    (void)state;
    token_ids = some_ids;
    for (int i = 0; i < 2; i++) {
        struct error e = {0};
        struct output o;
        struct rig r = {0};
        struct weights *merged = NULL;
        adapter_from(&r, GOLDEN "llama/adapter");
        rig_open(&r, models[i], "nf4");
        check_same(&r, "NF4 on load", &o);
        output_remove(&o);
        output_make(&o);
        assert_ok(merge(&r, SAVE_DTYPE_AUTO, &o, &e), &e);
        assert_ok(weights_open(o.model, &merged, &e), &e);
        if (i == 0) {
            json_t *config = NULL;
            char path[160];
            snprintf(path, sizeof path, "%s/config.json", o.folder);
            assert_ok(json_read_file(path, 1 << 16, &config, &e), &e);
            assert_string_equal(json_string_value(json_object_get(config, "torch_dtype")),
                                "bfloat16");
            json_decref(config);
            expect_dtype(merged, "model.layers.0.mlp.up_proj.weight", GRAFT_DTYPE_BF16);
            expect_dtype(merged, "model.layers.0.self_attn.q_proj.weight", GRAFT_DTYPE_BF16);
            same_tensor(model_weights(r.session->model), merged, "model.embed_tokens.weight");
        } else {
            expect_dtype(merged, "blk.0.ffn_up.weight", GRAFT_DTYPE_F16);
        }
        weights_close(merged);
        output_remove(&o);
        rig_close(&r);
    }
}

static void test_tied_head(void **state)
{
    static const char *const models[2] = {GOLDEN "llama", GOLDEN "llama/model.gguf"};
    static const char *const table[2] = {"model.embed_tokens.weight", "token_embd.weight"};
    const char *targets[2] = {"lm_head", "k_proj"};
    (void)state;
    token_ids = some_ids;
    for (int i = 0; i < 2; i++) {
        struct error e = {0};
        struct output o;
        struct rig r = {0};
        struct store *store = NULL;
        struct model *model = NULL;
        adapter_from(&r, GOLDEN "llama/adapter");
        r.folders[0] = NULL;
        r.adapters[0].target_modules = (struct targets){.names = {targets, 2}};
        rig_open(&r, models[i], "keep");
        check_same(&r, "head of a tied model", &o);
        assert_ok(store_create(&store, &e), &e);
        assert_ok(model_open(o.model, NULL, store, &model, &e), &e);
        assert_false(model_config(model)->tied);
        same_tensor(model_weights(r.session->model), model_weights(model), table[i]);
        model_close(model);
        store_destroy(store);
        output_remove(&o);
        rig_close(&r);
    }
}

/* ---- refusals ---- */

static graft_value bends(struct graft_builder *b, const void *options,
                         const struct graft_linear_site *s, graft_value x)
{
    (void)options;
    graft_value w =
        graft_param(b, &s->site, "w", graft_shape1(s->out_features), GRAFT_INIT_ONES, 0);
    return graft_mul(b, graft_unary(b, GRAFT_OP_TANH, graft_base(b, s, x)), w);
}

static graft_value shifts(struct graft_builder *b, const void *options,
                          const struct graft_linear_site *s, graft_value x)
{
    (void)options;
    graft_value w =
        graft_param(b, &s->site, "w", graft_shape1(s->out_features), GRAFT_INIT_ONES, 0);
    return graft_add(b, graft_base(b, s, x), w);
}

static graft_value grows(struct graft_builder *b, const void *options,
                         const struct graft_linear_site *s, graft_value x)
{
    (void)options;
    graft_value w =
        graft_param(b, &s->site, "w", graft_shape1(s->out_features), GRAFT_INIT_ONES, 0);
    return graft_scale(b, graft_mul(b, graft_base(b, s, x), w), 1e7);
}

static graft_value on_norm(struct graft_builder *b, const void *options,
                           const struct graft_norm_site *s, graft_value x)
{
    (void)options;
    graft_value w = graft_param(b, &s->site, "w", graft_shape1(s->size), GRAFT_INIT_ONES, 0);
    return graft_mul(b, graft_base_norm(b, s, x), w);
}

static void check_refused(struct graft_adapter functions, int32_t dtype, const char *expected)
{
    struct error e = {0};
    struct output o;
    struct rig r = {0};
    functions.struct_size = sizeof functions;
    struct plugin plugin = {.kind = GRAFT_PLUGIN_ADAPTER, .name = "odd", .functions = &functions};
    struct option_request options = {.plugin = &plugin, .path = "adapter", .place = "the test"};
    r.adapters[0] = (struct settings_adapter){.method = "odd", .plugin = &plugin};
    assert_ok(option_values_create(&options, &r.adapters[0].options, &e), &e);
    r.count = 1;
    rig_open(&r, GOLDEN "llama", "keep");
    output_make(&o);
    assert_int_equal(merge(&r, dtype, &o, &e), GRAFT_E_INVALID);
    if (strstr(e.text, expected) == NULL)
        fail_msg("\n  found    %s\n  expected %s", e.text, expected);
    assert_null(strchr(e.text, '\n'));
    assert_int_equal(rmdir(o.root), 0); /* nothing is left in it */
    rig_close(&r);
}

static void test_refusals(void **state)
{
    (void)state;
    token_ids = some_ids;
    check_refused((struct graft_adapter){.default_targets = "q_proj", .linear = shifts},
                  SAVE_DTYPE_AUTO,
                  "adapter: odd cannot be merged: its plugin does not say that layers stay linear");
    check_refused((struct graft_adapter){.norm = on_norm}, SAVE_DTYPE_AUTO,
                  "adapter: odd cannot be merged: it acts on norms, and only");
    check_refused(
        (struct graft_adapter){.mergeable = 1, .default_targets = "q_proj", .linear = bends},
        SAVE_DTYPE_AUTO, "the adapter is not affine at model.layers.0.self_attn.q_proj");
    check_refused(
        (struct graft_adapter){.mergeable = 1, .default_targets = "o_proj", .linear = shifts},
        SAVE_DTYPE_AUTO, "the adapter adds a bias at model.layers.0.self_attn.o_proj");
    check_refused(
        (struct graft_adapter){.mergeable = 1, .default_targets = "o_proj", .linear = grows},
        GRAFT_DTYPE_F16, "does not fit into f16; write it with --dtype bf16");
}

/* A bias that is there is written anew. */
static void test_bias(void **state)
{
    static const char *const models[3] = {GOLDEN "qwen2", GOLDEN "qwen2/model.gguf",
                                          GOLDEN "llama3/model.gguf"};
    (void)state;
    token_ids = some_ids;
    for (int i = 0; i < 3; i++) {
        struct error e = {0};
        struct output o;
        struct rig r = {0};
        struct graft_adapter functions = {.struct_size = sizeof functions,
                                          .mergeable = 1,
                                          .default_targets = "q_proj v_proj",
                                          .linear = shifts};
        struct plugin plugin = {
            .kind = GRAFT_PLUGIN_ADAPTER, .name = "odd", .functions = &functions};
        struct option_request options = {.plugin = &plugin, .path = "adapter", .place = "the test"};
        r.adapters[0] = (struct settings_adapter){.method = "odd", .plugin = &plugin};
        assert_ok(option_values_create(&options, &r.adapters[0].options, &e), &e);
        r.count = 1;
        rig_open(&r, models[i], "keep");
        check_same(&r, "a bias that is there", &o);
        output_remove(&o);
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),         cmocka_unit_test(test_stack),
        cmocka_unit_test(test_methods),        cmocka_unit_test(test_own_numbers),
        cmocka_unit_test(test_quantized_gguf), cmocka_unit_test(test_nf4),
        cmocka_unit_test(test_tied_head),      cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_bias),
    };
    return TEST_MAIN(tests);
}

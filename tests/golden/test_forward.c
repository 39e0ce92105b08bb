/* SPDX-License-Identifier: Apache-2.0
 *
 * Logits of the golden models with their initial adapter against transformers and PEFT, through
 * the reference in double: packed, with the fused loss, with caches, and from the GGUF twins. LoRA
 * is written out by hand here, so that only the model is tested.
 */
#include "unit/test.h"

#include "unit/test_model.h"

#include "base/json.h"
#include "base/memory.h"
#include "file/safetensors.h"

#include <math.h>
#include <stdio.h>

/* The traces are f32; trace.json says that they are within 3e-6 of f64. */
#define BUDGET 1e-5
enum { DEAD = 3 }; /* rows of the program's capacity that no run uses */

struct golden {
    const char *name;
    struct safetensors *trace, *adapter;
    const float *logits;   /* [tokens, vocab] */
    const int32_t *tokens; /* of row 0 */
    int64_t count, vocab;
    double scale; /* alpha / r */
};

static void golden_open(struct golden *g, const char *name)
{
    struct error e = {0};
    char path[512];
    json_t *config = NULL;
    memset(g, 0, sizeof *g);
    g->name = name;
    snprintf(path, sizeof path, GOLDEN "%s/trace.safetensors", name);
    assert_ok(safetensors_open(path, &g->trace, &e), &e);
    snprintf(path, sizeof path, GOLDEN "%s/adapter/adapter_model.safetensors", name);
    assert_ok(safetensors_open(path, &g->adapter, &e), &e);
    snprintf(path, sizeof path, GOLDEN "%s/adapter/adapter_config.json", name);
    assert_ok(json_read_file(path, 1 << 20, &config, &e), &e);
    g->scale = json_number_value(json_object_get(config, "lora_alpha")) /
               json_number_value(json_object_get(config, "r"));
    json_decref(config);
    const struct tensor_view *logits = safetensors_find(g->trace, "logits");
    assert_non_null(logits);
    g->logits = logits->data;
    g->count = logits->shape.dim[0];
    g->vocab = logits->shape.dim[1];
    g->tokens = safetensors_find(g->trace, "tokens")->data;
    assert_int_equal(*(const int32_t *)safetensors_find(g->trace, "row_lengths")->data, g->count);
}

static void golden_close(struct golden *g)
{
    safetensors_close(g->trace);
    safetensors_close(g->adapter);
}

/* ---- a LoRA by hand ---- */

struct lora {
    struct store *store;
    const struct safetensors *file;
    double scale;
    size_t wrapped;
};

static struct stored *entry(struct lora *l, const char *key)
{
    struct stored *s = store_find(l->store, STORE_ADAPTER, key);
    const struct tensor_view *view = safetensors_find(l->file, key);
    if (s != NULL || view == NULL) return s;
    return store_add(l->store, STORE_ADAPTER, key, GRAFT_DTYPE_F32, view->shape, GRAFT_ROWS_FIXED);
}

static graft_value wrap(void *context, struct graph *graph, const struct model_site *site,
                        graft_value x)
{
    struct lora *l = context;
    struct graft_builder *b = graph_builder(graph);
    char key[2][256];
    graft_value y = model_linear(graph, site, x);
    for (int i = 0; i < 2; i++)
        snprintf(key[i], sizeof key[i], "base_model.model.%s.lora_%c.weight", site->name, "AB"[i]);
    struct stored *A = entry(l, key[0]), *B = entry(l, key[1]);
    if (A == NULL) return y;
    l->wrapped++;
    graft_value low = graft_linear(b, x, graph_stored(graph, A));
    graft_value high = graft_linear(b, low, graph_stored(graph, B));
    return graft_add(b, y, graft_scale(b, high, l->scale));
}

static void write_adapter(const struct lora *l, const struct backend *backend)
{
    struct error e = {0};
    assert_ok(store_allocate(l->store, STORE_ADAPTER, backend, &e), &e);
    for (const struct stored *s = store_first(l->store, STORE_ADAPTER); s != NULL; s = s->next)
        assert_ok(stored_write(s, backend, safetensors_find(l->file, s->name)->data, s->bytes, &e),
                  &e);
}

/* ---- one model on one device ---- */

struct setup {
    struct machine machine;
    struct store *store;
    struct model *model;
    struct lora lora;
    struct model_wrap wrap;
    struct input_entries in;
};

static void setup_open(struct setup *s, const struct golden *g, const char *file)
{
    struct error e = {0};
    char path[512];
    size_t sites;
    memset(s, 0, sizeof *s);
    snprintf(path, sizeof path, GOLDEN "%s%s", g->name, file);
    machine_open(&s->machine, reference_backend(true));
    assert_ok(store_create(&s->store, &e), &e);
    assert_ok(model_open(path, NULL, s->store, &s->model, &e), &e);
    assert_ok(model_upload(s->model, &s->machine.backend, &e), &e);
    assert_int_equal(model_config(s->model)->vocab, g->vocab);
    assert_non_null(model_sites(s->model, &sites));
    s->lora = (struct lora){s->store, g->adapter, g->scale, 0};
    s->wrap = (struct model_wrap){.context = &s->lora, .linear = wrap};
    s->in = input_entries(s->store, g->count + DEAD);
}

static void setup_close(struct setup *s)
{
    model_close(s->model);
    store_destroy(s->store);
    machine_close(&s->machine);
}

/* Tokens from..to of row 0; keys lie where their tokens stand. */
static void write_inputs(const struct setup *s, const struct golden *g, int64_t from, int64_t to)
{
    struct error e = {0};
    struct stored *entries[6] = {s->in.tokens, s->in.positions,  s->in.first,
                                 s->in.last,   s->in.cache_rows, s->in.targets};
    for (int i = 0; i < 6; i++) {
        int32_t values[512];
        assert_true(to - from <= 512);
        for (int64_t t = from; t < to; t++) {
            int32_t target = t + 1 < g->count ? g->tokens[t + 1] : -1;
            int32_t at[6] = {g->tokens[t], (int32_t)t, 0, (int32_t)t, (int32_t)t, target};
            values[t - from] = at[i];
        }
        assert_ok(stored_write(entries[i], &s->machine.backend, values,
                               (uint64_t)(to - from) * sizeof *values, &e),
                  &e);
    }
}

static void run(struct setup *s, struct ready *r, const struct golden *g, int64_t from, int64_t to)
{
    struct error e = {0};
    int64_t live[GRAFT_ROWS_KINDS] = {0, to - from, 0};
    write_inputs(s, g, from, to);
    assert_ok(program_run(r->program, live, &e), &e);
}

static void read_values(struct ready *r, graft_value v, float *to, int64_t count)
{
    struct error e = {0};
    assert_ok(program_read(r->program, v, to, (uint64_t)count * sizeof *to, &e), &e);
}

static void compare(const char *what, const char *name, const float *a, const float *b,
                    int64_t count, double budget)
{
    double worst = 0.0;
    for (int64_t i = 0; i < count; i++) {
        double d = fabs((double)a[i] - b[i]);
        if (!(d <= worst)) worst = d;
    }
    print_message("  %s, %s: %.1e\n", name, what, worst);
    if (!(worst <= budget)) fail_msg("%s: %s differs by %g, at most %g", name, what, worst, budget);
}

/* ---- packed ---- */

static float nll_of(const float *logits, int64_t vocab, int32_t target)
{
    double sum = 0.0, most = logits[0];
    for (int64_t i = 1; i < vocab; i++) most = fmax(most, logits[i]);
    for (int64_t i = 0; i < vocab; i++) sum += exp(logits[i] - most);
    return (float)(log(sum) + most - logits[target]);
}

static void check_losses(const struct golden *g, const char *what, const float *nll)
{
    float expected[512];
    for (int64_t t = 0; t < g->count; t++)
        expected[t] =
            t + 1 < g->count ? nll_of(g->logits + t * g->vocab, g->vocab, g->tokens[t + 1]) : 0.0F;
    compare(what, g->name, nll, expected, g->count, BUDGET);
}

/* Logits and both losses in one program; the caller frees the logits. */
static float *check_packed(const struct golden *g, const char *file)
{
    struct error e = {0};
    struct setup s;
    struct graph *graph;
    struct ready ready;
    setup_open(&s, g, file);
    assert_ok(graph_create(&graph, &e), &e);
    struct model_inputs in = input_values(graph, &s.in);
    graft_value targets = graph_stored(graph, s.in.targets);
    graft_value hidden = model_hidden(s.model, graph, &in, &s.wrap, NULL);
    graft_value values[3] = {model_logits(s.model, graph, hidden, &s.wrap),
                             model_loss(s.model, graph, hidden, targets, &s.wrap, false),
                             model_loss(s.model, graph, hidden, targets, &s.wrap, true)};
    for (int i = 0; i < 3; i++) graph_keep(graph, values[i]);
    assert_int_equal(s.lora.wrapped, safetensors_count(g->adapter) / 2);
    assert_ok(store_allocate(s.store, STORE_INPUT, &s.machine.backend, &e), &e);
    write_adapter(&s.lora, &s.machine.backend);
    ready_make(&ready, graph, &s.machine);
    run(&s, &ready, g, 0, g->count);
    float *logits = malloc((size_t)(g->count * g->vocab) * sizeof *logits), nll[512];
    assert_non_null(logits);
    read_values(&ready, values[0], logits, g->count * g->vocab);
    compare(file[0] == '\0' ? "logits" : "logits of the GGUF", g->name, logits, g->logits,
            g->count * g->vocab, BUDGET);
    read_values(&ready, values[1], nll, g->count);
    check_losses(g, "fused loss", nll);
    read_values(&ready, values[2], nll, g->count);
    check_losses(g, "loss from logits", nll);
    ready_free(&ready, &s.machine);
    graph_destroy(graph);
    setup_close(&s);
    return logits;
}

/* ---- with caches ---- */

static void add_caches(struct setup *s, int64_t slots, struct model_cache *caches)
{
    const struct model_config *c = model_config(s->model);
    struct graft_shape shape = graft_shape2(slots, (int64_t)c->kv_heads * c->head_size);
    for (int64_t i = 0; i < c->layers; i++) {
        caches[i].keys =
            store_add(s->store, STORE_CACHE, "k", GRAFT_DTYPE_F32, shape, GRAFT_ROWS_FIXED);
        caches[i].values =
            store_add(s->store, STORE_CACHE, "v", GRAFT_DTYPE_F32, shape, GRAFT_ROWS_FIXED);
    }
}

/* A prompt, then three tokens at once, then one by one: as if all had come together. */
static void check_cached(const struct golden *g)
{
    struct error e = {0};
    struct setup s;
    struct graph *graph;
    struct ready ready;
    struct model_cache caches[8];
    setup_open(&s, g, "");
    add_caches(&s, g->count + 2, caches);
    assert_ok(graph_create(&graph, &e), &e);
    struct model_inputs in = input_values(graph, &s.in);
    graft_value hidden = model_hidden(s.model, graph, &in, &s.wrap, caches);
    graft_value logits = model_logits(s.model, graph, hidden, &s.wrap);
    graph_keep(graph, logits);
    assert_ok(store_allocate(s.store, STORE_INPUT, &s.machine.backend, &e), &e);
    assert_ok(store_allocate(s.store, STORE_CACHE, &s.machine.backend, &e), &e);
    write_adapter(&s.lora, &s.machine.backend);
    ready_make(&ready, graph, &s.machine);
    float *found = malloc((size_t)(g->count * g->vocab) * sizeof *found);
    assert_non_null(found);
    int64_t at = 0, piece = g->count / 2;
    while (at < g->count) {
        run(&s, &ready, g, at, at + piece);
        read_values(&ready, logits, found + at * g->vocab, piece * g->vocab);
        at += piece;
        piece = piece > 3 && at + 3 <= g->count ? 3 : 1;
    }
    compare("logits with caches", g->name, found, g->logits, g->count * g->vocab, BUDGET);
    free(found);
    ready_free(&ready, &s.machine);
    graph_destroy(graph);
    setup_close(&s);
}

/* ---- the cases ---- */

static void check_case(const char *name, bool has_gguf)
{
    struct golden g;
    golden_open(&g, name);
    float *logits = check_packed(&g, "");
    check_cached(&g);
    if (has_gguf) {
        /* GGUF's epsilon and divisors are f32: not bit-equal in double. */
        float *twin = check_packed(&g, "/model.gguf");
        compare("safetensors and GGUF", name, logits, twin, g.count * g.vocab, 1e-6);
        free(twin);
    }
    free(logits);
    golden_close(&g);
}

static void test_llama(void **state)
{
    (void)state;
    check_case("llama", true);
}

static void test_llama3(void **state)
{
    (void)state;
    check_case("llama3", true);
}

static void test_yarn(void **state)
{
    (void)state;
    check_case("yarn", false);
}

static void test_linear(void **state)
{
    (void)state;
    check_case("linear", false);
}

static void test_qwen2(void **state)
{
    (void)state;
    check_case("qwen2", true);
}

static void test_qwen3(void **state)
{
    (void)state;
    check_case("qwen3", false);
}

static void test_mistral(void **state)
{
    (void)state;
    check_case("mistral", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama),   cmocka_unit_test(test_llama3), cmocka_unit_test(test_yarn),
        cmocka_unit_test(test_linear),  cmocka_unit_test(test_qwen2),  cmocka_unit_test(test_qwen3),
        cmocka_unit_test(test_mistral),
    };
    return TEST_MAIN(tests);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Methods at sites without a library beside them: checkpointing, generation, stacks, initial values
 * from the model, refusals.
 */
#include "unit/test.h"

#include "golden/site_run.h"

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
        cmocka_unit_test(test_checkpointing), cmocka_unit_test(test_generation),
        cmocka_unit_test(test_stacks),        cmocka_unit_test(test_prompt_init),
        cmocka_unit_test(test_prefix_text),   cmocka_unit_test(test_refusals),
    };
    setenv("GRAFT_PLUGIN_PATH", GRAFT_BUILD_DIR "/lib/graft/plugins", 1);
    return TEST_MAIN(tests);
}

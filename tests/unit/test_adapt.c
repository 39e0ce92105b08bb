/* SPDX-License-Identifier: Apache-2.0
 *
 * What `bias` and `modules_to_save` may not ask for: one line each that begins with the key, found
 * before anything is uploaded. The plugins are the build's own.
 */
#include "unit/test.h"

#include "session/session.h"

#include <stdio.h>
#include <string.h>

#define GOLDEN GRAFT_SOURCE_DIR "/tests/golden/data/"

static struct settings_adapter adapter_of(const char *method, const char *const *targets,
                                          size_t count)
{
    struct error e = {0};
    struct settings_adapter a = {.method = method};
    struct option_request request = {.path = "adapter", .place = "the test"};
    assert_ok(plugin_load(GRAFT_PLUGIN_ADAPTER, method, ".", &a.plugin, &e), &e);
    request.plugin = a.plugin;
    assert_ok(option_values_create(&request, &a.options, &e), &e);
    a.target_modules.names = (struct names){(const char **)(uintptr_t)targets, count};
    return a;
}

/* Opens and closes; the message, or "". */
static const char *open_with(const char *model, const struct settings_adapter *adapters,
                             size_t count)
{
    static struct error e;
    struct session *s = NULL;
    char path[512];
    e = (struct error){0};
    snprintf(path, sizeof path, GOLDEN "%s", model);
    enum graft_status status = session_open(&(struct session_request){.model = path,
                                                                      .quantize = "keep",
                                                                      .adapters = adapters,
                                                                      .adapter_count = count,
                                                                      .no_text = true},
                                            &s, &e);
    session_close(s);
    if (status == GRAFT_OK) return "";
    assert_int_equal(status, GRAFT_E_INVALID);
    return e.text;
}

static const char *const q[] = {"q_proj"}, *const o[] = {"o_proj"};

static void expect(const char *model, const char *const *targets, int32_t bias,
                   const char *const *modules, size_t count, const char *text)
{
    struct settings_adapter a = adapter_of("lora", targets, 1);
    a.bias = bias;
    a.modules_to_save = (struct names){(const char **)(uintptr_t)modules, count};
    const char *found = open_with(model, &a, 1);
    if (*text == '\0' ? *found != '\0' : strstr(found, text) == NULL)
        fail_msg("found %s\nexpected %s", found, text);
    option_values_destroy(a.options);
}

static void test_modules(void **state)
{
    static const char *const head[] = {"lm_head"}, *const wrong[] = {"lm_hed"},
                             *const group[] = {"mlp"}, *const proj[] = {"proj"},
                             *const k[] = {"k_proj"}, *const own[] = {"q_proj"},
                             *const norm[] = {"norm"}, *const all[] = {"norm", "k_proj"};
    (void)state;
    expect("qwen2", q, ADAPTER_BIAS_NONE, head, 1, "");
    expect("qwen2", q, ADAPTER_BIAS_ONLY, all, 2, "");
    expect("qwen2", q, ADAPTER_BIAS_NONE, wrong, 1,
           "adapter: modules_to_save: \"lm_hed\" is no linear layer, norm or embedding of this "
           "model; it has q_proj, ");
    expect("qwen2", q, ADAPTER_BIAS_NONE, group, 1, "modules_to_save: \"mlp\" is no linear layer");
    expect("qwen2", q, ADAPTER_BIAS_NONE, proj, 1,
           "modules_to_save: a name in it ends model.layers.0.self_attn.q_proj, which the method "
           "acts on: write whole names");
    expect("qwen2", q, ADAPTER_BIAS_ALL, k, 1,
           "bias: all and modules_to_save both train the bias of model.layers.0.self_attn.k_proj");
    expect("qwen2", q, ADAPTER_BIAS_NONE, own, 1,
           "target_modules: \"q_proj\" matches no site of this method in this model that "
           "modules_to_save leaves");
    expect("qwen3", q, ADAPTER_BIAS_NONE, norm, 1, "means q_norm or k_norm, too");
}

static void test_biases(void **state)
{
    (void)state;
    expect("qwen2", q, ADAPTER_BIAS_ONLY, NULL, 0, "");
    expect("qwen2", o, ADAPTER_BIAS_ALL, NULL, 0, "");
    expect("qwen2", o, ADAPTER_BIAS_ONLY, NULL, 0,
           "adapter: bias: the targets of this qwen2 model have no bias: write none");
    expect("llama", q, ADAPTER_BIAS_ALL, NULL, 0, "bias: the layers of this llama model have no");
}

/* The model's own numbers are trained by the adapter that stands lowest there. */
static void test_stacks(void **state)
{
    struct settings_adapter a[2] = {adapter_of("lora", q, 1), adapter_of("lora", q, 1)};
    (void)state;
    a[0].bias = ADAPTER_BIAS_ONLY;
    assert_string_equal(open_with("qwen2", a, 2), "");
    a[1].bias = ADAPTER_BIAS_ONLY;
    assert_non_null(
        strstr(open_with("qwen2", a, 2),
               "adapter.1: bias and modules_to_save train the model's own numbers of "
               "model.layers.0.self_attn.q_proj, so the adapter must stand below lora"));
    option_values_destroy(a[0].options);
    option_values_destroy(a[1].options);
}

/* PEFT's own: (IA)3 has the keys in Llama and the queries in Qwen2. */
static void test_family(void **state)
{
    static const char *const models[2] = {GOLDEN "llama", GOLDEN "qwen2"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct error e = {0};
        struct session *s = NULL;
        struct settings_adapter a = adapter_of("ia3", NULL, 0);
        assert_ok(session_open(&(struct session_request){.model = models[i],
                                                         .quantize = "keep",
                                                         .adapters = &a,
                                                         .adapter_count = 1,
                                                         .no_text = true},
                               &s, &e),
                  &e);
        bool keys =
            store_find(s->store, STORE_ADAPTER, "model.layers.0.self_attn.k_proj.ia3_l") != NULL;
        bool queries =
            store_find(s->store, STORE_ADAPTER, "model.layers.0.self_attn.q_proj.ia3_l") != NULL;
        assert_int_equal(keys, i == 0);
        assert_int_equal(queries, i == 1);
        session_close(s);
        option_values_destroy(a.options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_modules),
                                       cmocka_unit_test(test_biases), cmocka_unit_test(test_stacks),
                                       cmocka_unit_test(test_family)};
    return TEST_MAIN(tests);
}

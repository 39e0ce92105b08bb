/* SPDX-License-Identifier: Apache-2.0
 *
 * Configurations: what config.json and GGUF metadata say, defaults of every family, and one clear
 * line for each mistake.
 */
#include "unit/test.h"

#include "unit/test_model.h"

#include "base/json.h"
#include "model/parts.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

/* ---- config.json ---- */

static const char base[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\","
    " \"hidden_size\": 32, \"intermediate_size\": 48, \"num_hidden_layers\": 4,"
    " \"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"vocab_size\": 64,"
    " \"max_position_embeddings\": 128, \"rms_norm_eps\": 1e-5}";

/* The base with the members of `changes` over it; null members are absent. */
static enum graft_status read_changed(const char *changes, struct arena *arena,
                                      struct model_config *c, struct error *e)
{
    json_t *root, *over;
    assert_ok(json_read_bytes(base, sizeof base - 1, &root, e), e);
    assert_ok(json_read_bytes(changes, strlen(changes), &over, e), e);
    assert_int_equal(json_object_update(root, over), 0);
    enum graft_status status = config_from_hf(root, arena, c, e);
    json_decref(root);
    json_decref(over);
    return status;
}

static struct model_config good(const char *changes, struct arena *arena)
{
    struct error e = {0};
    struct model_config c;
    assert_ok(read_changed(changes, arena, &c, &e), &e);
    return c;
}

#define MISTRAL "\"architectures\": [\"MistralForCausalLM\"], \"model_type\": \"mistral\""
#define QWEN2 "\"architectures\": [\"Qwen2ForCausalLM\"], \"model_type\": \"qwen2\""
#define QWEN3 "\"architectures\": [\"Qwen3ForCausalLM\"], \"model_type\": \"qwen3\""

static void test_llama(void **state)
{
    struct arena arena = {0};
    (void)state;
    struct model_config c = good("{}", &arena);
    assert_string_equal(c.family, "llama");
    assert_int_equal(c.layers, 4);
    assert_int_equal(c.intermediate, 48);
    assert_int_equal(c.kv_heads, 2);
    assert_int_equal(c.head_size, 8);
    assert_int_equal(c.rope.rotary, 8);
    assert_true(c.norm_eps == 1e-5 && c.rope.theta == 1e4 && c.rope.attention_factor == 1.0);
    assert_false(c.tied || c.qkv_bias || c.output_bias || c.mlp_bias || c.qk_norm);
    assert_true(c.window == 0 && c.slides == NULL && c.rope.scaling == ROPE_PLAIN);
    c = good("{\"num_key_value_heads\": null, \"rms_norm_eps\": null, \"head_dim\": 16,"
             " \"attention_bias\": true, \"tie_word_embeddings\": true, \"rope_theta\": 5e5,"
             " \"sliding_window\": 7}",
             &arena);
    assert_int_equal(c.kv_heads, 4);
    assert_int_equal(c.head_size, 16);
    assert_true(c.norm_eps == 1e-6 && c.rope.theta == 5e5);
    assert_true(c.tied && c.qkv_bias && c.output_bias && !c.mlp_bias);
    assert_int_equal(c.window, 0); /* no window in this family, whatever the file says */
    arena_free(&arena);
}

static void test_family_is_the_class(void **state)
{
    struct arena arena = {0};
    (void)state;
    struct model_config c = good("{\"model_type\": null, " /* the class alone */
                                 "\"architectures\": [\"Qwen3ForCausalLM\"]}",
                                 &arena);
    assert_string_equal(c.family, "qwen3");
    c = good("{\"architectures\": null, \"model_type\": \"mistral\"}", &arena);
    assert_string_equal(c.family, "mistral");
    arena_free(&arena);
}

static void check_slides(const char *changes, int32_t window, const char *pattern)
{
    struct arena arena = {0};
    struct model_config c = good(changes, &arena);
    assert_int_equal(c.window, window);
    if (pattern == NULL) assert_null(c.slides);
    for (int i = 0; pattern != NULL && i < 4; i++) assert_int_equal(c.slides[i], pattern[i] == '1');
    arena_free(&arena);
}

static void test_windows(void **state)
{
    (void)state;
    check_slides("{" MISTRAL "}", 4096, "1111"); /* the class's default */
    check_slides("{" MISTRAL ", \"sliding_window\": 6}", 6, "1111");
    check_slides("{" MISTRAL ", \"sliding_window\": null}", 0, NULL);
    check_slides("{" QWEN2 ", \"sliding_window\": 6, \"max_window_layers\": 0}", 0, NULL);
    check_slides("{" QWEN2 ", \"use_sliding_window\": true, \"sliding_window\": 6,"
                 " \"max_window_layers\": 1}",
                 6, "0111");
    check_slides("{" QWEN2 ", \"use_sliding_window\": true}", 4096, "0000"); /* from 28 on */
    check_slides("{" QWEN3 ", \"use_sliding_window\": true, \"sliding_window\": 5,"
                 " \"max_window_layers\": 0, \"layer_types\": [\"sliding_attention\","
                 " \"full_attention\", \"full_attention\", \"sliding_attention\"]}",
                 5, "1001");
}

static void test_qwen(void **state)
{
    struct arena arena = {0};
    (void)state;
    struct model_config c = good("{" QWEN2 ", \"attention_bias\": false}", &arena);
    assert_true(c.qkv_bias && !c.output_bias && !c.qk_norm);
    c = good("{" QWEN3 "}", &arena);
    assert_true(!c.qkv_bias && c.qk_norm && c.head_size == 128);
    arena_free(&arena);
}

static void test_scalings(void **state)
{
    struct arena arena = {0};
    (void)state;
    struct model_config c =
        good("{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}}", &arena);
    assert_true(c.rope.scaling == ROPE_LINEAR && c.rope.factor == 2.0);
    c = good("{\"rope_theta\": 7, \"rope_parameters\": {\"rope_type\": \"llama3\", \"factor\": 8,"
             " \"rope_theta\": 500, \"low_freq_factor\": 1, \"high_freq_factor\": 4,"
             " \"original_max_position_embeddings\": 32, \"partial_rotary_factor\": 0.5}}",
             &arena);
    assert_true(c.rope.scaling == ROPE_LLAMA3 && c.rope.theta == 500.0 && c.rope.rotary == 4);
    c = good("{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": null,"
             " \"original_max_position_embeddings\": 32}}",
             &arena);
    assert_true(c.rope.scaling == ROPE_YARN && c.rope.factor == 4.0 && c.rope.truncate);
    assert_true(fabs(c.rope.attention_factor - 1.1386294361119891) < 1e-15); /* 0.1 ln 4 + 1 */
    c = good("{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4, \"mscale\": 2,"
             " \"mscale_all_dim\": 1, \"original_max_position_embeddings\": 32}}",
             &arena);
    assert_true(fabs(c.rope.attention_factor - 1.2772588722239781 / 1.1386294361119891) < 1e-15);
    c = good("{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4,"
             " \"attention_factor\": 0.5, \"truncate\": false}}",
             &arena);
    assert_true(c.rope.attention_factor == 0.5 && !c.rope.truncate);
    assert_int_equal(c.rope.original_context, 128);
    arena_free(&arena);
}

static void test_frequencies(void **state)
{
    struct arena arena = {0};
    float f[8];
    (void)state;
    struct model_config c = good("{\"head_dim\": 16, \"rope_theta\": 10000}", &arena);
    rope_frequencies(&c, f);
    assert_true(f[0] == 1.0F && f[4] == 0.01F);
    c = good("{\"head_dim\": 16, \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 4}}",
             &arena);
    rope_frequencies(&c, f);
    assert_true(f[0] == 0.25F && f[4] == 0.0025F);
    arena_free(&arena);
}

/* By transformers 5's modeling_rope_utils, head_dim 16. */
static const struct {
    const char *rope;
    float f[8];
} scaled[] = {
    {"\"rope_type\": \"yarn\", \"factor\": 8, \"original_max_position_embeddings\": 64,"
     " \"beta_fast\": 4, \"rope_theta\": 10000",
     {1.0F, 0.223994657F, 0.0416666642F, 0.00395284733F, 0.00124999997F, 0.000395284733F,
      0.000125000006F, 3.95284733e-05F}},
    {"\"rope_type\": \"yarn\", \"factor\": 8, \"original_max_position_embeddings\": 64,"
     " \"beta_fast\": 4, \"truncate\": false, \"rope_theta\": 10000",
     {1.0F, 0.272999018F, 0.0136626968F, 0.00395284733F, 0.00124999997F, 0.000395284733F,
      0.000125000006F, 3.95284733e-05F}},
    {"\"rope_type\": \"yarn\", \"factor\": 8, \"original_max_position_embeddings\": 8,"
     " \"beta_slow\": 4, \"rope_theta\": 10000",
     {1.0F, 0.0395284705F, 0.0125000002F, 0.00395284733F, 0.00124999997F, 0.000395284733F,
      0.000125000006F, 3.95284733e-05F}},
    {"\"rope_type\": \"llama3\", \"factor\": 8, \"original_max_position_embeddings\": 64,"
     " \"low_freq_factor\": 1, \"high_freq_factor\": 4, \"rope_theta\": 500",
     {1.0F, 0.459863275F, 0.0976166278F, 0.0121561559F, 0.00559017016F, 0.0025707141F,
      0.00118217699F, 0.000543639821F}},
};

static void test_scaled_frequencies(void **state)
{
    struct arena arena = {0};
    (void)state;
    for (size_t i = 0; i < sizeof scaled / sizeof scaled[0]; i++) {
        char changes[512];
        float f[8];
        snprintf(changes, sizeof changes,
                 "{\"head_dim\": 16, \"max_position_embeddings\": 512,"
                 " \"rope_parameters\": {%s}}",
                 scaled[i].rope);
        struct model_config c = good(changes, &arena);
        rope_frequencies(&c, f);
        for (int k = 0; k < 8; k++)
            assert_true(fabsf(f[k] - scaled[i].f[k]) <= 2e-6F * scaled[i].f[k]);
    }
    arena_free(&arena);
}

static const struct {
    const char *changes, *text;
} mistakes[] = {
    {"{\"architectures\": [\"MambaForCausalLM\"], \"model_type\": \"mamba\"}",
     "model_type is mamba (MambaForCausalLM); graft knows llama, mistral, qwen2, qwen3"},
    {"{\"architectures\": null, \"model_type\": null}",
     "names no model_type; graft knows llama, mistral, qwen2, qwen3"},
    {"{\"hidden_size\": null}",
     "hidden_size is missing; it must be a whole number from 1 to 2147483647"},
    {"{\"hidden_size\": \"32\"}",
     "hidden_size is \"32\"; it must be a whole number from 1 to 2147483647"},
    {"{\"num_hidden_layers\": 0}",
     "num_hidden_layers is 0; it must be a whole number from 1 to 4096"},
    {"{\"num_hidden_layers\": 4.5}",
     "num_hidden_layers is 4.5; it must be a whole number from 1 to 4096"},
    {"{\"num_attention_heads\": 5}",
     "num_attention_heads is 5; it must be a divisor of hidden_size where head_dim is missing"},
    {"{\"num_key_value_heads\": 3}", "4 heads cannot share 3 key/value heads: the first must be a "
                                     "multiple of the second"},
    {"{\"head_dim\": 7}",
     "RoPE turns 7 dimensions of a head of 7; it must be an even number of them"},
    {"{\"rms_norm_eps\": -1}", "rms_norm_eps is -1; it must be a number above 0"},
    {"{\"attention_bias\": 1}", "attention_bias is 1; it must be true or false"},
    {"{\"hidden_act\": \"gelu\"}", "hidden_act is \"gelu\"; it must be \"silu\" in this family"},
    {"{\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2}}",
     "rope_scaling.type is \"dynamic\"; it must be default, linear, llama3 or yarn, which graft "
     "knows"},
    {"{\"rope_parameters\": {\"rope_type\": \"longrope\"}}",
     "rope_parameters.rope_type is \"longrope\"; it must be default, linear, llama3 or yarn, which "
     "graft knows"},
    {"{\"rope_scaling\": {\"rope_type\": \"linear\"}}",
     "rope_scaling.factor is missing; it must be a number above 0"},
    {"{\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4,"
     " \"high_freq_factor\": 1}}",
     "rope_scaling.high_freq_factor is 1; it must be above low_freq_factor"},
    {"{\"rope_scaling\": \"linear\"}", "rope_scaling is \"linear\"; it must be an object or null"},
    {"{\"rope_parameters\": {\"full_attention\": {}, \"sliding_attention\": {}}}",
     "rope_parameters holds one RoPE per layer type, which no family that graft knows has"},
    {"{" QWEN2 ", \"use_sliding_window\": true, \"layer_types\": [\"full_attention\"]}",
     "layer_types is [\"full_attention\"]; it must be a list with one entry per layer"},
    {"{" QWEN2 ", \"use_sliding_window\": true, \"layer_types\": [\"a\",\"b\",\"c\",\"d\"]}",
     "layer_types is [\"a\",\"b\",\"c\",\"d\"]; it must be a list of \"full_attention\" and "
     "\"sliding_attention\""},
    {"{" MISTRAL ", \"sliding_window\": 0}",
     "sliding_window is 0; it must be a whole number from 1 to 2147483647"},
};

static void test_mistakes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        struct arena arena = {0};
        struct error e = {0};
        struct model_config c = {.layers = 77};
        assert_int_not_equal(read_changed(mistakes[i].changes, &arena, &c, &e), GRAFT_OK);
        assert_string_equal(e.text, mistakes[i].text);
        assert_int_equal(c.layers, 77); /* untouched */
        arena_free(&arena);
    }
}

/* ---- GGUF metadata ---- */

struct pair {
    const char *key;
    const char *text; /* a string; NULL: a number */
    double number;
    char type; /* 's', 'u' u32, 'f' f32, 'a' an array of two u32, 0: left out */
};

static const struct pair gguf_base[] = {
    {"general.architecture", "llama", 0, 's'},
    {"llama.context_length", NULL, 128, 'u'},
    {"llama.embedding_length", NULL, 32, 'u'},
    {"llama.block_count", NULL, 2, 'u'},
    {"llama.feed_forward_length", NULL, 48, 'u'},
    {"llama.attention.head_count", NULL, 4, 'u'},
    {"llama.attention.head_count_kv", NULL, 2, 'u'},
    {"llama.attention.layer_norm_rms_epsilon", NULL, 1e-5, 'f'},
};

static void put(struct str *out, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) str_putc(out, (char)(number >> 8 * i & 255));
}

static void put_text(struct str *out, const char *text)
{
    put(out, strlen(text), 8);
    str_puts(out, text);
}

static void put_pair(struct str *out, const struct pair *p)
{
    float number = (float)p->number;
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    put_text(out, p->key);
    put(out, p->type == 's' ? 8 : p->type == 'f' ? 6 : p->type == 'a' ? 9 : 4, 4);
    if (p->type == 's') put_text(out, p->text);
    if (p->type == 'f') put(out, bits, 4);
    if (p->type == 'u') put(out, (uint64_t)p->number, 4);
    if (p->type == 'a') {
        put(out, 4, 4);
        put(out, 2, 8);
        put(out, 1, 4);
        put(out, 1, 4);
    }
}

/* The base's pairs, but those whose key is in `change`, then those of `change`. */
static void put_pairs(struct str *out, const struct pair *change, size_t count)
{
    struct str pairs = {0};
    uint64_t written = 0;
    for (size_t i = 0; i < sizeof gguf_base / sizeof gguf_base[0]; i++) {
        bool changed = false;
        for (size_t k = 0; k < count; k++) changed |= strcmp(change[k].key, gguf_base[i].key) == 0;
        if (changed) continue;
        put_pair(&pairs, &gguf_base[i]);
        written++;
    }
    for (size_t k = 0; k < count; k++) {
        if (change[k].type == 0) continue;
        put_pair(&pairs, &change[k]);
        written++;
    }
    put(out, written, 8);
    str_add(out, pairs.data, pairs.length);
    str_free(&pairs);
}

static enum graft_status read_gguf(const char *path, struct arena *arena, struct model_config *c,
                                   struct error *e)
{
    struct weights *weights;
    assert_ok(weights_open(path, &weights, e), e);
    enum graft_status status = config_from_gguf(weights, arena, c, e);
    weights_close(weights);
    return status;
}

/* The config of the base with the changes; the text says what is wrong with it ("": nothing). */
static const char *gguf_changed(const struct pair *change, size_t count, struct arena *arena,
                                struct model_config *c)
{
    static struct error e;
    struct str out = {0};
    char path[] = "/tmp/graft-test-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    str_add(&out, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0", 16);
    put_pairs(&out, change, count);
    assert_int_equal(write(descriptor, out.data, out.length), out.length);
    close(descriptor);
    e = (struct error){0};
    if (read_gguf(path, arena, c, &e) == GRAFT_OK) e.text[0] = '\0';
    remove(path);
    str_free(&out);
    return e.text;
}

static void test_gguf(void **state)
{
    struct arena arena = {0};
    struct error e = {0};
    struct model_config c;
    (void)state;
    assert_ok(read_gguf(GOLDEN "llama3/model.gguf", &arena, &c, &e), &e);
    assert_string_equal(c.family, "llama");
    assert_true(c.layers == 2 && c.hidden == 16 && c.intermediate == 24 && c.vocab == 48);
    assert_true(c.heads == 4 && c.kv_heads == 2 && c.head_size == 8 && c.rope.rotary == 8);
    assert_true(c.qkv_bias && c.output_bias && !c.mlp_bias && !c.tied);
    assert_int_equal(c.rope.scaling, ROPE_FACTORS);
    assert_true(c.rope.factors[0] == 1.0F && c.rope.factors[3] == 8.0F);
    assert_true(fabs(c.norm_eps - 1e-5) < 1e-11 && c.rope.theta == 500.0);
    assert_ok(read_gguf(GOLDEN "qwen2/model.gguf", &arena, &c, &e), &e);
    assert_string_equal(c.family, "qwen2");
    assert_true(c.qkv_bias && !c.output_bias && c.tied && c.rope.scaling == ROPE_PLAIN);
    arena_free(&arena);
}

static const struct {
    struct pair change;
    const char *text;
} gguf_mistakes[] = {
    {{"general.architecture", "mamba", 0, 's'},
     "general.architecture is mamba; graft knows llama, qwen2, qwen3"},
    {{"general.architecture", NULL, 0, 0},
     "general.architecture is missing: not a file with a model"},
    {{"llama.block_count", NULL, 0, 0}, "llama.block_count is missing"},
    {{"llama.block_count", NULL, 0, 'u'},
     "llama.block_count must be a whole number from 1 to 4096"},
    {{"llama.feed_forward_length", NULL, 0, 'a'},
     "llama.feed_forward_length is a list, one number per layer, which no family that graft knows "
     "has"},
    {{"llama.attention.head_count", NULL, 5, 'u'},
     "llama.attention.head_count 5 does not divide embedding_length 32"},
    {{"llama.attention.head_count_kv", NULL, 3, 'u'},
     "4 heads cannot share 3 key/value heads: the first must be a multiple of the second"},
    {{"llama.attention.value_length", NULL, 6, 'u'},
     "llama.attention.value_length 6 differs from key_length 8"},
    {{"llama.attention.layer_norm_rms_epsilon", NULL, 0, 0},
     "llama.attention.layer_norm_rms_epsilon is missing"},
    {{"llama.rope.freq_base", NULL, -1, 'f'}, "llama.rope.freq_base must be a number above 0"},
    {{"llama.rope.dimension_count", NULL, 5, 'u'},
     "RoPE turns 5 dimensions of a head of 8; it must be an even number of them"},
    {{"llama.rope.scaling.type", "longrope", 0, 's'},
     "llama.rope.scaling.type is longrope; it must be none, linear or yarn, which graft knows"},
    {{"llama.rope.scaling.type", "yarn", 0, 's'}, "llama.rope.scaling.factor is missing"},
};

static void test_gguf_mistakes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof gguf_mistakes / sizeof gguf_mistakes[0]; i++) {
        struct arena arena = {0};
        struct model_config c = {.layers = 77};
        assert_string_equal(gguf_changed(&gguf_mistakes[i].change, 1, &arena, &c),
                            gguf_mistakes[i].text);
        assert_int_equal(c.layers, 77);
        arena_free(&arena);
    }
}

/* llama.cpp: linear is the default kind of scaling, 1 its default factor. */
static void test_gguf_scalings(void **state)
{
    struct arena arena = {0};
    struct model_config c;
    (void)state;
    assert_string_equal(gguf_changed(NULL, 0, &arena, &c), "");
    assert_true(c.rope.scaling == ROPE_PLAIN && c.rope.theta == 1e4 && c.rope.rotary == 8);
    struct pair linear[] = {{"llama.rope.scaling.factor", NULL, 4, 'f'}};
    assert_string_equal(gguf_changed(linear, 1, &arena, &c), "");
    assert_true(c.rope.scaling == ROPE_LINEAR && c.rope.factor == 4.0);
    struct pair old[] = {{"llama.rope.scale_linear", NULL, 2, 'f'}};
    assert_string_equal(gguf_changed(old, 1, &arena, &c), "");
    assert_true(c.rope.scaling == ROPE_LINEAR && c.rope.factor == 2.0);
    struct pair none[] = {{"llama.rope.scaling.type", "none", 0, 's'},
                          {"llama.rope.scaling.factor", NULL, 4, 'f'}};
    assert_string_equal(gguf_changed(none, 2, &arena, &c), "");
    assert_int_equal(c.rope.scaling, ROPE_PLAIN);
    struct pair yarn[] = {{"llama.rope.scaling.type", "yarn", 0, 's'},
                          {"llama.rope.scaling.factor", NULL, 4, 'f'},
                          {"llama.rope.scaling.original_context_length", NULL, 32, 'u'},
                          {"llama.rope.scaling.yarn_ext_factor", NULL, 2, 'f'}};
    assert_string_equal(gguf_changed(yarn, 3, &arena, &c), "");
    assert_true(c.rope.scaling == ROPE_YARN && c.rope.original_context == 32 && c.rope.truncate);
    assert_true(fabs(c.rope.attention_factor - 1.1386294361119891) < 1e-15);
    assert_string_equal(gguf_changed(yarn, 4, &arena, &c),
                        "llama.rope.scaling.yarn_ext_factor is not known to graft");
    arena_free(&arena);
}

static void test_gguf_windows(void **state)
{
    struct arena arena = {0};
    struct model_config c;
    (void)state;
    struct pair window = {"llama.attention.sliding_window", NULL, 7, 'u'};
    assert_string_equal(gguf_changed(&window, 1, &arena, &c), "");
    assert_true(c.window == 7 && c.slides[0] && c.slides[1]);
    window.number = 0;
    assert_string_equal(gguf_changed(&window, 1, &arena, &c), "");
    assert_true(c.window == 0 && c.slides == NULL);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama),
        cmocka_unit_test(test_family_is_the_class),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_qwen),
        cmocka_unit_test(test_scalings),
        cmocka_unit_test(test_frequencies),
        cmocka_unit_test(test_scaled_frequencies),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_gguf),
        cmocka_unit_test(test_gguf_mistakes),
        cmocka_unit_test(test_gguf_scalings),
        cmocka_unit_test(test_gguf_windows),
    };
    return TEST_MAIN(tests);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening models: tensors that are missing or wrong, tied heads, sites, titles.
 */
#include "unit/test.h"

#include "unit/model_folder.h"

#include "base/log.h"

static char log_text[1024];

static void keep_log(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    snprintf(log_text, sizeof log_text, "%s", line);
}

static void refused(const char *text)
{
    struct opened o;
    struct error e = {0};
    char full[512];
    assert_int_equal(try_open(&o, folder, NULL, &e), GRAFT_E_INVALID);
    snprintf(full, sizeof full, "%s%s", folder, text);
    assert_string_equal(e.text, full);
    assert_null(o.model);
    done(&o);
}

/* ---- tensors ---- */

static void drop_q(struct tensor_view *views, size_t *count)
{
    *view_of(views, *count, Q0) = views[*count - 1];
    --*count;
}

static void turn_down(struct tensor_view *views, size_t *count)
{
    struct graft_shape *s = &view_of(views, *count, "model.layers.0.mlp.down_proj.weight")->shape;
    *s = graft_shape2(s->dim[1], s->dim[0]);
}

static void flatten_q(struct tensor_view *views, size_t *count)
{
    struct graft_shape *s = &view_of(views, *count, Q0)->shape;
    *s = graft_shape1(s->dim[0] * s->dim[1]);
}

static void retype_q(struct tensor_view *views, size_t *count)
{
    view_of(views, *count, Q0)->dtype = GRAFT_DTYPE_I32;
}

static void retype_norm(struct tensor_view *views, size_t *count)
{
    view_of(views, *count, NORM1)->dtype = GRAFT_DTYPE_I32;
}

static void test_wrong_tensors(void **state)
{
    (void)state;
    make_folder("llama3", drop_q, "{}");
    refused(": tensor " Q0 " is missing");
    make_folder("llama3", turn_down, "{}");
    refused(": tensor model.layers.0.mlp.down_proj.weight is [24, 16]; by the model's "
            "configuration it must be [16, 24]");
    make_folder("llama3", flatten_q, "{}");
    refused(": tensor " Q0 " is [512]; by the model's configuration it must be [32, 16]");
    make_folder("llama3", NULL, "{\"num_hidden_layers\": 3}");
    refused(": tensor model.layers.2.input_layernorm.weight is missing");
    make_folder("llama3", NULL, "{\"mlp_bias\": true}");
    refused(": tensor model.layers.0.mlp.gate_proj.bias is missing");
    make_folder("llama3", retype_norm, "{}");
    refused(": tensor " NORM1 " is I32; norms and biases must be F32, F16 or BF16");
    make_folder("llama3", NULL, "{\"model_type\": \"mamba\", \"architectures\": null}");
    refused("/config.json: model_type is mamba (no architectures); graft knows llama, mistral, "
            "qwen2, qwen3");
}

static void test_wrong_type(void **state)
{
    struct opened o;
    struct error e = {0};
    (void)state;
    make_folder("llama3", retype_q, "{}");
    assert_int_equal(try_open(&o, folder, NULL, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, Q0));
    assert_non_null(strstr(e.text, "I32"));
    done(&o);
}

static void test_no_config(void **state)
{
    struct opened o;
    struct error e = {0};
    char path[256];
    (void)state;
    make_folder("llama3", NULL, "{}");
    snprintf(path, sizeof path, "%s/config.json", folder);
    remove(path);
    assert_int_equal(try_open(&o, folder, NULL, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, path));
    done(&o);
}

static void test_quantize_name(void **state)
{
    struct opened o;
    struct error e = {0};
    (void)state;
    assert_int_equal(try_open(&o, GOLDEN "llama", "q4", &e), GRAFT_E_INVALID);
    assert_string_equal(e.text, "quantize is q4; it must be keep or nf4");
    done(&o);
}

static const float extra_numbers[2] = {1, 2};

static void add_extras(struct tensor_view *views, size_t *count)
{
    static const char *const names[] = {"model.layers.0.self_attn.rotary_emb.inv_freq",
                                        "vision.weight", "zoo.weight"};
    for (int i = 0; i < 3; i++)
        views[(*count)++] = (struct tensor_view){.name = names[i],
                                                 .dtype = GRAFT_DTYPE_F32,
                                                 .shape = graft_shape1(2),
                                                 .data = extra_numbers,
                                                 .bytes = sizeof extra_numbers,
                                                 .type_name = "F32"};
}

static void test_extras_are_counted(void **state)
{
    struct opened o;
    char text[512];
    (void)state;
    log_text[0] = '\0';
    open_good(&o, GOLDEN "llama3", NULL);
    assert_string_equal(log_text, "");
    done(&o);
    make_folder("llama3", add_extras, "{}");
    open_good(&o, folder, NULL);
    snprintf(text, sizeof text,
             "%s: 2 tensors are not part of a llama model and are not used (vision.weight, ...)",
             folder);
    assert_string_equal(log_text, text);
    done(&o);
}

/* ---- heads ---- */

static void drop_head(struct tensor_view *views, size_t *count)
{
    *view_of(views, *count, "lm_head.weight") = views[*count - 1];
    --*count;
}

static void check_head(const char *path, bool tied)
{
    struct opened o;
    open_good(&o, path, NULL);
    assert_int_equal(model_config(o.model)->tied, tied);
    assert_string_equal(head_of(&o)->weight->name,
                        tied ? "model.embed_tokens.weight" : "lm_head.weight");
    done(&o);
}

static void test_heads(void **state)
{
    (void)state;
    check_head(GOLDEN "llama", true);
    check_head(GOLDEN "llama/model.gguf", true);
    check_head(GOLDEN "llama3", false);
    check_head(GOLDEN "llama3/model.gguf", false);
    make_folder("llama3", NULL, "{\"tie_word_embeddings\": true}"); /* both: the embedding wins */
    check_head(folder, true);
    make_folder("llama3", drop_head, "{}"); /* untied by the flag, but there is none */
    check_head(folder, true);
}

/* ---- sites and words ---- */

static void test_sites(void **state)
{
    struct opened o;
    size_t count;
    (void)state;
    open_good(&o, GOLDEN "llama3/model.gguf", NULL);
    const struct model_site *s = model_sites(o.model, &count);
    /* a layer: seven linear, its attention, two blocks, two norms; then what stands outside */
    assert_int_equal(count, 2 * 12 + 3);
    assert_string_equal(s[0].name, "model.layers.0.self_attn.q_proj");
    assert_string_equal(s[12 + 6].name, "model.layers.1.mlp.down_proj");
    assert_true(s[12].layer == 1 && s[0].in_features == 16 && s[0].out_features == 32);
    assert_true(s[12 + 6].in_features == 24 && s[12 + 6].out_features == 16);
    assert_true(s[3].bias != NULL && s[4].bias == NULL);
    assert_string_equal(s[0].weight->name, Q0);
    assert_true(s[7].kind == GRAFT_SITE_ATTENTION && s[7].sibling == &s[0]);
    assert_true(s[8].kind == GRAFT_SITE_BLOCK && s[9].part == GRAFT_BLOCK_MLP);
    assert_string_equal(s[9].name, "model.layers.0.mlp");
    assert_string_equal(s[11].name, "model.layers.0.post_attention_layernorm");
    assert_string_equal(s[24].name, "model.embed_tokens");
    assert_true(s[25].kind == GRAFT_SITE_NORM && strcmp(s[25].name, "model.norm") == 0);
    done(&o);
}

static void test_title(void **state)
{
    struct opened o;
    (void)state;
    open_good(&o, GOLDEN "llama/", NULL);
    /* 64*32 + 32 + 2 * (2*32*32 + 2*16*32 + 3*32*32 + 2*32) */
    assert_int_equal(model_parameters(o.model), 14496);
    assert_string_equal(model_title(o.model), "llama 14k, llama, 2 layers, F32");
    done(&o);
    open_good(&o, GOLDEN "llama/model.gguf", "nf4");
    assert_string_equal(model_title(o.model), "tiny random llama 14k, llama, 2 layers, F32 as NF4");
    done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_tensors),
        cmocka_unit_test(test_wrong_type),
        cmocka_unit_test(test_no_config),
        cmocka_unit_test(test_quantize_name),
        cmocka_unit_test(test_extras_are_counted),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_sites),
        cmocka_unit_test(test_title),
    };
    log_set_sink(keep_log, NULL);
    return cmocka_run_group_tests(tests, setup, teardown) != 0;
}

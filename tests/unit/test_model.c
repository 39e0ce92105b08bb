/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening and uploading models: tensors that are missing or wrong, tied heads, moved rows, widened
 * vectors, NF4, importing; and what the graph is made of. What it computes is
 * golden/test_forward's.
 */
#include "unit/test.h"

#include "unit/test_model.h"

#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "file/safetensors.h"
#include "graph/op.h"
#include "ref/quant.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

static char folder[] = "/tmp/graft-model-XXXXXX";
static char log_text[1024];

static void keep_log(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    snprintf(log_text, sizeof log_text, "%s", line);
}

static int setup(void **state)
{
    (void)state;
    log_set_sink(keep_log, NULL);
    return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
    char path[256];
    (void)state;
    snprintf(path, sizeof path, "%s/config.json", folder);
    remove(path);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    remove(path);
    return rmdir(folder);
}

/* ---- folders made of golden ones ---- */

typedef void edit(struct tensor_view *views, size_t *count);

static struct tensor_view *view_of(struct tensor_view *views, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(views[i].name, name) == 0) return &views[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static void write_config(const char *name, const char *changes)
{
    struct error e = {0};
    char path[256];
    json_t *root, *over;
    snprintf(path, sizeof path, GOLDEN "%s/config.json", name);
    assert_ok(json_read_file(path, 1 << 20, &root, &e), &e);
    assert_ok(json_read_bytes(changes, strlen(changes), &over, &e), &e);
    assert_int_equal(json_object_update(root, over), 0);
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_int_equal(json_dump_file(root, path, 0), 0);
    json_decref(root);
    json_decref(over);
}

/* The golden model `name` with changes to its tensors and its config, in `folder`. */
static void make_folder(const char *name, edit *change, const char *config_changes)
{
    struct error e = {0};
    char path[256];
    struct safetensors *file;
    struct tensor_view views[128];
    snprintf(path, sizeof path, GOLDEN "%s/model.safetensors", name);
    assert_ok(safetensors_open(path, &file, &e), &e);
    size_t count = safetensors_count(file);
    assert_true(count < 120);
    for (size_t i = 0; i < count; i++) views[i] = *safetensors_tensor(file, i);
    if (change != NULL) change(views, &count);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_ok(safetensors_write(path, views, count, NULL, 0, &e), &e);
    safetensors_close(file);
    write_config(name, config_changes);
}

struct opened {
    struct store *store;
    struct model *model;
};

static enum graft_status try_open(struct opened *o, const char *path, const char *quantize,
                                  struct error *e)
{
    struct model_options options = {.quantize = quantize};
    o->model = NULL;
    assert_ok(store_create(&o->store, e), e);
    return model_open(path, &options, o->store, &o->model, e);
}

static void open_good(struct opened *o, const char *path, const char *quantize)
{
    struct error e = {0};
    assert_ok(try_open(o, path, quantize, &e), &e);
}

static void done(struct opened *o)
{
    model_close(o->model);
    store_destroy(o->store);
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

#define Q0 "model.layers.0.self_attn.q_proj.weight"
#define NORM1 "model.layers.1.input_layernorm.weight"

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

static const struct model_site *head_of(const struct opened *o)
{
    size_t count;
    const struct model_site *sites = model_sites(o->model, &count);
    assert_string_equal(sites[count - 1].name, "lm_head");
    assert_int_equal(sites[count - 1].layer, -1);
    return &sites[count - 1];
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

/* ---- uploading ---- */

static void *read_back(const struct stored *s, const struct machine *m)
{
    struct error e = {0};
    void *bytes = malloc((size_t)s->bytes);
    assert_non_null(bytes);
    assert_ok(stored_read(s, &m->backend, bytes, s->bytes, &e), &e);
    return bytes;
}

/* Every weight of the GGUF, its rows back in place, is that of the safetensors. */
static void check_twins(const char *name, const char *quantize)
{
    struct opened a, b;
    struct machine m;
    struct error e = {0};
    char path[256];
    size_t compared = 0;
    machine_open(&m, reference_backend(false));
    snprintf(path, sizeof path, GOLDEN "%s", name);
    open_good(&a, path, quantize);
    snprintf(path, sizeof path, GOLDEN "%s/model.gguf", name);
    open_good(&b, path, quantize);
    assert_int_equal(model_bytes(a.model), model_bytes(b.model));
    uint64_t planned = model_bytes(a.model);
    assert_ok(model_upload(a.model, &m.backend, &e), &e);
    assert_ok(model_upload(b.model, &m.backend, &e), &e);
    assert_int_equal(model_bytes(a.model), planned);
    for (const struct stored *s = store_first(a.store, STORE_BASE); s != NULL; s = s->next) {
        const struct stored *t = store_find(b.store, STORE_BASE, s->name);
        assert_non_null(t);
        assert_int_equal(s->dtype, t->dtype);
        assert_int_equal(s->bytes, t->bytes);
        void *x = read_back(s, &m), *y = read_back(t, &m);
        if (memcmp(x, y, (size_t)s->bytes) != 0) fail_msg("%s differs", s->name);
        free(x);
        free(y);
        compared++;
    }
    assert_true(compared > 18);
    done(&a);
    done(&b);
    machine_close(&m);
}

static void test_gguf_rows_are_moved_back(void **state)
{
    (void)state;
    check_twins("llama", NULL);
    check_twins("llama3", NULL); /* with biases */
    check_twins("qwen2", NULL);  /* of a family whose rows are not moved */
}

/* Q8_0 rows of gguf-py, moved whole: each is within half a step of Hugging Face's row. */
static void test_quantized_rows_are_moved_whole(void **state)
{
    struct opened o, plain;
    struct machine m;
    struct error e = {0};
    size_t count;
    (void)state;
    machine_open(&m, reference_backend(false));
    open_good(&o, GRAFT_SOURCE_DIR "/tests/unit/data/llama-q8_0.gguf", NULL);
    open_good(&plain, GOLDEN "llama", NULL);
    assert_ok(model_upload(o.model, &m.backend, &e), &e);
    const struct model_site *s = model_sites(o.model, &count);
    for (size_t i = 0; i + 1 < count; i++) {
        if (s[i].kind != GRAFT_SITE_LINEAR) continue;
        const struct stored *w = s[i].weight;
        const float *x = weights_find(model_weights(plain.model), w->name)->data;
        float found[32];
        assert_int_equal(w->dtype, GRAFT_DTYPE_Q8_0);
        assert_int_equal(w->shape.dim[1], 32);
        unsigned char *rows = read_back(w, &m);
        for (int64_t row = 0; row < w->shape.dim[0]; row++) {
            float most = 0.0F;
            dequantize_row(GRAFT_DTYPE_Q8_0, rows + 34 * row, found, 32);
            for (int c = 0; c < 32; c++) most = fmaxf(most, fabsf(x[32 * row + c]));
            for (int c = 0; c < 32; c++)
                assert_true(fabsf(found[c] - x[32 * row + c]) <= most / 127.0F * 0.6F);
        }
        free(rows);
    }
    done(&plain);
    done(&o);
    machine_close(&m);
}

static void test_nf4(void **state)
{
    struct opened o;
    struct machine m;
    struct error e = {0};
    struct graft_nf4 *expected;
    (void)state;
    check_twins("llama", "nf4");
    check_twins("qwen2", "nf4");
    machine_open(&m, reference_backend(false));
    open_good(&o, GOLDEN "llama", "nf4");
    assert_ok(model_upload(o.model, &m.backend, &e), &e);
    size_t count;
    const struct model_site *s = model_sites(o.model, &count);
    for (size_t i = 0; i + 1 < count; i++)
        if (s[i].kind == GRAFT_SITE_LINEAR) assert_int_equal(s[i].weight->dtype, GRAFT_DTYPE_NF4);
    assert_int_equal(head_of(&o)->weight->dtype, GRAFT_DTYPE_F32);
    const struct tensor_view *view = weights_find(model_weights(o.model), Q0);
    assert_ok(weights_quantize_nf4(view, 64, true, &expected, &e), &e);
    assert_int_equal(s[0].weight->bytes, expected->bytes);
    void *found = read_back(s[0].weight, &m);
    assert_memory_equal(found, expected, expected->bytes);
    free(found);
    mem_free(expected);
    done(&o);
    machine_close(&m);
}

static uint16_t half_numbers[32] = {0x3E00, 0xC000, 0x0001, 0x7BFF, 0x83FF};
static uint16_t brain_numbers[32] = {0x3FC0, 0xC000, 0x0080, 0x7F7F};

static void halve_norms(struct tensor_view *views, size_t *count)
{
    struct tensor_view *half = view_of(views, *count, NORM1);
    struct tensor_view *brain = view_of(views, *count, "model.norm.weight");
    half->dtype = GRAFT_DTYPE_F16;
    half->data = half_numbers;
    brain->dtype = GRAFT_DTYPE_BF16;
    brain->data = brain_numbers;
    half->bytes = brain->bytes = sizeof half_numbers;
}

static void test_vectors_become_f32(void **state)
{
    struct opened o;
    struct machine m;
    struct error e = {0};
    (void)state;
    make_folder("llama", halve_norms, "{}");
    machine_open(&m, reference_backend(false));
    open_good(&o, folder, NULL);
    assert_ok(model_upload(o.model, &m.backend, &e), &e);
    float *x = read_back(store_find(o.store, STORE_BASE, NORM1), &m);
    assert_true(x[0] == 1.5F && x[1] == -2.0F && x[2] == 0x1p-24F && x[3] == 65504.0F);
    assert_true(x[4] == -1023 * 0x1p-24F && x[5] == 0.0F);
    free(x);
    x = read_back(store_find(o.store, STORE_BASE, "model.norm.weight"), &m);
    assert_true(x[0] == 1.5F && x[1] == -2.0F && x[2] == 0x1p-126F && x[3] == 0x1.FEp127F);
    free(x);
    done(&o);
    machine_close(&m);
}

/* ---- importing ---- */

static size_t imported;
static const void *imported_first;
static int32_t import_answer;

static int32_t import(struct graft_device *device, const void *memory, uint64_t bytes,
                      struct graft_buffer **out)
{
    const struct graft_backend *api = reference_backend(false);
    if (import_answer != GRAFT_OK) return import_answer;
    if (imported++ == 0) imported_first = memory;
    int32_t status = api->buffer_create(device, bytes, out);
    return status == GRAFT_OK ? api->buffer_write(*out, 0, memory, bytes) : status;
}

static size_t import_count(const char *path, int32_t answer, enum graft_status expected)
{
    struct opened o;
    struct machine m;
    struct error e = {0};
    struct graft_backend api = *reference_backend(false);
    api.buffer_import = import;
    imported = 0;
    import_answer = answer;
    machine_open(&m, &api);
    open_good(&o, path, NULL);
    assert_int_equal(model_upload(o.model, &m.backend, &e), expected);
    if (imported > 0)
        assert_ptr_equal(imported_first,
                         weights_find(model_weights(o.model), strstr(path, ".gguf") != NULL
                                                                  ? "token_embd.weight"
                                                                  : "model.embed_tokens.weight")
                             ->data);
    if (expected != GRAFT_OK) assert_non_null(strstr(e.text, "model.embed_tokens.weight"));
    done(&o);
    machine_close(&m);
    return imported;
}

static void test_import(void **state)
{
    (void)state;
    /* 20 tensors and the frequencies; q and k of two layers are moved in the GGUF. */
    assert_int_equal(import_count(GOLDEN "llama", GRAFT_OK, GRAFT_OK), 21);
    assert_int_equal(import_count(GOLDEN "llama/model.gguf", GRAFT_OK, GRAFT_OK), 17);
    assert_int_equal(import_count(GOLDEN "llama", GRAFT_E_UNSUPPORTED, GRAFT_OK), 0);
    assert_int_equal(import_count(GOLDEN "llama", GRAFT_E_MEMORY, GRAFT_E_MEMORY), 0);
}

/* ---- graphs ---- */

static size_t count_ops(const struct graph *g, int32_t op)
{
    size_t count = 0;
    for (size_t i = 0; i < graph_node_count(g); i++) count += graph_node(g, i)->op == op;
    return count;
}

static graft_value stubborn(void *context, struct graph *graph, const struct model_site *site,
                            graft_value x)
{
    if (strcmp(site->name, context) == 0) graft_fail(graph_builder(graph), "no");
    return model_linear(graph, site, x);
}

static struct graph *hidden_graph(struct opened *o, const struct model_wrap *wrap,
                                  const struct model_cache *caches, graft_value *hidden)
{
    struct error e = {0};
    struct graph *graph;
    struct input_entries entries = input_entries(o->store, 5);
    assert_ok(graph_create(&graph, &e), &e);
    struct model_inputs in = input_values(graph, &entries);
    *hidden = model_hidden(o->model, graph, &in, wrap, caches);
    return graph;
}

static void test_graph_blocks(void **state)
{
    struct opened o;
    struct error e = {0};
    graft_value hidden;
    int32_t block = -1;
    (void)state;
    open_good(&o, GOLDEN "mistral", NULL);
    struct graph *g = hidden_graph(&o, NULL, NULL, &hidden);
    assert_ok(graph_status(g, &e), &e);
    for (size_t i = 0; i < graph_node_count(g); i++) {
        const struct graph_node *n = graph_node(g, i);
        bool last = i + 1 == graph_node_count(g);
        if (n->op == GRAFT_OP_EMBEDDING || n->op == GRAFT_OP_ROPE_TABLE || last)
            assert_int_equal(n->block, -1);
        else
            assert_in_range(n->block - block, 0, 1);
        if (!last) block = n->block;
        if (n->op == GRAFT_OP_ATTENTION) assert_int_equal(n->params.attention.window, 6);
    }
    assert_int_equal(block, 1);
    struct graft_shape shape = graph_value(g, hidden)->shape;
    assert_true(shape.rank == 2 && shape.dim[0] == 5 && shape.dim[1] == 16);
    assert_int_equal(graph_rows(g, hidden), GRAFT_ROWS_TOKENS);
    graph_destroy(g);
    done(&o);
}

static void test_graph_names_the_site(void **state)
{
    struct opened o;
    struct error e = {0};
    graft_value hidden;
    char name[] = "model.layers.1.self_attn.o_proj";
    struct model_wrap wrap = {.context = name, .linear = stubborn};
    (void)state;
    open_good(&o, GOLDEN "llama", NULL);
    struct graph *g = hidden_graph(&o, &wrap, NULL, &hidden);
    assert_int_equal(graph_status(g, &e), GRAFT_E_INVALID);
    assert_string_equal(e.text, "model.layers.1.self_attn.o_proj: no");
    graph_destroy(g);
    done(&o);
}

static void test_graph_losses(void **state)
{
    struct opened o;
    struct error e = {0};
    graft_value hidden;
    (void)state;
    open_good(&o, GOLDEN "llama", NULL);
    struct graph *g = hidden_graph(&o, NULL, NULL, &hidden);
    graft_value targets = graph_stored(g, store_find(o.store, STORE_INPUT, "targets"));
    model_loss(o.model, g, hidden, targets, NULL, false);
    assert_int_equal(count_ops(g, GRAFT_OP_HEAD_LOSS), 1);
    assert_int_equal(count_ops(g, GRAFT_OP_CROSS_ENTROPY), 0);
    model_loss(o.model, g, hidden, targets, NULL, true);
    assert_int_equal(count_ops(g, GRAFT_OP_HEAD_LOSS), 1);
    assert_int_equal(count_ops(g, GRAFT_OP_CROSS_ENTROPY), 1);
    assert_ok(graph_status(g, &e), &e);
    graph_destroy(g);
    done(&o);
}

static void test_graph_caches(void **state)
{
    struct opened o;
    struct error e = {0};
    graft_value hidden;
    struct model_cache caches[2];
    (void)state;
    open_good(&o, GOLDEN "llama", NULL);
    for (int i = 0; i < 2; i++) {
        caches[i].keys = store_add(o.store, STORE_CACHE, "k", GRAFT_DTYPE_F32, graft_shape2(9, 16),
                                   GRAFT_ROWS_FIXED);
        caches[i].values = store_add(o.store, STORE_CACHE, "v", GRAFT_DTYPE_F32,
                                     graft_shape2(9, 16), GRAFT_ROWS_FIXED);
    }
    struct graph *g = hidden_graph(&o, NULL, caches, &hidden);
    assert_ok(graph_status(g, &e), &e);
    assert_int_equal(count_ops(g, GRAFT_OP_WRITE_ROWS), 4);
    graph_destroy(g);
    done(&o);
}

/* Every refused allocation is reported and leaks nothing. */
static void test_memory(void **state)
{
    struct machine m;
    int64_t before, n = 0;
    enum graft_status status = GRAFT_E_MEMORY;
    (void)state;
    machine_open(&m, reference_backend(false));
    before = mem_live_count();
    while (status != GRAFT_OK && n < 2000) {
        struct store *store = NULL;
        struct model *model = NULL;
        struct model_options options = {.quantize = "nf4"};
        struct error e = {0};
        mem_fail_after(++n);
        status = store_create(&store, &e);
        if (status == GRAFT_OK)
            status = model_open(GOLDEN "llama3/model.gguf", &options, store, &model, &e);
        if (status == GRAFT_OK) status = model_upload(model, &m.backend, &e);
        mem_fail_after(0);
        model_close(model);
        store_destroy(store);
        if (status != GRAFT_OK) assert_int_equal(status, GRAFT_E_MEMORY);
        assert_int_equal(mem_live_count(), before);
    }
    assert_true(n > 50 && n < 2000);
    machine_close(&m);
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
        cmocka_unit_test(test_gguf_rows_are_moved_back),
        cmocka_unit_test(test_quantized_rows_are_moved_whole),
        cmocka_unit_test(test_nf4),
        cmocka_unit_test(test_vectors_become_f32),
        cmocka_unit_test(test_import),
        cmocka_unit_test(test_graph_blocks),
        cmocka_unit_test(test_graph_names_the_site),
        cmocka_unit_test(test_graph_losses),
        cmocka_unit_test(test_graph_caches),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown) != 0;
}

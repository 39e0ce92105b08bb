/* SPDX-License-Identifier: Apache-2.0
 *
 * Uploading models: moved rows, NF4, widened vectors, importing, refused allocations.
 */
#include "unit/test.h"

#include "unit/model_folder.h"

#include "base/memory.h"
#include "ref/quant.h"

#include <math.h>

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
        cmocka_unit_test(test_gguf_rows_are_moved_back),
        cmocka_unit_test(test_quantized_rows_are_moved_whole),
        cmocka_unit_test(test_nf4),
        cmocka_unit_test(test_vectors_become_f32),
        cmocka_unit_test(test_import),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown) != 0;
}

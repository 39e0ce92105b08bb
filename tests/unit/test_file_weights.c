/* SPDX-License-Identifier: Apache-2.0
 *
 * file/weights.h: both containers behind one face, and bitsandbytes' NF4 read and made, against
 * bitsandbytes itself (make_file_data.py).
 */
#include "unit/test.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"
#include "file/atomic.h"
#include "file/gguf.h"
#include "file/safetensors.h"
#include "file/weights.h"
#include "ref/quant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATA GRAFT_TEST_DIR "/unit/data/file/"

/* sequence() of make_file_data.py */
static void make_weight(float *out, size_t count, uint32_t seed)
{
    uint32_t x = seed;
    for (size_t i = 0; i < count; i++) {
        x = x * 1664525u + 1013904223u;
        int64_t y = (int64_t)(x >> 8) - (1 << 23);
        out[i] = (float)(y * (y < 0 ? -y : y)) * 0x1p-50f;
    }
}

static const struct weight {
    const char *name;
    int64_t rows, cols;
    uint32_t block;
    bool nested;
    uint32_t seed;
} cases[] = {
    {"plain", 64, 200, 128, false, 11},
    {"nested", 128, 96, 64, true, 1},
    {"short", 5, 7, 32, true, 1},
    {"wide", 600, 32, 64, true, 4},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static struct weights *open_weights(const char *path)
{
    struct weights *weights = NULL;
    struct error e = {0};
    assert_ok(weights_open(path, &weights, &e), &e);
    return weights;
}

static const struct tensor_view *find_case(const struct weights *weights, const struct weight *c)
{
    char name[64];
    snprintf(name, sizeof name, "model.%s.weight", c->name);
    const struct tensor_view *found = weights_find(weights, name);
    assert_non_null(found);
    return found;
}

/* Dequantized, each weight hashes to what bitsandbytes' own dequantizing gave. */
static void test_bnb_dequantizes(void **state)
{
    struct weights *weights = open_weights(DATA "bnb");
    struct error e = {0};
    json_t *hashes = NULL;
    (void)state;
    assert_int_equal(weights_kind(weights), WEIGHTS_FOLDER);
    assert_null(weights_gguf(weights));
    assert_int_equal(weights_count(weights), CASES + 1); /* the parts are not listed */
    assert_int_equal(weights_find(weights, "model.norm.weight")->dtype, GRAFT_DTYPE_BF16);
    assert_null(weights_find(weights, "model.plain.weight.absmax"));
    assert_ok(json_read_file(DATA "bnb/hashes.json", 10000, &hashes, &e), &e);
    for (size_t i = 0; i < CASES; i++) {
        const struct tensor_view *view = find_case(weights, &cases[i]);
        size_t count = (size_t)(cases[i].rows * cases[i].cols);
        char hex[HASH_HEX_SIZE];
        assert_int_equal(view->dtype, GRAFT_DTYPE_NF4);
        assert_int_equal(view->shape.dim[0], cases[i].rows);
        assert_int_equal(view->shape.dim[1], cases[i].cols);
        float *out = mem_alloc(count * sizeof *out);
        dequantize_nf4(view->data, 0, (int64_t)count, out);
        hash_bytes_hex(out, count * sizeof *out, hex);
        assert_string_equal(hex, json_string_value(json_object_get(hashes, cases[i].name)));
        mem_free(out);
    }
    json_decref(hashes);
    weights_close(weights);
}

/* Quantized from the same numbers, every part equals what bitsandbytes wrote. */
static void test_quantize_as_bnb(void **state)
{
    struct weights *weights = open_weights(DATA "bnb");
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        const struct tensor_view *wanted = find_case(weights, &cases[i]);
        size_t count = (size_t)(cases[i].rows * cases[i].cols);
        float *x = mem_alloc(count * sizeof *x);
        struct graft_nf4 *made = NULL;
        struct error e = {0};
        make_weight(x, count, cases[i].seed);
        if (strcmp(cases[i].name, "nested") == 0) memset(x + 96, 0, 64 * sizeof *x);
        struct tensor_view view = {.name = "x",
                                   .dtype = GRAFT_DTYPE_F32,
                                   .type_name = "F32",
                                   .shape = graft_shape2(cases[i].rows, cases[i].cols),
                                   .data = x,
                                   .bytes = count * sizeof *x};
        assert_ok(weights_quantize_nf4(&view, cases[i].block, cases[i].nested, &made, &e), &e);
        assert_int_equal(made->bytes, wanted->bytes);
        assert_memory_equal(made, wanted->data, wanted->bytes);
        mem_free(made);
        mem_free(x);
    }
    weights_close(weights);
}

/* Quantizing a quantized weight reads what it stands for. */
static void test_quantize_from_quantized(void **state)
{
    struct weights *weights = open_weights(DATA "small.gguf");
    const struct tensor_view *q8 = weights_find(weights, "q8_0");
    struct graft_nf4 *a = NULL, *b = NULL;
    struct error e = {0};
    (void)state;
    assert_int_equal(weights_kind(weights), WEIGHTS_GGUF);
    assert_non_null(weights_gguf(weights));
    size_t count = (size_t)graft_shape_count(q8->shape);
    float *x = mem_alloc(count * sizeof *x);
    dequantize_row(q8->dtype, q8->data, x, (int64_t)count);
    struct tensor_view view = *q8;
    view.dtype = GRAFT_DTYPE_F32;
    view.data = x;
    assert_ok(weights_quantize_nf4(q8, 64, true, &a, &e), &e);
    assert_ok(weights_quantize_nf4(&view, 64, true, &b, &e), &e);
    assert_memory_equal(a, b, a->bytes);
    mem_free(a);
    mem_free(b);
    mem_free(x);
    assert_int_equal(weights_quantize_nf4(weights_find(weights, "iq4_nl"), 64, true, &a, &e),
                     GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "tensor iq4_nl is of type IQ4_NL"));
    assert_non_null(strstr(e.text, "Q6_K"));
    assert_int_equal(weights_quantize_nf4(q8, 63, true, &a, &e), GRAFT_E_INVALID);
    weights_close(weights);
}

/* A weight larger than one piece of the loop, in blocks of every size. */
static void test_quantize_pieces(void **state)
{
    enum { COUNT = 70000 };
    float *x = mem_alloc(COUNT * sizeof *x), *absmax = mem_alloc((COUNT / 32 + 1) * sizeof *absmax);
    (void)state;
    make_weight(x, COUNT, 3);
    for (uint32_t block = 32; block <= 4096; block *= 2) {
        struct tensor_view view = {.name = "x",
                                   .dtype = GRAFT_DTYPE_F32,
                                   .shape = graft_shape2(COUNT / 100, 100),
                                   .data = x};
        struct graft_nf4 *made = NULL, *whole = mem_zalloc(1, nf4_bytes(COUNT, block, true));
        struct error e = {0};
        assert_ok(weights_quantize_nf4(&view, block, true, &made, &e), &e);
        nf4_init(whole, COUNT, block, true);
        quantize_nf4(x, 0, COUNT, whole, absmax);
        quantize_nf4_scales(absmax, whole);
        assert_memory_equal(made, whole, whole->bytes);
        mem_free(whole);
        mem_free(made);
    }
    mem_free(absmax);
    mem_free(x);
}

/* ---- refusals ---- */

static char folder[] = "/tmp/graft-weights-XXXXXX";

static void refuse(const char *path, const char *text)
{
    struct weights *weights = NULL;
    struct error e = {0};
    assert_int_equal(weights_open(path, &weights, &e), GRAFT_E_INVALID);
    assert_null(weights);
    if (strstr(e.text, text) == NULL) fail_msg("\"%s\" is not in \"%s\"", text, e.text);
}

static void put_file(const char *name, const void *bytes, size_t length)
{
    char path[256];
    struct error e = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(atomic_write_file(path, bytes, length, &e), &e);
}

static void take_file(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(unlink(path), 0);
}

static void test_refusals(void **state)
{
    char path[256];
    (void)state;
    refuse(DATA "fp4", "FP4 of bitsandbytes");
    refuse(DATA "reference.safetensors", "give the folder that holds it");
    refuse(DATA "nothing", "No such file");
    assert_non_null(mkdtemp(folder));
    refuse(folder, "holds neither model.safetensors nor");
    put_file("x.gguf", "GGUF", 4);
    refuse(folder, "/x.gguf");
    snprintf(path, sizeof path, "%s/x.gguf", folder);
    refuse(path, "ends inside the header");
    take_file("x.gguf");
    put_file("pytorch_model.bin", "PK\003\004", 4);
    refuse(folder, "Python pickle");
    snprintf(path, sizeof path, "%s/pytorch_model.bin", folder);
    refuse(path, "PyTorch checkpoint");
    take_file("pytorch_model.bin");
    put_file("adapter_config.json", "{}", 2);
    refuse(folder, "holds an adapter");
    take_file("adapter_config.json");
    assert_int_equal(rmdir(folder), 0);
}

/* A checkpoint of one NF4 weight [4, 16] with one part changed or missing. */
static void write_nf4(const char *state_text, int32_t absmax_type, size_t absmax_bytes,
                      size_t codes)
{
    static const float numbers[256];
    struct tensor_view t[] = {
        {"w", GRAFT_DTYPE_U8, graft_shape2((int64_t)codes, 1), numbers, codes, "U8"},
        {"w.absmax", absmax_type,
         graft_shape1((int64_t)(absmax_bytes / quant_row_bytes(absmax_type, 1))), numbers,
         absmax_bytes, ""},
        {"w.quant_map", GRAFT_DTYPE_F32, graft_shape1(16), numbers, 64, "F32"},
        {"w.quant_state.bitsandbytes__nf4", GRAFT_DTYPE_U8,
         graft_shape1((int64_t)strlen(state_text)), state_text, strlen(state_text), "U8"},
    };
    char path[256];
    struct error e = {0};
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_ok(safetensors_write(path, t, 4, NULL, 0, &e), &e);
}

#define STATE(type, block, shape)                                                                  \
    "{\"quant_type\": \"" type "\", \"blocksize\": " block                                         \
    ", \"dtype\": \"bfloat16\", \"shape\": " shape "}"

static void test_bad_bnb(void **state)
{
    const char *good = STATE("nf4", "32", "[4, 16]");
    (void)state;
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    write_nf4(good, GRAFT_DTYPE_F32, 8, 32);
    weights_close(open_weights(folder));
    write_nf4(good, GRAFT_DTYPE_F32, 8, 31);
    refuse(folder, "packed weight has 31 bytes of type U8, expected are 32");
    write_nf4(good, GRAFT_DTYPE_F32, 4, 32);
    refuse(folder, "absmax has 4 bytes");
    write_nf4(good, GRAFT_DTYPE_U8, 8, 32);
    refuse(folder, "of type U8, expected are 8 of type F32");
    write_nf4(STATE("fp4", "32", "[4, 16]"), GRAFT_DTYPE_F32, 8, 32);
    refuse(folder, "quant_type is \"fp4\"");
    write_nf4(STATE("nf4", "33", "[4, 16]"), GRAFT_DTYPE_F32, 8, 32);
    refuse(folder, "blocksize is not one of");
    write_nf4(STATE("nf4", "32", "[4, -16]"), GRAFT_DTYPE_F32, 8, 32);
    refuse(folder, "shape is not [out, in]");
    write_nf4(STATE("nf4", "32", "[4611686018427387904, 16]"), GRAFT_DTYPE_F32, 8, 32);
    refuse(folder, "shape is not [out, in]");
    write_nf4("{", GRAFT_DTYPE_F32, 8, 32);
    refuse(folder, "not valid JSON");
    take_file("model.safetensors");
    assert_int_equal(rmdir(folder), 0);
}

static void test_allocations(void **state)
{
    static const char *const paths[] = {DATA "bnb", DATA "small.gguf", DATA "sharded"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        int64_t live = mem_live_count();
        for (int64_t n = 1;; n++) {
            struct weights *weights = NULL;
            struct error e = {0};
            mem_fail_after(n);
            enum graft_status status = weights_open(paths[i], &weights, &e);
            mem_fail_after(0);
            if (status == GRAFT_OK) {
                weights_close(weights);
                assert_true(n > 3);
                break;
            }
            assert_null(weights);
            assert_int_equal(mem_live_count(), live);
            assert_true(n < 1000);
            if (status != GRAFT_E_MEMORY)
                fail_msg("%s, refused at %d: %s", paths[i], (int)n, e.text);
        }
        assert_int_equal(mem_live_count(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bnb_dequantizes),
        cmocka_unit_test(test_quantize_as_bnb),
        cmocka_unit_test(test_quantize_from_quantized),
        cmocka_unit_test(test_quantize_pieces),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_bad_bnb),
        cmocka_unit_test(test_allocations),
    };
    return TEST_MAIN(tests);
}

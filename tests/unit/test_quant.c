/* SPDX-License-Identifier: Apache-2.0
 *
 * kernels/ref/quant.h and half.h against gguf-py and bitsandbytes (make_file_data.py).
 */
#include "unit/test.h"

#include "base/memory.h"
#include "file/safetensors.h"
#include "file/weights.h"
#include "ref/half.h"
#include "ref/quant.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DATA GRAFT_TEST_DIR "/unit/data/file/"

static struct safetensors *golden;

static int open_golden(void **state)
{
    struct error e = {0};
    (void)state;
    return safetensors_open(DATA "quant.safetensors", &golden, &e) != GRAFT_OK;
}

static int close_golden(void **state)
{
    (void)state;
    safetensors_close(golden);
    return 0;
}

static const struct tensor_view *find(const char *type, const char *part)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", type, part);
    const struct tensor_view *found = safetensors_find(golden, name);
    if (found == NULL) fail_msg("no golden %s", name);
    return found;
}

/* What a number stands for is compared bit by bit, so that -0 and 0 differ. */
static void test_dequantize(void **state)
{
    (void)state;
    for (int32_t dtype = GRAFT_DTYPE_Q8_0; dtype <= GRAFT_DTYPE_Q6_K; dtype++) {
        const struct tensor_view *raw = find(quant_name(dtype), "raw");
        const struct tensor_view *wanted = find(quant_name(dtype), "f32");
        int64_t n = wanted->shape.dim[0];
        assert_int_equal(quant_row_bytes(dtype, n), raw->bytes);
        /* An odd address: weights may lie anywhere. */
        unsigned char *askew = mem_alloc(raw->bytes + 1);
        float *out = mem_alloc(wanted->bytes);
        memcpy(askew + 1, raw->data, raw->bytes);
        memset(out, 0xFF, wanted->bytes);
        dequantize_row(dtype, askew + 1, out, n);
        if (memcmp(out, wanted->data, wanted->bytes) != 0)
            fail_msg("%s differs", quant_name(dtype));
        mem_free(out);
        mem_free(askew);
    }
}

static void test_quantize(void **state)
{
    static const int32_t types[] = {GRAFT_DTYPE_F16,  GRAFT_DTYPE_BF16, GRAFT_DTYPE_Q8_0,
                                    GRAFT_DTYPE_Q4_0, GRAFT_DTYPE_Q4_1, GRAFT_DTYPE_Q5_0,
                                    GRAFT_DTYPE_Q5_1};
    const struct tensor_view *x = safetensors_find(golden, "x");
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        const struct tensor_view *wanted = find(quant_name(types[i]), "quantized");
        unsigned char *out = mem_zalloc(1, wanted->bytes);
        assert_int_equal(quant_row_bytes(types[i], x->shape.dim[0]), wanted->bytes);
        assert_true(quantize_row(types[i], x->data, out, x->shape.dim[0]));
        if (memcmp(out, wanted->data, wanted->bytes) != 0) fail_msg("%s", quant_name(types[i]));
        mem_free(out);
    }
    assert_false(quantize_row(GRAFT_DTYPE_Q4_K, x->data, NULL, 256));
}

/* Not numbers must not lead to undefined conversions (the sanitizer watches). */
static void test_quantize_not_numbers(void **state)
{
    static const int32_t types[] = {GRAFT_DTYPE_Q8_0, GRAFT_DTYPE_Q4_0, GRAFT_DTYPE_Q4_1,
                                    GRAFT_DTYPE_Q5_0, GRAFT_DTYPE_Q5_1};
    float x[32] = {NAN, INFINITY, -INFINITY, 1e38f, -1e38f, 1e-45f};
    unsigned char out[34];
    (void)state;
    for (size_t i = 0; i < 5; i++) assert_true(quantize_row(types[i], x, out, 32));
}

/* All 65536 halves: their values by definition, and back to the same bits. */
static void test_f16_all(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        int exponent = (int)(bits >> 10 & 31), mantissa = (int)(bits & 1023);
        float sign = bits >> 15 ? -1.0f : 1.0f, value = f32_from_f16((uint16_t)bits);
        if (exponent == 31) {
            if (mantissa != 0)
                assert_true(isnan(value));
            else
                assert_true(value == sign * INFINITY);
            if (mantissa != 0)
                assert_int_equal(f16_from_f32(value), 0x7E00 | (bits & 0x8000));
            else
                assert_int_equal(f16_from_f32(value), bits);
            continue;
        }
        float wanted = exponent == 0 ? ldexpf((float)mantissa, -24)
                                     : ldexpf((float)(mantissa + 1024), exponent - 25);
        assert_int_equal(float_bits(value), float_bits(sign * wanted));
        assert_int_equal(f16_from_f32(value), bits);
    }
}

/* Halfway between neighbours goes to the even one, a hair to either side to the nearer. */
static void test_f16_rounding(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x7C00; bits++) {
        float low = f32_from_f16((uint16_t)bits);
        float high = bits == 0x7BFF ? 65536.0f : f32_from_f16((uint16_t)(bits + 1));
        float middle = low / 2 + high / 2;
        assert_int_equal(f16_from_f32(middle), bits + bits % 2);
        assert_int_equal(f16_from_f32(nextafterf(middle, low)), bits);
        assert_int_equal(f16_from_f32(-nextafterf(middle, high)), (bits + 1) | 0x8000);
    }
    assert_int_equal(f16_from_f32(3e38f), 0x7C00);
    assert_int_equal(f16_from_f32(1e-40f), 0);
}

static void test_bf16(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        float value = f32_from_bf16((uint16_t)bits);
        uint32_t quiet = isnan(value) ? bits | 0x40 : bits;
        assert_int_equal(bf16_from_f32(value), quiet);
    }
    assert_int_equal(bf16_from_f32(float_from_bits(0x3F808000)), 0x3F80); /* halfway, to even */
    assert_int_equal(bf16_from_f32(float_from_bits(0x3F818000)), 0x3F82);
    assert_int_equal(bf16_from_f32(float_from_bits(0x3F808001)), 0x3F81);
    assert_int_equal(bf16_from_f32(float_from_bits(0x7F800001)), 0x7FC0); /* stays a NaN */
    assert_int_equal(bf16_from_f32(float_from_bits(0x7F7FFFFF)), 0x7F80);
}

static void test_sizes(void **state)
{
    (void)state;
    assert_int_equal(quant_row_bytes(GRAFT_DTYPE_Q4_K, 512), 288);
    assert_int_equal(quant_row_bytes(GRAFT_DTYPE_Q4_K, 500), 0);
    assert_int_equal(quant_row_bytes(GRAFT_DTYPE_F64, INT64_MAX / 4), 0);
    assert_int_equal(quant_row_bytes(GRAFT_DTYPE_F32, -1), 0);
    assert_int_equal(quant_row_bytes(99, 32), 0);
    assert_null(quant_name(99));
    assert_int_equal(quant_block(GRAFT_DTYPE_Q6_K), 256);
    assert_int_equal(quant_block(GRAFT_DTYPE_BF16), 1);
    assert_true(quant_is_weight(GRAFT_DTYPE_NF4));
    assert_false(quant_is_weight(GRAFT_DTYPE_U8));
}

/* A tile is the same numbers as the whole, for every place and size. */
static void check_tiles(int32_t dtype, const void *weight, int64_t rows, int64_t cols, int64_t step)
{
    float *whole = mem_zalloc((size_t)(rows * cols), sizeof *whole);
    float *tile = mem_zalloc((size_t)(rows * cols), sizeof *tile);
    dequantize_tile(dtype, weight, cols, 0, rows, 0, cols, whole);
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t col = 0; col < cols; col += step) {
            for (int64_t n = step; col + n <= cols; n += step) {
                memset(tile, 0xFF, (size_t)(rows * cols) * sizeof *tile);
                dequantize_tile(dtype, weight, cols, row, rows - row, col, n, tile);
                for (int64_t r = row; r < rows; r++)
                    assert_memory_equal(tile + (r - row) * n, whole + r * cols + col,
                                        (size_t)n * sizeof *tile);
            }
        }
    }
    mem_free(tile);
    mem_free(whole);
}

static void test_tiles(void **state)
{
    const struct tensor_view *x = safetensors_find(golden, "x");
    struct error e = {0};
    struct graft_nf4 *nf4 = NULL;
    struct tensor_view view = *x;
    (void)state;
    check_tiles(GRAFT_DTYPE_F32, x->data, 4, 8, 1);
    check_tiles(GRAFT_DTYPE_Q5_1, find("Q5_1", "raw")->data, 2, 96, 32);
    check_tiles(GRAFT_DTYPE_BF16, x->data, 3, 7, 1);
    check_tiles(GRAFT_DTYPE_Q6_K, find("Q6_K", "raw")->data, 1, 768, 256);
    view.shape = graft_shape2(9, 25); /* rows of odd length: blocks and bytes cross them */
    assert_ok(weights_quantize_nf4(&view, 32, true, &nf4, &e), &e);
    check_tiles(GRAFT_DTYPE_NF4, nf4, 9, 25, 1);
    mem_free(nf4);
}

/* Dimensions that matter, from facts of bitsandbytes' create_dynamic_map. */
static void test_nested_map(void **state)
{
    float map[256];
    (void)state;
    nf4_nested_map(map);
    assert_true(map[0] == -0.992968738f && map[254] == 0.992968738f && map[255] == 1.0f);
    assert_true(map[127] == 0.0f && map[128] == 5.5000004e-07f && map[129] == 3.2500002e-06f);
    for (int i = 1; i < 256; i++) assert_true(map[i - 1] < map[i]);
}

static void test_nf4_layouts(void **state)
{
    (void)state;
    assert_int_equal(nf4_bytes(0, 64, true), 0);
    assert_int_equal(nf4_bytes(64, 48, true), 0);
    assert_int_equal(nf4_bytes(64, 16, true), 0);
    assert_int_equal(nf4_bytes(64, 8192, true), 0);
    for (int nested = 0; nested < 2; nested++) {
        struct graft_nf4 w;
        nf4_init(&w, 1001, 64, nested);
        assert_int_equal(w.bytes, nf4_bytes(1001, 64, nested));
        assert_int_equal(w.codes % 64 + w.absmax % 64 + w.map % 64 + w.nested_map % 64, 0);
        assert_true(w.codes >= sizeof w && w.absmax >= w.codes + 501);
        assert_true(w.nested_absmax >= w.absmax + (nested ? 16u : 64u));
        assert_true(w.map + 64 <= w.bytes);
    }
}

/* One block of zeros but for its first two numbers; the code of the second. */
static int second_code(float most, float x, int64_t count)
{
    _Alignas(64) unsigned char buffer[1024];
    struct graft_nf4 *w = (struct graft_nf4 *)(void *)buffer;
    float block[64] = {most, x}, absmax[1];
    assert_true(nf4_bytes(count, 64, false) <= sizeof buffer);
    nf4_init(w, count, 64, false);
    quantize_nf4(block, 0, count, w, absmax);
    return buffer[w->codes] & 15;
}

/* A number right between two codes takes the lower one; and one whose place depends on whether it
 * is divided or multiplied by the reciprocal goes where bitsandbytes puts it in a full and in a
 * short block. */
static void test_nf4_ties(void **state)
{
    (void)state;
    for (int k = 0; k < 15; k++) {
        float middle = (nf4_map[k] + nf4_map[k + 1]) / 2;
        assert_int_equal(second_code(1, middle, 64), k);
        assert_int_equal(second_code(1, nextafterf(middle, 2), 64), k + 1);
    }
    assert_int_equal(second_code(0x1.4ed326p-1f, 0x1.871804p-3f, 64), 11);
    assert_int_equal(second_code(0x1.4ed326p-1f, 0x1.871804p-3f, 32), 10);
    assert_int_equal(second_code(0x1.621472p-1f, 0x1.9d95b6p-3f, 64), 10);
    assert_int_equal(second_code(0x1.621472p-1f, 0x1.9d95b6p-3f, 32), 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dequantize),  cmocka_unit_test(test_quantize),
        cmocka_unit_test(test_f16_all),     cmocka_unit_test(test_f16_rounding),
        cmocka_unit_test(test_bf16),        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_tiles),       cmocka_unit_test(test_nested_map),
        cmocka_unit_test(test_nf4_layouts), cmocka_unit_test(test_quantize_not_numbers),
        cmocka_unit_test(test_nf4_ties),
    };
    return cmocka_run_group_tests(tests, open_golden, close_golden) != 0;
}

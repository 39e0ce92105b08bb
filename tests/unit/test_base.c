/* SPDX-License-Identifier: Apache-2.0
 *
 * base: numbers, UTF-8, Philox, SHA-256, threads, JSON, memory.
 */
#include "unit/test.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "base/threads.h"

#include <locale.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

static void test_error_places(void **state)
{
    struct error e = {0};
    (void)state;
    assert_int_equal(error_set(&e, GRAFT_E_INVALID, "r: %d exceeds 64", 128), GRAFT_E_INVALID);
    assert_int_equal(error_place(&e, "recipe.yaml:%d:%d", 12, 9), GRAFT_E_INVALID);
    assert_string_equal(e.text, "recipe.yaml:12:9: r: 128 exceeds 64");
}

static void test_numbers(void **state)
{
    int64_t i;
    double d;
    char text[32];
    (void)state;
    assert_true(parse_int64("-42", &i) && i == -42);
    assert_false(parse_int64("9223372036854775808", &i));
    assert_false(parse_int64("0x10", &i));
    assert_true(parse_double("1e-3", &d) && d == 1e-3);
    assert_true(parse_double(".5", &d) && d == 0.5);
    assert_false(parse_double("nan", &d));
    assert_false(parse_double("0x1p3", &d));
    assert_false(parse_double("1e400", &d));
    assert_string_equal(format_f32(0.1f, text), "0.1");
    assert_string_equal(format_f64(0.1, text), "0.1");
    assert_string_equal(format_f64(NAN, text), "null");
    assert_string_equal(format_plain(100, text), "100");
    assert_string_equal(format_plain(-2, text), "-2");
    assert_string_equal(format_plain(2e-4, text), "0.0002");
    assert_string_equal(format_plain(1e300, text), "1e+300");
    assert_string_equal(format_plain(NAN, text), "null");
    struct str counts = {0};
    for (uint64_t n = 999; n <= 1000000; n *= 1001) str_count(&counts, n), str_putc(&counts, ' ');
    assert_string_equal(counts.data, "999 999,999 ");
    str_free(&counts);
    float third = 1.0f / 3.0f;
    assert_true(parse_double(format_f32(third, text), &d) && (float)d == third);
}

static void test_utf8(void **state)
{
    char out[4];
    (void)state;
    assert_int_equal(utf8_check("a\xC3\xA9\xF0\x9F\x99\x82", 7), 7);
    assert_int_equal(utf8_check("ab\xC0\xAF", 4), 2);   /* overlong */
    assert_int_equal(utf8_check("\xED\xA0\x80", 3), 0); /* surrogate */
    assert_int_equal(utf8_check("\xE2\x82", 2), 0);     /* cut */
    assert_int_equal(utf8_encode(0x1F642, out), 4);
    assert_int_equal(utf8_decode(out, 4), 0x1F642);
    assert_int_equal(utf8_decode("\xC3\xA9", 2), 0xE9);
}

static void test_nearest(void **state)
{
    static const char *const keys[] = {"lora_alpha", "lora_dropout", "r"};
    (void)state;
    assert_string_equal(nearest_word("lora_alhpa", keys, 3), "lora_alpha");
    assert_null(nearest_word("quantize", keys, 3));
    static const char *const methods[] = {"adam", "adamw", "hra", "lora"};
    assert_string_equal(nearest_word("lroa", methods, 4), "lora");
    assert_string_equal(nearest_word("adamv", methods, 4), "adamw");
}

/* Known answers of Random123's kat_vectors for philox4x32 with 10 rounds. */
static void test_philox(void **state)
{
    uint32_t out[4];
    (void)state;
    random_words((struct random_key){{0, 0}}, (uint32_t[4]){0, 0, 0, 0}, out);
    assert_int_equal(out[0], 0x6627e8d5);
    random_words((struct random_key){{0xa4093822, 0x299f31d0}},
                 (uint32_t[4]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, out);
    assert_int_equal(out[0], 0xd16cfe09);
    assert_int_equal(out[1], 0x94fdcceb);
    assert_int_equal(out[2], 0x5001e420);
    assert_int_equal(out[3], 0x24126ea1);
}

static void test_permutation(void **state)
{
    uint32_t order[100], seen[100] = {0}, other[100];
    struct random_key key = random_key(42, RANDOM_ORDER, 0, "rows", 0);
    (void)state;
    random_permutation(key, 0, order, 100);
    for (size_t i = 0; i < 100; i++) seen[order[i]]++;
    for (size_t i = 0; i < 100; i++) assert_int_equal(seen[i], 1);
    random_permutation(key, 1, other, 100);
    assert_memory_not_equal(order, other, sizeof order);
}

static void test_sha256(void **state)
{
    char hex[HASH_HEX_SIZE];
    (void)state;
    hash_bytes_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void count_task(void *context, uint32_t index, uint32_t thread)
{
    atomic_int *hits = context;
    (void)thread;
    atomic_fetch_add(&hits[index], 1);
}

static void test_threads(void **state)
{
    struct error e = {0};
    struct thread_pool *pool = NULL;
    atomic_int hits[1000] = {0};
    (void)state;
    assert_ok(thread_pool_create(3, &pool, &e), &e);
    for (int round = 0; round < 50; round++) thread_pool_run(pool, 1000, count_task, hits);
    for (size_t i = 0; i < 1000; i++) assert_int_equal(hits[i], 50);
    thread_pool_destroy(pool);
}

static void count_later(void *context, uint32_t index, uint32_t thread)
{
    for (volatile int i = 0; i < 20000; i++) {}
    count_task(context, index, thread);
}

/* Short rounds, and more threads than processors: workers come late, to a round that is over. */
static void test_threads_come_late(void **state)
{
    struct error e = {0};
    struct thread_pool *pool = NULL;
    (void)state;
    assert_ok(thread_pool_create(2 * thread_processors() + 1, &pool, &e), &e);
    for (uint32_t round = 0; round < 500; round++) {
        atomic_int hits[40] = {0};
        uint32_t tasks = round * 7 % 40;
        thread_pool_run(pool, tasks, count_later, hits);
        for (uint32_t i = 0; i < 40; i++) assert_int_equal(hits[i], i < tasks);
    }
    thread_pool_destroy(pool);
}

static void test_json(void **state)
{
    static const char text[] = "{\"b\":[1,2.5,\"x\\n\\u00e9\"],\"a\":null}";
    struct error e = {0};
    struct str out = {0};
    json_t *value = NULL;
    (void)state;
    assert_ok(json_read_bytes(text, sizeof text - 1, &value, &e), &e);
    json_write(&out, value, 0, false);
    assert_string_equal(out.data, "{\"b\":[1,2.5,\"x\\n\xC3\xA9\"],\"a\":null}");
    json_decref(value);
    str_free(&out);
    assert_int_equal(json_read_bytes("{\"a\":1,\"a\":2}", 13, &value, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "1:"));
}

static void test_memory(void **state)
{
    size_t product;
    (void)state;
    assert_false(size_mul(SIZE_MAX / 2, 3, &product));
    int64_t before = mem_live_count();
    struct arena a = {0};
    assert_non_null(arena_alloc(&a, 100000, 8));
    assert_string_equal(arena_format(&a, "%s.%d", "x", 3), "x.3");
    arena_free(&a);
    assert_int_equal(mem_live_count(), before);
    mem_fail_after(2);
    void *first = mem_alloc(1);
    assert_non_null(first);
    assert_null(mem_alloc(1));
    assert_null(mem_alloc(1));
    mem_fail_after(0);
    mem_free(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_places),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_philox),
        cmocka_unit_test(test_permutation),
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_threads_come_late),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_memory),
    };
    return TEST_MAIN(tests);
}

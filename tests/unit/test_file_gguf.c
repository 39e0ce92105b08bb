/* SPDX-License-Identifier: Apache-2.0
 *
 * file/gguf.h against a file of gguf-py (make_file_data.py), and against damaged ones.
 */
#include "unit/test.h"

#include "base/memory.h"
#include "base/text.h"
#include "file/atomic.h"
#include "file/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATA GRAFT_TEST_DIR "/unit/data/file/"

static char path[] = "/tmp/graft-gguf-XXXXXX";
static struct str small; /* the bytes of small.gguf */

static int setup(void **state)
{
    FILE *file = fopen(DATA "small.gguf", "rb");
    char buffer[4096];
    size_t n;
    int fd = mkstemp(path);
    (void)state;
    if (file == NULL || fd < 0) return -1;
    while ((n = fread(buffer, 1, sizeof buffer, file)) > 0) str_add(&small, buffer, n);
    fclose(file);
    close(fd);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    str_free(&small);
    return unlink(path);
}

static struct gguf *open_small(void)
{
    struct gguf *file = NULL;
    struct error e = {0};
    assert_ok(gguf_open(DATA "small.gguf", &file, &e), &e);
    return file;
}

static void test_scalars(void **state)
{
    static const struct {
        const char *key;
        int64_t value;
    } integers[] = {
        {"t.u8", 200},     {"t.i8", -5},          {"t.u16", 65535},         {"t.i16", -300},
        {"t.i32", -70000}, {"t.u32", 4294967295}, {"t.i64", -1099511627776}};
    struct gguf *file = open_small();
    int64_t integer = 0;
    double number = 0;
    bool truth = false;
    const char *text = NULL;
    size_t length = 0;
    (void)state;
    for (size_t i = 0; i < 7; i++) {
        assert_true(gguf_get_int(file, integers[i].key, &integer));
        assert_int_equal(integer, integers[i].value);
        assert_true(gguf_get_number(file, integers[i].key, &number));
        assert_true(number == (double)integers[i].value);
    }
    assert_false(gguf_get_int(file, "t.u64", &integer)); /* 2^63 does not fit */
    assert_false(gguf_get_int(file, "t.f32", &integer));
    assert_false(gguf_get_int(file, "t.missing", &integer));
    assert_true(gguf_get_number(file, "t.f32", &number) && number == (double)0.1f);
    assert_true(gguf_get_number(file, "t.f64", &number) && number == 0.1);
    assert_true(gguf_get_bool(file, "t.bool", &truth) && truth);
    assert_false(gguf_get_bool(file, "t.u8", &truth));
    assert_true(gguf_get_string(file, "t.string", &text, &length));
    assert_string_equal(text, "gr\xC3\xBC\xC3\x9F"
                              "e");
    assert_int_equal(length, 7);
    assert_false(gguf_get_string(file, "t.strings", &text, &length));
    assert_true(gguf_has(file, "general.architecture"));
    assert_false(gguf_has(file, "general"));
    gguf_close(file);
}

static void test_arrays(void **state)
{
    struct gguf *file = open_small();
    int64_t integer = 0;
    double number = 0;
    const char *text = NULL;
    size_t length = 0;
    (void)state;
    assert_int_equal(gguf_array_count(file, "t.strings"), 3);
    assert_int_equal(gguf_array_count(file, "t.u8"), 0);
    assert_true(gguf_array_string(file, "t.strings", 2, &text, &length));
    assert_int_equal(length, 3);
    assert_memory_equal(text, "d\xC3\xA9", 3);
    assert_true(gguf_array_string(file, "t.strings", 0, &text, &length));
    assert_true(length == 1 && text[0] == 'a');
    assert_false(gguf_array_string(file, "t.strings", 3, &text, &length));
    assert_false(gguf_array_string(file, "t.ints", 0, &text, &length));
    assert_true(gguf_array_int(file, "t.ints", 1, &integer) && integer == -2);
    assert_false(gguf_array_int(file, "t.ints", 3, &integer));
    assert_false(gguf_array_int(file, "t.strings", 0, &integer));
    assert_true(gguf_array_number(file, "t.floats", 1, &number) && number == 1.5);
    gguf_close(file);
}

static void test_tensors(void **state)
{
    static const float numbers[6] = {0, 1, 2, 3, 4, 5};
    struct gguf *file = open_small();
    (void)state;
    assert_int_equal(gguf_tensor_count(file), 4);
    const struct tensor_view *matrix = gguf_find_tensor(file, "matrix");
    assert_ptr_equal(matrix, gguf_tensor(file, 0));
    assert_int_equal(matrix->shape.rank, 2); /* [2, 3] as numpy has it */
    assert_int_equal(matrix->shape.dim[0], 2);
    assert_int_equal(matrix->shape.dim[1], 3);
    assert_int_equal(matrix->shape.dim[3], 1);
    assert_int_equal(matrix->bytes, sizeof numbers);
    assert_memory_equal(matrix->data, numbers, sizeof numbers);
    assert_int_equal((uintptr_t)gguf_find_tensor(file, "q8_0")->data % 32, 0);
    assert_int_equal(gguf_find_tensor(file, "q8_0")->dtype, GRAFT_DTYPE_Q8_0);
    assert_int_equal(gguf_find_tensor(file, "q8_0")->bytes, 3 * 2 * 34);
    const struct tensor_view *other = gguf_find_tensor(file, "iq4_nl");
    assert_int_equal(other->dtype, TENSOR_DTYPE_OTHER);
    assert_string_equal(other->type_name, "IQ4_NL");
    assert_int_equal(other->shape.dim[1], 64);
    assert_null(gguf_find_tensor(file, "matri"));
    assert_null(gguf_tensor(file, 4));
    gguf_close(file);
}

/* ---- damaged files ---- */

static enum graft_status open_bytes(const void *bytes, size_t length, struct gguf **file,
                                    struct error *e)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, length, out), length);
    fclose(out);
    return gguf_open(path, file, e);
}

static volatile unsigned sum; /* kept, so that the bytes are read */

/* Reads everything that an open file offers; the sanitizer watches. */
static void read_all(const struct gguf *file)
{
    static const char *const keys[] = {"t.u8",   "t.string", "t.strings",
                                       "t.ints", "t.f64",    "t.bool"};
    const char *text;
    size_t length;
    double number;
    bool truth;
    for (size_t i = 0; i < gguf_tensor_count(file); i++) {
        const struct tensor_view *tensor = gguf_tensor(file, i);
        const unsigned char *bytes = tensor->data;
        assert_ptr_equal(gguf_find_tensor(file, tensor->name), tensor);
        for (size_t j = 0; j < tensor->bytes; j++) sum += bytes[j];
    }
    for (size_t k = 0; k < 6; k++) {
        for (size_t i = 0; i < gguf_array_count(file, keys[k]) && i < 100; i++) {
            if (gguf_array_string(file, keys[k], i, &text, &length) && length != 0)
                sum += (unsigned)text[length - 1];
            if (gguf_array_number(file, keys[k], i, &number)) sum++;
        }
        if (gguf_get_string(file, keys[k], &text, &length)) sum += (unsigned)text[length];
        if (gguf_get_number(file, keys[k], &number) || gguf_get_bool(file, keys[k], &truth)) sum++;
    }
}

static void test_cut_everywhere(void **state)
{
    (void)state;
    for (size_t length = 0; length < small.length; length++) {
        struct gguf *file = NULL;
        struct error e = {0};
        enum graft_status status = open_bytes(small.data, length, &file, &e);
        if (status == GRAFT_OK) { /* only the last tensor's padding may be missing */
            if (small.length - length >= 32) fail_msg("cut to %zu bytes it opens", length);
            gguf_close(file);
            continue;
        }
        assert_int_equal(status, GRAFT_E_INVALID);
        assert_non_null(strstr(e.text, path));
        assert_null(file);
    }
}

static void test_every_byte_changed(void **state)
{
    static const unsigned char changes[] = {0x01, 0x80, 0xFF, 0x10};
    (void)state;
    for (size_t at = 0; at < small.length; at++) {
        for (size_t c = 0; c < sizeof changes; c++) {
            struct gguf *file = NULL;
            struct error e = {0};
            small.data[at] = (char)((unsigned char)small.data[at] ^ changes[c]);
            enum graft_status status = open_bytes(small.data, small.length, &file, &e);
            small.data[at] = (char)((unsigned char)small.data[at] ^ changes[c]);
            if (status == GRAFT_OK)
                read_all(file);
            else
                assert_int_equal(status, GRAFT_E_INVALID);
            gguf_close(file);
        }
    }
}

/* ---- made files ---- */

static void put_u32(struct str *s, uint32_t value)
{
    str_add(s, (const char *)&value, sizeof value);
}

static void put_u64(struct str *s, uint64_t value)
{
    str_add(s, (const char *)&value, sizeof value);
}

static void put_text(struct str *s, const char *text)
{
    put_u64(s, strlen(text));
    str_puts(s, text);
}

struct made {
    uint32_t version;
    uint64_t pairs, tensors;
    const char *key; /* a u32 */
    uint32_t value;
    const char *name, *second; /* of the tensors */
    uint32_t rank, type;
    uint64_t dim[5], offset, second_offset;
    size_t data;
};

/* One key, two F32 tensors of 8 numbers, alignment 64. */
static const struct made good = {3, 1,  2, "general.alignment", 64, "a", "b", 1, 0, {8, 1, 1, 1, 1},
                                 0, 64, 96};

static void build(struct str *s, const struct made *m)
{
    str_puts(s, "GGUF");
    put_u32(s, m->version);
    put_u64(s, m->tensors);
    put_u64(s, m->pairs);
    put_text(s, m->key);
    put_u32(s, 4);
    put_u32(s, m->value);
    for (int t = 0; t < 2; t++) {
        put_text(s, t == 0 ? m->name : m->second);
        put_u32(s, m->rank);
        for (uint32_t i = 0; i < m->rank; i++) put_u64(s, m->dim[i]);
        put_u32(s, m->type);
        put_u64(s, t == 0 ? m->offset : m->second_offset);
    }
    while (s->length % 64 != 0) str_putc(s, '\0');
    for (size_t i = 0; i < m->data; i++) str_putc(s, (char)i);
}

/* text NULL: it opens. */
static void expect(const struct made *m, const char *text)
{
    struct gguf *file = NULL;
    struct error e = {0};
    struct str s = {0};
    build(&s, m);
    enum graft_status status = open_bytes(s.data, s.length, &file, &e);
    str_free(&s);
    if (text == NULL) {
        if (status != GRAFT_OK) fail_msg("%s", e.text);
        assert_int_equal((uintptr_t)gguf_tensor(file, 1)->data % 64, 0);
    } else {
        assert_int_equal(status, GRAFT_E_INVALID);
        if (strstr(e.text, text) == NULL) fail_msg("\"%s\" is not in \"%s\"", text, e.text);
    }
    gguf_close(file);
}

#define EXPECT(text, ...)                                                                          \
    do {                                                                                           \
        struct made m = good;                                                                      \
        __VA_ARGS__;                                                                               \
        expect(&m, text);                                                                          \
    } while (0)

static void test_rules(void **state)
{
    static const char long_name[] =
        "0123456789012345678901234567890123456789012345678901234567890123"; /* 64 */
    (void)state;
    expect(&good, NULL);
    EXPECT(NULL, m.version = 2);
    EXPECT(NULL, m.name = long_name + 1);
    EXPECT("allowed are 1 to 63", m.name = long_name);
    EXPECT("allowed are 1 to 63", m.name = "");
    EXPECT("not UTF-8", m.name = "\xC0\xAF");
    EXPECT("allowed are 1 to 65535", m.key = "");
    EXPECT("GGUF version 1", m.version = 1);
    EXPECT("GGUF version 4", m.version = 4);
    EXPECT("big-endian", m.version = 0x03000000);
    EXPECT("general.alignment is 0", m.value = 0);
    EXPECT("general.alignment is 48", m.value = 48);
    EXPECT("powers of two", m.value = 1u << 31);
    EXPECT("tensor a is there twice", m.second = "a");
    EXPECT("has 5 dimensions, at most 4", m.rank = 5);
    EXPECT("type id 4, which is unknown or was removed", m.type = 4);
    EXPECT("type id 99", m.type = 99);
    EXPECT("rows of 8 numbers, type Q8_0 needs a multiple of 32", m.type = 8);
    EXPECT("tensor a: has offset 64, expected is 0", m.offset = 64);
    EXPECT("tensor b: has offset 32, expected is 64", m.second_offset = 32);
    EXPECT("tensor b: has offset 128, expected is 64", m.second_offset = 128);
    EXPECT("more numbers than fit", m.rank = 2, m.dim[1] = UINT64_C(1) << 62);
    EXPECT("more numbers than fit", m.rank = 3, m.dim[0] = 0, m.dim[1] = m.dim[2] = INT64_MAX);
    EXPECT("more numbers than fit", m.dim[0] = UINT64_MAX);
    EXPECT("more bytes than fit", m.dim[0] = UINT64_C(1) << 62);
    EXPECT("ends inside the data of tensor b", m.data = 95);
    EXPECT("promises", m.tensors = UINT64_C(1) << 60);
    EXPECT("promises", m.pairs = UINT64_MAX);
}

static void test_twice_the_key(void **state)
{
    struct gguf *file = NULL;
    struct error e = {0};
    (void)state;
    for (size_t i = 0; i + 4 < small.length; i++) {
        if (memcmp(small.data + i, "t.u8", 4) != 0) continue;
        small.data[i + 2] = 'i'; /* t.i8 is there already */
        assert_int_equal(open_bytes(small.data, small.length, &file, &e), GRAFT_E_INVALID);
        small.data[i + 2] = 'u';
        assert_non_null(strstr(e.text, "metadata t.i8 is there twice"));
        return;
    }
    fail_msg("no t.u8");
}

static void test_arrays_that_lie(void **state)
{
    static const struct {
        uint32_t type;
        uint64_t count;
        const char *text;
    } cases[] = {{9, 1, "array of arrays"},
                 {13, 1, "unknown item type 13"},
                 {8, UINT64_C(1) << 29, "ends inside an array of strings"},
                 {10, UINT64_C(1) << 29, "ends inside an array"},
                 {10, UINT64_MAX / 8 + 2, "at most 2^30"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str s = {0};
        struct gguf *file = NULL;
        struct error e = {0};
        str_puts(&s, "GGUF");
        put_u32(&s, 3);
        put_u64(&s, 0);
        put_u64(&s, 1);
        put_text(&s, "x");
        put_u32(&s, 9);
        put_u32(&s, cases[i].type);
        put_u64(&s, cases[i].count);
        assert_int_equal(open_bytes(s.data, s.length, &file, &e), GRAFT_E_INVALID);
        if (strstr(e.text, cases[i].text) == NULL) fail_msg("%s", e.text);
        assert_non_null(strstr(e.text, "metadata x"));
        str_free(&s);
    }
}

static void test_other_kinds(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *text;
    } cases[] = {{"", 0, "an empty file"},
                 {"\2\0\0\0\0\0\0\0{}", 10, "looks like a safetensors file"},
                 {"PK\3\4....", 8, "PyTorch"},
                 {"version https://git-lfs.github.com/spec/v1\n", 43, "git lfs pull"},
                 {"tjgg\0\0\0\0", 8, "from before GGUF"},
                 {"something", 9, "of no kind that graft knows"}};
    struct gguf *file = NULL;
    struct error e = {0};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(open_bytes(cases[i].bytes, cases[i].length, &file, &e), GRAFT_E_INVALID);
        if (strstr(e.text, cases[i].text) == NULL) fail_msg("%s", e.text);
    }
    assert_int_equal(gguf_open("/tmp", &file, &e), GRAFT_E_INVALID);
    assert_int_equal(gguf_open("/tmp/graft/none", &file, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "/tmp/graft/none"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),       cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_tensors),       cmocka_unit_test(test_cut_everywhere),
        cmocka_unit_test(test_rules),         cmocka_unit_test(test_every_byte_changed),
        cmocka_unit_test(test_twice_the_key), cmocka_unit_test(test_arrays_that_lie),
        cmocka_unit_test(test_other_kinds),
    };
    return cmocka_run_group_tests(tests, setup, teardown) != 0;
}

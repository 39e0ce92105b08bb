/* SPDX-License-Identifier: Apache-2.0
 *
 * file/safetensors.h against files of the reference writer (make_file_data.py), and against
 * damaged ones.
 */
#include "unit/test.h"

#include "base/memory.h"
#include "base/text.h"
#include "file/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATA GRAFT_TEST_DIR "/unit/data/file/"

static char folder[] = "/tmp/graft-safetensors-XXXXXX";
static char path[64];

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) return -1;
    snprintf(path, sizeof path, "%s/x.safetensors", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static struct safetensors *open_file(const char *name)
{
    struct safetensors *file = NULL;
    struct error e = {0};
    assert_ok(safetensors_open(name, &file, &e), &e);
    return file;
}

static void read_bytes(const char *name, struct str *out)
{
    FILE *file = fopen(name, "rb");
    char buffer[4096];
    size_t n;
    assert_non_null(file);
    while ((n = fread(buffer, 1, sizeof buffer, file)) > 0) str_add(out, buffer, n);
    fclose(file);
}

static enum graft_status open_bytes(const void *bytes, size_t length, struct safetensors **file,
                                    struct error *e)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, length, out), length);
    fclose(out);
    return safetensors_open(path, file, e);
}

static void test_reference(void **state)
{
    struct safetensors *file = open_file(DATA "reference.safetensors");
    (void)state;
    assert_int_equal(safetensors_count(file), 9);
    assert_string_equal(safetensors_metadata(file, "format"), "pt");
    assert_null(safetensors_metadata(file, "recipe"));
    const struct tensor_view *z = safetensors_find(file, "z.f32");
    assert_int_equal(z->dtype, GRAFT_DTYPE_F32);
    assert_int_equal(z->shape.rank, 2);
    assert_true(z->shape.dim[0] == 2 && z->shape.dim[1] == 3 && z->shape.dim[2] == 1);
    for (int i = 0; i < 6; i++) assert_true(((const float *)z->data)[i] == (float)i);
    const struct tensor_view *scalar = safetensors_find(file, "scalar");
    assert_true(scalar->shape.rank == 0 && *(const float *)scalar->data == 3.0f);
    assert_int_equal(safetensors_find(file, "empty")->bytes, 0);
    assert_int_equal(safetensors_find(file, "brain")->dtype, GRAFT_DTYPE_BF16);
    assert_true(((const double *)safetensors_find(file, "doubles")->data)[5] == 5.0);
    assert_string_equal(safetensors_tensor(file, 0)->name, "a.f32");
    assert_null(safetensors_find(file, "a.f3"));
    assert_null(safetensors_tensor(file, 9));
    safetensors_close(file);
    file = open_file(DATA "other.safetensors");
    assert_int_equal(safetensors_find(file, "flags")->dtype, TENSOR_DTYPE_OTHER);
    assert_string_equal(safetensors_find(file, "long")->type_name, "I64");
    const struct tensor_view *deep = safetensors_find(file, "deep");
    assert_int_equal(deep->dtype, TENSOR_DTYPE_OTHER);
    assert_true(deep->shape.dim[0] == 2 && deep->shape.dim[3] == 3 && deep->bytes == 48);
    safetensors_close(file);
}

/* Our writer gives the reference writer's bytes, whatever the order that it is given. */
static void test_writes_the_reference(void **state)
{
    static const struct safetensors_pair metadata[] = {{"format", "pt"}};
    struct safetensors *file = open_file(DATA "reference.safetensors");
    struct tensor_view tensors[9];
    struct str wanted = {0};
    struct error e = {0};
    (void)state;
    read_bytes(DATA "reference.safetensors", &wanted);
    for (size_t turn = 0; turn < 9; turn++) {
        struct str written = {0};
        for (size_t i = 0; i < 9; i++) tensors[i] = *safetensors_tensor(file, (i + turn) % 9);
        assert_ok(safetensors_write(path, tensors, 9, metadata, 1, &e), &e);
        read_bytes(path, &written);
        assert_int_equal(written.length, wanted.length);
        assert_memory_equal(written.data, wanted.data, wanted.length);
        str_free(&written);
    }
    str_free(&wanted);
    safetensors_close(file);
}

static void test_writer_refuses(void **state)
{
    static const float x[4] = {1, 2, 3, 4};
    struct tensor_view t[2] = {{"a", GRAFT_DTYPE_F32, graft_shape1(4), x, 16, "F32"},
                               {"a", GRAFT_DTYPE_F32, graft_shape1(4), x, 16, "F32"}};
    struct safetensors_pair pairs[2] = {{"k", "1"}, {"k", "2"}};
    struct error e = {0};
    (void)state;
    assert_int_equal(safetensors_write(path, t, 2, NULL, 0, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "tensor a is there twice"));
    t[1].name = "b";
    assert_int_equal(safetensors_write(path, t, 2, pairs, 2, &e), GRAFT_E_INVALID);
    pairs[1].key = "j\"\n\xC3\xA9";
    assert_ok(safetensors_write(path, t, 2, pairs, 2, &e), &e);
    struct safetensors *file = open_file(path);
    assert_string_equal(safetensors_metadata(file, "j\"\n\xC3\xA9"), "2");
    safetensors_close(file);
    t[1].bytes = 12;
    assert_int_equal(safetensors_write(path, t, 2, NULL, 0, &e), GRAFT_E_INVALID);
    t[1].dtype = GRAFT_DTYPE_Q8_0;
    assert_int_equal(safetensors_write(path, t, 2, NULL, 0, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "tensor b is of type Q8_0"));
    assert_int_equal(safetensors_write("/tmp/graft/no/x", t, 1, NULL, 0, &e), GRAFT_E_IO);
    assert_non_null(strstr(e.text, "/tmp/graft/no/x"));
}

/* ---- rules ---- */

/* A header and `data` bytes behind it; text NULL: it opens. */
static void expect(const char *header, size_t data, const char *text)
{
    struct safetensors *file = NULL;
    struct error e = {0};
    struct str s = {0};
    uint64_t length = strlen(header);
    str_add(&s, (const char *)&length, 8);
    str_puts(&s, header);
    for (size_t i = 0; i < data; i++) str_putc(&s, (char)i);
    enum graft_status status = open_bytes(s.data, s.length, &file, &e);
    str_free(&s);
    if (text == NULL) {
        if (status != GRAFT_OK) fail_msg("%s: %s", header, e.text);
    } else {
        assert_int_equal(status, GRAFT_E_INVALID);
        assert_non_null(strstr(e.text, path));
        if (strstr(e.text, text) == NULL) fail_msg("\"%s\" is not in \"%s\"", text, e.text);
    }
    safetensors_close(file);
}

#define T(name, dtype, shape, begin, end)                                                          \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end \
    "]}"

static void test_rules(void **state)
{
    (void)state;
    expect("{" T("a", "U8", "2", "0", "2") "}   ", 2, NULL);
    expect("{" T("b", "U8", "2", "2", "4") "," T("a", "U8", "2", "0", "2") "}", 4, NULL);
    expect("{\"a\":{\"shape\":[0,9],\"data_offsets\":[0,0],\"dtype\":\"F32\"}}", 0, NULL);
    expect("{}", 0, NULL);
    expect("{\"__metadata__\":{}}", 0, NULL);
    expect("{}", 1, "1 bytes behind the last tensor");
    expect("{" T("a", "U8", "2", "0", "2") "}", 3, "1 bytes behind the last tensor");
    expect("{" T("a", "U8", "2", "0", "2") "}", 1, "ends inside the data of tensor a");
    expect("{" T("a", "U8", "2", "1", "3") "}", 3, "tensor a begins at byte 1");
    expect("{" T("a", "U8", "2", "0", "2") "," T("b", "U8", "2", "1", "3") "}", 3,
           "tensor b begins");
    expect("{" T("a", "U8", "2", "0", "2") "," T("b", "U8", "1", "3", "4") "}", 4,
           "tensor b begins");
    expect("{" T("a", "U8", "2", "0", "3") "}", 3, "do not hold its 2 numbers of type U8");
    expect("{" T("a", "U8", "2", "2", "0") "}", 2, "do not hold");
    expect("{" T("a", "F4", "3", "0", "2") "}", 2, "do not hold");
    expect("{" T("a", "F4", "4", "0", "2") "}", 2, NULL);
    expect("{" T("a", "U9", "2", "0", "2") "}", 2, "unknown dtype \"U9\"");
    expect("{" T("a", "U8", "-2", "0", "2") "}", 2, "whole numbers");
    expect("{" T("a", "U8", "2.0", "0", "2") "}", 2, "whole numbers");
    expect("{" T("a", "U8", "2", "-1", "1") "}", 2, "the entry is not");
    expect("{" T("a", "U8", "4611686018427387904,4", "0", "0") "}", 0, "too many numbers");
    expect("{" T("a", "U8", "0,4611686018427387904,4", "0", "0") "}", 0, "too many numbers");
    expect("{" T("a", "U8", "99999999999999999999", "0", "0") "}", 0, "not valid JSON");
    expect("{" T("a", "U8", "1", "0", "1") "," T("a", "U8", "1", "1", "2") "}", 2, "header");
    expect("{" T("", "U8", "1", "0", "1") "}", 1, "empty name");
    expect("{\"a\":1}", 0, "the entry is not");
    expect("{\"a\":{}}", 0, "the entry is not");
    expect("{\"__metadata__\":{\"a\":1}}", 0, "\"a\" is not a string");
    expect("{\"__metadata__\":[]}", 0, "not an object");
    expect("{\"\xC0\xAF\":1}", 0, "not valid JSON");
    expect("[]", 0, "not a safetensors file");
    expect("{\"a\"", 0, "not valid JSON");
}

/* A parser that calls itself must not be led down by the file. */
static void test_depth(void **state)
{
    struct str s = {0};
    (void)state;
    str_puts(&s, "{\"a\":");
    for (int i = 0; i < 100000; i++) str_putc(&s, '[');
    expect(s.data, 0, "not valid JSON");
    str_free(&s);
}

static void test_lengths(void **state)
{
    static const struct {
        uint64_t length;
        const char *text;
    } cases[] = {{100000001, "at most 100000000"},
                 {UINT64_MAX, "at most 100000000"},
                 {1000, "ends inside its header"}};
    struct safetensors *file = NULL;
    struct error e = {0};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char bytes[10] = "........{}";
        memcpy(bytes, &cases[i].length, 8);
        assert_int_equal(open_bytes(bytes, 10, &file, &e), GRAFT_E_INVALID);
        if (strstr(e.text, cases[i].text) == NULL) fail_msg("%s", e.text);
    }
    assert_int_equal(open_bytes("GGUF....", 8, &file, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "looks like a GGUF file"));
}

static volatile unsigned sum; /* kept, so that the bytes are read */

static void read_all(const struct safetensors *file)
{
    for (size_t i = 0; i < safetensors_count(file); i++) {
        const struct tensor_view *tensor = safetensors_tensor(file, i);
        const unsigned char *bytes = tensor->data;
        for (size_t j = 0; j < tensor->bytes; j++) sum += bytes[j];
    }
}

static void test_damage(void **state)
{
    struct str s = {0};
    (void)state;
    read_bytes(DATA "reference.safetensors", &s);
    for (size_t length = 0; length < s.length; length++) {
        struct safetensors *file = NULL;
        struct error e = {0};
        assert_int_equal(open_bytes(s.data, length, &file, &e), GRAFT_E_INVALID);
        assert_non_null(strstr(e.text, path));
    }
    for (size_t at = 0; at < s.length; at++) {
        for (unsigned bit = 1; bit < 256; bit *= 4) {
            struct safetensors *file = NULL;
            struct error e = {0};
            s.data[at] = (char)((unsigned char)s.data[at] ^ bit);
            if (open_bytes(s.data, s.length, &file, &e) == GRAFT_OK) read_all(file);
            s.data[at] = (char)((unsigned char)s.data[at] ^ bit);
            safetensors_close(file);
        }
    }
    str_free(&s);
}

/* Headers of every length: numbers are aligned and right wherever the data begins. */
static void test_askew(void **state)
{
    static const float x[3] = {1.5f, -2, 1e9f};
    (void)state;
    for (size_t pad = 0; pad < 9; pad++) {
        struct str s = {0};
        struct safetensors *file = NULL;
        struct error e = {0};
        str_puts(&s, "........{" T("a", "F32", "3", "0", "12") "}");
        for (size_t i = 0; i < pad; i++) str_putc(&s, ' ');
        uint64_t length = s.length - 8;
        memcpy(s.data, &length, 8);
        str_add(&s, (const char *)x, sizeof x);
        assert_ok(open_bytes(s.data, s.length, &file, &e), &e);
        const struct tensor_view *a = safetensors_find(file, "a");
        assert_int_equal((uintptr_t)a->data % sizeof(float), 0);
        assert_memory_equal(a->data, x, sizeof x);
        safetensors_close(file);
        str_free(&s);
    }
}

/* ---- shards ---- */

static void check_shards(const char *name)
{
    struct safetensors *file = open_file(name);
    assert_int_equal(safetensors_count(file), 4);
    assert_true(((const int32_t *)safetensors_find(file, "a")->data)[1] == 6);
    assert_true(((const float *)safetensors_find(file, "b")->data)[1] == 2.0f);
    assert_string_equal(safetensors_tensor(file, 3)->name, "d");
    assert_string_equal(safetensors_metadata(file, "format"), "pt");
    safetensors_close(file);
}

static void expect_index(const char *index, const char *text)
{
    char name[96];
    struct safetensors *file = NULL;
    struct error e = {0};
    snprintf(name, sizeof name, "%s/model.safetensors.index.json", folder);
    FILE *out = fopen(name, "wb");
    assert_non_null(out);
    fputs(index, out);
    fclose(out);
    assert_int_equal(safetensors_open(folder, &file, &e), GRAFT_E_INVALID);
    if (strstr(e.text, text) == NULL) fail_msg("\"%s\" is not in \"%s\"", text, e.text);
    unlink(name);
}

static void test_shards(void **state)
{
    static const float x[1] = {1};
    struct tensor_view one = {"a", GRAFT_DTYPE_F32, graft_shape1(1), x, 4, "F32"};
    struct safetensors *file = NULL;
    struct error e = {0};
    (void)state;
    check_shards(DATA "sharded");
    check_shards(DATA "sharded/");
    check_shards(DATA "sharded/model.safetensors.index.json");
    assert_ok(safetensors_write(path, &one, 1, NULL, 0, &e), &e);
    expect_index("{\"weight_map\":{\"b\":\"x.safetensors\"}}", "tensor b is not in x.safetensors");
    expect_index("{\"weight_map\":{\"a\":\"../x.safetensors\"}}", "only plain names");
    expect_index("{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "only plain names");
    expect_index("{\"weight_map\":{\"a\":\"..\"}}", "only plain names");
    expect_index("{\"weight_map\":{\"a\":\"none.safetensors\"}}", "No such file");
    expect_index("{\"weight_map\":{\"a\":3}}", "not a file name");
    expect_index("{\"weight_map\":[]}", "no \"weight_map\"");
    expect_index("{", "not valid JSON");
    assert_int_equal(safetensors_open(folder, &file, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "neither model.safetensors nor"));
}

static void test_allocations(void **state)
{
    static const char *const names[] = {DATA "reference.safetensors", DATA "sharded"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int64_t live = mem_live_count();
        enum graft_status status = GRAFT_E_MEMORY;
        for (int64_t n = 1; status != GRAFT_OK && n < 1000; n++) {
            struct safetensors *file = NULL;
            struct error e = {0};
            mem_fail_after(n);
            status = safetensors_open(names[i], &file, &e);
            mem_fail_after(0);
            assert_true(status == GRAFT_OK || status == GRAFT_E_MEMORY);
            safetensors_close(file);
            assert_int_equal(mem_live_count(), live);
        }
        assert_int_equal(status, GRAFT_OK);
    }
}

static void test_allocations_of_writer(void **state)
{
    struct safetensors *file = open_file(DATA "reference.safetensors");
    struct tensor_view tensors[9];
    enum graft_status status = GRAFT_E_MEMORY;
    (void)state;
    for (size_t i = 0; i < 9; i++) tensors[i] = *safetensors_tensor(file, i);
    unlink(path);
    int64_t live = mem_live_count();
    for (int64_t n = 1; status != GRAFT_OK && n < 1000; n++) {
        struct error e = {0};
        mem_fail_after(n);
        status = safetensors_write(path, tensors, 9, NULL, 0, &e);
        mem_fail_after(0);
        assert_true(status == GRAFT_OK || status == GRAFT_E_MEMORY);
        assert_int_equal(mem_live_count(), live);
    }
    assert_int_equal(status, GRAFT_OK);
    safetensors_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_writes_the_reference),
        cmocka_unit_test(test_writer_refuses),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_askew),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_allocations),
        cmocka_unit_test(test_allocations_of_writer),
    };
    return cmocka_run_group_tests(tests, setup, teardown) != 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The GGUF writer: gguf-py's file read and written again is the same bytes; what is refused, and
 * that nothing is left behind.
 */
#include "unit/test.h"

#include "base/memory.h"
#include "file/gguf_write.h"
#include "file/map.h"
#include "file/paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_Q8 GRAFT_TEST_DIR "/unit/data/llama-q8_0.gguf"

struct setup {
    char folder[64], path[96];
    struct gguf *base;
    struct gguf_metadata metadata;
    struct tensor_view *views;
    size_t count, given;
};

static void setup_open(struct setup *s)
{
    struct error e = {0};
    memset(s, 0, sizeof *s);
    snprintf(s->folder, sizeof s->folder, "/tmp/graft-gguf-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    snprintf(s->path, sizeof s->path, "%s/model.gguf", s->folder);
    assert_ok(gguf_open(FILE_Q8, &s->base, &e), &e);
    s->metadata = gguf_metadata(s->base);
    s->count = gguf_tensor_count(s->base);
    s->views = calloc(s->count, sizeof *s->views);
    assert_non_null(s->views);
    for (size_t i = 0; i < s->count; i++) s->views[i] = *gguf_tensor(s->base, i);
}

static void setup_close(struct setup *s)
{
    gguf_close(s->base);
    free(s->views);
    (void)unlink(s->path);
    assert_int_equal(rmdir(s->folder), 0); /* no temporary file either */
}

static enum graft_status give(void *context, const struct tensor_view *view, const void **data,
                              struct error *e)
{
    struct setup *s = context;
    const struct tensor_view *found = gguf_find_tensor(s->base, view->name);
    if (s->given++ == s->count / 2 && e != NULL && e->status == GRAFT_E_FAILED)
        return error_set(e, GRAFT_E_FAILED, "no more");
    *data = found->data;
    return GRAFT_OK;
}

static void test_same_bytes(void **state)
{
    struct setup s;
    struct error e = {0};
    struct file_map ours = {0}, theirs = {0};
    (void)state;
    setup_open(&s);
    struct tensor_source source = {&s, give};
    for (size_t i = 0; i < s.count; i += 2) s.views[i].data = NULL;
    assert_ok(gguf_write(s.path, &s.metadata, s.views, s.count, &source, &e), &e);
    assert_int_equal(s.given, (s.count + 1) / 2);
    assert_ok(file_map_open(s.path, &ours, &e), &e);
    assert_ok(file_map_open(FILE_Q8, &theirs, &e), &e);
    assert_int_equal(ours.size, theirs.size);
    assert_memory_equal(ours.data, theirs.data, ours.size);
    file_map_close(&ours);
    file_map_close(&theirs);
    setup_close(&s);
}

static void test_alignment(void **state)
{
    struct setup s;
    struct error e = {0};
    /* general.alignment u32 64, and three bytes in a tensor of its own */
    static const unsigned char key[] = "\x11\0\0\0\0\0\0\0general.alignment\x04\0\0\0\x40\0\0\0";
    static const unsigned char bytes[3] = {1, 2, 3};
    struct gguf_metadata metadata = {key, sizeof key - 1, 1, 64};
    struct gguf *file = NULL;
    (void)state;
    setup_open(&s);
    struct tensor_view views[2] = {
        {.name = "a", .shape = graft_shape1(3), .data = bytes, .bytes = 3, .type_name = "I8"},
        *gguf_find_tensor(s.base, "output_norm.weight")};
    assert_ok(gguf_write(s.path, &metadata, views, 2, NULL, &e), &e);
    assert_ok(gguf_open(s.path, &file, &e), &e);
    const struct tensor_view *a = gguf_find_tensor(file, "a");
    const struct tensor_view *b = gguf_find_tensor(file, views[1].name);
    assert_memory_equal(a->data, bytes, 3);
    assert_int_equal((const char *)b->data - (const char *)a->data, 64);
    assert_memory_equal(b->data, views[1].data, b->bytes);
    gguf_close(file);
    setup_close(&s);
}

static void refused(struct setup *s, enum graft_status expected, const char *words)
{
    struct error e = {.status = expected};
    struct tensor_source source = {s, give};
    assert_int_equal(gguf_write(s->path, &s->metadata, s->views, s->count, &source, &e), expected);
    if (strstr(e.text, words) == NULL) fail_msg("\n  found    %s\n  expected %s", e.text, words);
    assert_int_equal(path_kind(s->path), PATH_MISSING);
}

static void test_refusals(void **state)
{
    static const char longest[] =
        "0123456789012345678901234567890123456789012345678901234567890123";
    struct setup s;
    (void)state;
    setup_open(&s);
    struct tensor_view first = s.views[0];
    s.views[0].name = longest;
    refused(&s, GRAFT_E_INVALID, "the name has 64 bytes, allowed are 1 to 63");
    s.views[0].name = s.views[1].name;
    refused(&s, GRAFT_E_INVALID, "is there twice");
    s.views[0] = first;
    s.views[0].bytes--;
    refused(&s, GRAFT_E_INVALID, "bytes do not agree with its shape");
    s.views[0] = first;
    s.views[0].type_name = "NF4";
    refused(&s, GRAFT_E_INVALID, "is of type NF4, which GGUF has not");
    s.views[0] = first;
    for (size_t i = 0; i < s.count; i++) s.views[i].data = NULL;
    refused(&s, GRAFT_E_FAILED, "no more");
    setup_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_refusals),
    };
    return TEST_MAIN(tests);
}

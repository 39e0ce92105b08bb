/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokenizers against the reference: vectors of the tiny tokenizers (Hugging Face folders), of
 * stories260K (sentencepiece) and of the real SmolLM2, and one hash for each row of the data sets.
 * The real model's file is too large for the repository: without it its tests are skipped.
 */
#include "unit/test.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"
#include "file/gguf.h"
#include "text/conversation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATA GRAFT_TEST_DIR "/golden/data/"
#define EXAMPLES GRAFT_SOURCE_DIR "/examples/"

static char smollm2_path[4096];
static struct tokenizer *smollm2;

static const char *find_smollm2(void)
{
    static const char name[] = "graft/SmolLM2-135M-Instruct.Q4_1.gguf";
    const char *given = getenv("GRAFT_SMOLLM2"), *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    if (given != NULL && *given != '\0')
        snprintf(smollm2_path, sizeof smollm2_path, "%s", given);
    else if (cache != NULL && *cache != '\0')
        snprintf(smollm2_path, sizeof smollm2_path, "%s/%s", cache, name);
    else
        snprintf(smollm2_path, sizeof smollm2_path, "%s/.cache/%s", home != NULL ? home : "", name);
    return smollm2_path;
}

static struct tokenizer *open_gguf(const char *path)
{
    struct error e = {0};
    struct gguf *file = NULL;
    struct tokenizer *t = NULL;
    assert_ok(gguf_open(path, &file, &e), &e);
    assert_ok(tokenizer_from_gguf(file, &t, &e), &e);
    gguf_close(file);
    return t;
}

static void ids_equal(const char *text, const struct token_list *list, size_t skip,
                      const json_t *wanted)
{
    bool equal = list->count - skip == json_array_size(wanted);
    for (size_t i = 0; equal && i + skip < list->count; i++)
        equal = list->ids[i + skip] == json_integer_value(json_array_get(wanted, i));
    if (equal) return;
    for (size_t i = skip; i < list->count; i++) print_error("%d ", list->ids[i]);
    fail_msg("other ids for \"%s\"", text);
}

static void check_long(const struct tokenizer *t, const json_t *vector)
{
    struct error e = {0};
    struct token_list list = {0};
    struct str text = {0};
    char hex[HASH_HEX_SIZE];
    for (json_int_t i = json_integer_value(json_object_get(vector, "repeat")); i > 0; i--)
        str_puts(&text, json_string_value(json_object_get(vector, "text")));
    assert_ok(tokenizer_encode(t, text.data, text.length, false, &list, &e), &e);
    assert_int_equal(list.count, json_integer_value(json_object_get(vector, "count")));
    hash_bytes_hex(list.ids, list.count * sizeof *list.ids, hex);
    assert_string_equal(hex, json_string_value(json_object_get(vector, "sha256")));
    token_list_free(&list);
    str_free(&text);
}

static void check_decoded(const struct tokenizer *t, const struct token_list *list, size_t skip,
                          const char *wanted)
{
    struct str whole = {0}, parts = {0};
    struct detokenizer d;
    tokenizer_decode(t, list->ids + skip, list->count - skip, false, &whole);
    detokenizer_begin(&d, t, false);
    for (size_t i = skip; i < list->count; i++) {
        detokenizer_push(&d, list->ids[i], &parts);
        if (parts.length != 0) assert_int_equal(utf8_check(parts.data, parts.length), parts.length);
    }
    detokenizer_finish(&d, &parts);
    assert_string_equal(whole.data != NULL ? whole.data : "", wanted);
    assert_string_equal(parts.data != NULL ? parts.data : "", wanted);
    str_free(&whole);
    str_free(&parts);
}

static void check_vector(const struct tokenizer *t, const json_t *vector)
{
    struct error e = {0};
    struct token_list list = {0};
    const char *text = json_string_value(json_object_get(vector, "text"));
    const json_t *prefix = json_object_get(vector, "special_prefix");
    const json_t *decoded = json_object_get(vector, "decoded");
    size_t skip = json_array_size(prefix);
    if (json_object_get(vector, "repeat") != NULL) {
        check_long(t, vector);
        return;
    }
    assert_ok(tokenizer_encode(t, text, strlen(text), true, &list, &e), &e);
    for (size_t i = 0; i < skip; i++)
        assert_int_equal(list.ids[i], json_integer_value(json_array_get(prefix, i)));
    ids_equal(text, &list, skip, json_object_get(vector, "ids"));
    for (size_t i = 1; i < list.count; i++) assert_true(list.begin[i - 1] <= list.begin[i]);
    check_decoded(t, &list, skip, decoded != NULL ? json_string_value(decoded) : text);
    token_list_free(&list);
}

static void check_vectors(const struct tokenizer *t, const char *path)
{
    struct error e = {0};
    json_t *vectors = NULL;
    assert_ok(json_read_file(path, 1 << 20, &vectors, &e), &e);
    assert_true(json_array_size(vectors) > 50);
    for (size_t i = 0; i < json_array_size(vectors); i++)
        check_vector(t, json_array_get(vectors, i));
    json_decref(vectors);
}

static void test_folders(void **state)
{
    static const char *const names[] = {"llama3", "qwen2",   "gpt2",
                                        "smollm", "mistral", "metaspace"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct error e = {0};
        struct tokenizer *t = NULL;
        char path[4096];
        snprintf(path, sizeof path, DATA "tokenizers/%s", names[i]);
        assert_ok(tokenizer_from_folder(path, &t, &e), &e);
        print_message("%s\n", names[i]);
        strcat(path, "/vectors.json");
        check_vectors(t, path);
        tokenizer_destroy(t);
    }
}

static void test_stories(void **state)
{
    struct tokenizer *t = open_gguf(EXAMPLES "models/stories260K/stories260K.gguf");
    (void)state;
    assert_int_equal(tokenizer_size(t), 512);
    assert_int_equal(tokenizer_bos(t), 1);
    assert_true(tokenizer_adds_bos(t) && tokenizer_ends_generation(t, 2));
    check_vectors(t, DATA "tokenizers/stories260K.vectors.json");
    tokenizer_destroy(t);
}

static void test_smollm2(void **state)
{
    (void)state;
    if (smollm2 == NULL) skip();
    assert_int_equal(tokenizer_size(smollm2), 49152);
    assert_false(tokenizer_adds_bos(smollm2));
    assert_int_equal(tokenizer_eos(smollm2), 2);
    assert_true(tokenizer_ends_generation(smollm2, 2) && tokenizer_ends_generation(smollm2, 0));
    check_vectors(smollm2, DATA "tokenizers/smollm2.vectors.json");
}

static void encode_row(const struct chat_format *format, const json_t *row, struct token_row *out)
{
    struct error e = {0};
    struct str user = {0};
    const char *input = json_string_value(json_object_get(row, "input"));
    const char *output = json_string_value(json_object_get(row, "output"));
    str_puts(&user, json_string_value(json_object_get(row, "instruction")));
    if (*input != '\0') str_printf(&user, "\n%s", input);
    struct chat_message messages[] = {{"user", user.data, user.length},
                                      {"assistant", output, strlen(output)}};
    assert_ok(conversation_encode(smollm2, format, messages, 2, out, &e), &e);
    assert_int_equal(out->seams, 0);
    str_free(&user);
}

static void hash_row(const struct token_row *row, char hex[HASH_HEX_SIZE])
{
    struct hash h;
    hash_begin(&h);
    hash_add(&h, row->ids, row->count * sizeof *row->ids);
    hash_add(&h, row->labels, row->count * sizeof *row->labels);
    hash_end_hex(&h, hex);
}

static size_t check_split(const struct chat_format *format, const char *name, const char *split)
{
    char path[4096], wanted[16], hex[HASH_HEX_SIZE], *line = NULL;
    size_t room = 0, rows = 0;
    struct token_row row = {0};
    snprintf(path, sizeof path, EXAMPLES "data/%s/%s.jsonl", name, split);
    FILE *data = fopen(path, "rb");
    if (data == NULL) fail_msg("cannot open %s", path);
    snprintf(path, sizeof path, DATA "tokens/%s-%s.hash", name, split);
    FILE *hashes = fopen(path, "rb");
    if (hashes == NULL) fail_msg("cannot open %s", path);
    while (getline(&line, &room, data) > 0) {
        struct error e = {0};
        json_t *value = NULL;
        assert_ok(json_read_bytes(line, strlen(line), &value, &e), &e);
        encode_row(format, value, &row);
        json_decref(value);
        hash_row(&row, hex);
        assert_non_null(fgets(wanted, sizeof wanted, hashes));
        rows++;
        if (strncmp(hex, wanted, 8) != 0)
            fail_msg("%s-%s, row %zu: other ids or labels", name, split, rows);
    }
    assert_null(fgets(wanted, sizeof wanted, hashes));
    free(line);
    fclose(data);
    fclose(hashes);
    token_row_free(&row);
    return rows;
}

static void test_rows(void **state)
{
    static const char *const names[] = {"banking77",   "bitext-short", "bitext-support",
                                        "crosswoz-zh", "gsm8k",        "self-instruct-seed"};
    static const char *const splits[] = {"train", "valid", "test"};
    struct error e = {0};
    struct chat_format format;
    size_t rows = 0, tested = 0;
    char path[4096];
    (void)state;
    if (smollm2 == NULL) skip();
    assert_ok(conversation_format(smollm2, NULL, &format, &e), &e);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, EXAMPLES "data/%s/train.jsonl", names[i]);
        FILE *there = fopen(path, "rb");
        if (there == NULL) {
            print_message("data set %s is not in examples/data\n", names[i]);
            continue;
        }
        fclose(there);
        tested++;
        for (size_t k = 0; k < 3; k++) rows += check_split(&format, names[i], splits[k]);
    }
    chat_format_free(&format);
    print_message("%zu rows of %zu data sets\n", rows, tested);
    assert_true(tested != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_smollm2),
        cmocka_unit_test(test_rows),
    };
    FILE *model = fopen(find_smollm2(), "rb");
    if (model != NULL) {
        fclose(model);
        smollm2 = open_gguf(smollm2_path);
    }
    int failed = TEST_MAIN(tests);
    bool there = smollm2 != NULL;
    tokenizer_destroy(smollm2);
    if (failed == 0 && !there) {
        fprintf(stderr, "skipped: SmolLM2's vectors and rows need %s (or GRAFT_SMOLLM2)\n",
                smollm2_path);
        return 77;
    }
    return failed;
}

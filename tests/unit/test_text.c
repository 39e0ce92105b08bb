/* SPDX-License-Identifier: Apache-2.0
 *
 * text: added tokens, streams, long and broken input, broken files, refused allocations. Whole
 * vocabularies are compared with the reference in tests/golden/test_tokens.c; ids that stand here
 * are what tokenizers 0.23 gives for the same file.
 */
#include "unit/test.h"

#include "base/memory.h"
#include "base/threads.h"
#include "unit/test_text.h"

#define VOCAB                                                                                      \
    "{\"<unk>\":0,\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\" \":9,"        \
    "\"<\":10,\">\":11,\".\":12,\"w\":13,\"_\":14,\"ab\":15,\"abc\":16}"
#define MODEL                                                                                      \
    "\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true,\"vocab\":" VOCAB       \
    ",\"merges\":[\"a b\",[\"ab\",\"c\"]]}"
#define ADDED(id, content, more) "{\"id\":" #id ",\"content\":\"" content "\"" more "}"

static const char SMALL[] =
    "{\"added_tokens\":[" ADDED(0, "<unk>", ",\"special\":true") "," ADDED(17, "<a>", ",\"rstrip\":true,\"special\":true") "," ADDED(
        18, "<b>",
        ",\"lstrip\":true") "," ADDED(19, "<w>",
                                      ",\"single_word\":true") "," ADDED(20, "<a><b>",
                                                                         "") "," ADDED(21, " <c>",
                                                                                       "") "," ADDED(22,
                                                                                                     "QQ",
                                                                                                     ",\"normalized\":true") "],"
                                                                                                                             "\"normalizer\":{\"type\":\"Lowercase\"},\"pre_tokenizer\":null," MODEL
                                                                                                                             "}";

static void test_added_tokens(void **state)
{
    (void)state;
    write_text("tokenizer.json", SMALL);
    struct tokenizer *t = load(folder);
    ENCODES_TO(t, "a<a>  b", 1, 17, 2);       /* blanks after it belong to it */
    ENCODES_TO(t, "a  <b>b", 1, 18, 2);       /* and before it */
    ENCODES_TO(t, "a<a><b>c", 1, 20, 3);      /* the longest at one place */
    ENCODES_TO(t, "a<w>b", 1, 10, 13, 11, 2); /* not a whole word */
    ENCODES_TO(t, "a <w> b", 1, 9, 19, 9, 2);
    ENCODES_TO(t, "<w>", 19);
    ENCODES_TO(t, "<a>  <c>d", 17, 21, 4); /* in the blanks that another swallowed */
    ENCODES_TO(t, "abcAB", 16, 15);
    ENCODES_TO(t, "qqQQa", 22, 22, 1); /* matched in normalized text */
    ENCODES_TO(t, "xyzab", 0, 15);     /* unknowns are fused */
    ENCODES_TO(t, "<a> <b>a", 17, 18, 1);
    assert_int_equal(tokenizer_size(t), 23);
    assert_int_equal(tokenizer_find(t, "<a><b>"), 20);
    assert_int_equal(tokenizer_find(t, "abc"), 16);
    assert_int_equal(tokenizer_find(t, "nothing"), -1);
    assert_true(tokenizer_is_special(t, 17));
    assert_false(tokenizer_is_special(t, 18) || tokenizer_is_special(t, -1));
    assert_null(tokenizer_chat_template(t));
    tokenizer_destroy(t);
}

static void test_offsets(void **state)
{
    static const char text[] = "a  <b>xabc";
    struct error e = {0};
    struct token_list list = {0};
    (void)state;
    write_text("tokenizer.json", SMALL);
    struct tokenizer *t = load(folder);
    assert_ok(tokenizer_encode(t, "b", 1, false, &list, &e), &e);
    assert_ok(tokenizer_encode(t, text, sizeof text - 1, false, &list, &e), &e);
    assert_int_equal(list.count, 5); /* appended */
    static const uint32_t begin[] = {0, 0, 1, 6, 7};
    assert_memory_equal(list.begin, begin, sizeof begin);
    token_list_free(&list);
    tokenizer_destroy(t);
}

/* Where pieces end shows in what is not merged; "ab" and "abc" are tokens. */
static void splits_to(const char *step, const char *text, const int32_t *ids, size_t count)
{
    struct str json = {0};
    str_printf(&json, "{\"pre_tokenizer\":%s," MODEL "}", step);
    write_text("tokenizer.json", json.data);
    str_free(&json);
    struct tokenizer *t = load(folder);
    encodes_to(t, text, ids, count);
    tokenizer_destroy(t);
}

#define SPLITS_TO(step, text, ...)                                                                 \
    splits_to(step, text, (const int32_t[]){__VA_ARGS__},                                          \
              sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))
#define SPLIT(pattern, behavior, more)                                                             \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" pattern "\"},\"behavior\":\"" behavior         \
    "\"" more "}"

static void test_split_behaviors(void **state)
{
    (void)state;
    SPLITS_TO(SPLIT("b", "Isolated", ""), "abcab", 1, 2, 3, 1, 2);
    SPLITS_TO(SPLIT("b", "Removed", ""), "abcab", 1, 3, 1);
    SPLITS_TO(SPLIT("b", "MergedWithPrevious", ""), "abcab", 15, 3, 15);
    SPLITS_TO(SPLIT("a", "MergedWithNext", ""), "abcab", 16, 15);
    SPLITS_TO(SPLIT("[ab]", "Contiguous", ""), "abcab", 15, 3, 15);
    SPLITS_TO(SPLIT("c", "Isolated", ",\"invert\":true"), "abcab", 15, 3, 15);
    SPLITS_TO(SPLIT("[ab]+", "Contiguous", ",\"invert\":true"), "abab", 15, 15);
    SPLITS_TO("{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT("c", "Removed", "") "," SPLIT(
                  "b", "Isolated", "") "]}",
              "abcab", 1, 2, 1, 2);
    /* every piece sees only itself: a lookahead does not pass its end */
    SPLITS_TO("{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT(
                  "b", "MergedWithPrevious", "") "," SPLIT("a(?=bc)|b", "Removed", "") "]}",
              "abc", 1, 3);
    SPLITS_TO("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\"}",
              "ab ab", 14, 15, 14, 15);
    SPLITS_TO("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"never\"}", "ab a",
              15, 14, 1);
}

/* ---- streams ---- */

static void push_all(struct detokenizer *d, const int32_t *ids, size_t count, struct str *out)
{
    for (size_t i = 0; i < count; i++) detokenizer_push(d, ids[i], out);
}

static void test_stream_holds_back(void **state)
{
    static const char text[] = "\xF0\x9F\x99\x82"; /* one character, four byte tokens */
    struct error e = {0};
    struct token_list list = {0};
    struct str out = {0};
    struct detokenizer d;
    struct tokenizer *t = load(TOKENIZERS "smollm");
    (void)state;
    assert_ok(tokenizer_encode(t, text, 4, false, &list, &e), &e);
    assert_true(list.count > 1);
    detokenizer_begin(&d, t, true);
    push_all(&d, list.ids, list.count - 1, &out);
    assert_int_equal(out.length, 0);
    detokenizer_push(&d, list.ids[list.count - 1], &out);
    assert_string_equal(out.data, text);

    /* cut short: one replacement character at the end */
    str_clear(&out);
    detokenizer_begin(&d, t, true);
    push_all(&d, list.ids, list.count - 1, &out);
    detokenizer_finish(&d, &out);
    assert_string_equal(out.data, "\xEF\xBF\xBD");

    /* a special token in between breaks it, too, and is itself left out */
    str_clear(&out);
    detokenizer_begin(&d, t, true);
    detokenizer_push(&d, list.ids[0], &out);
    detokenizer_push(&d, tokenizer_find(t, "<|im_end|>"), &out);
    detokenizer_push(&d, tokenizer_find(t, "a"), &out);
    detokenizer_finish(&d, &out);
    assert_string_equal(out.data, "\xEF\xBF\xBD"
                                  "a");
    detokenizer_push(&d, 1000000, &out); /* no such token: no text */
    assert_int_equal(out.length, 4);
    token_list_free(&list);
    str_free(&out);
    tokenizer_destroy(t);
}

static void test_byte_fallback_decodes(void **state)
{
    struct tokenizer *t = load(TOKENIZERS "mistral");
    struct str out = {0};
    int32_t e9 = tokenizer_find(t, "<0xC3>"), a9 = tokenizer_find(t, "<0xA9>");
    (void)state;
    tokenizer_decode(t, (const int32_t[]){1, e9, a9}, 3, true, &out);
    assert_string_equal(out.data, "\xC3\xA9");
    str_clear(&out); /* a run that is no text: one mark for each byte */
    tokenizer_decode(t, (const int32_t[]){e9, a9, e9}, 3, true, &out);
    assert_string_equal(out.data, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    str_free(&out);
    tokenizer_destroy(t);
}

/* ---- long and broken text ---- */

/* Quadratic work on 2 MB would be 4e12 steps: the test's time limit is the judge. */
static void check_long(const char *name, const char *part)
{
    struct error e = {0};
    struct token_list list = {0};
    struct str text = {0}, back = {0};
    struct tokenizer *t = load(name);
    while (text.length < (size_t)2 << 20) str_puts(&text, part);
    assert_ok(tokenizer_encode(t, text.data, text.length, false, &list, &e), &e);
    tokenizer_decode(t, list.ids, list.count, false, &back);
    assert_int_equal(back.length, text.length);
    assert_memory_equal(back.data, text.data, text.length);
    token_list_free(&list);
    str_free(&text);
    str_free(&back);
    tokenizer_destroy(t);
}

/* Marks in the worst order, which NFC sorts: as many below as above. */
static void long_marks(void)
{
    struct error e = {0};
    struct token_list list = {0};
    struct str text = {0}, back = {0};
    struct tokenizer *t = load(TOKENIZERS "qwen2");
    str_putc(&text, 'q');
    for (int i = 0; i < 400000; i++) str_puts(&text, i % 2 == 0 ? "\xCC\x81" : "\xCC\xA3");
    assert_ok(tokenizer_encode(t, text.data, text.length, false, &list, &e), &e);
    tokenizer_decode(t, list.ids, list.count, false, &back);
    assert_int_equal(back.length, text.length);
    assert_memory_equal(back.data, "q\xCC\xA3\xCC\xA3", 5);
    assert_memory_equal(back.data + back.length - 4, "\xCC\x81\xCC\x81", 4);
    token_list_free(&list);
    str_free(&text);
    str_free(&back);
    tokenizer_destroy(t);
}

static void test_long(void **state)
{
    (void)state;
    check_long(TOKENIZERS "smollm", "unbelievable");
    check_long(TOKENIZERS "llama3", "a");
    check_long(TOKENIZERS "mistral", "the and of ");
    check_long(TOKENIZERS "qwen2", "\xC3\xAA 1");
    check_long(TOKENIZERS "gpt2", " ");
    long_marks();
}

static void test_not_utf8(void **state)
{
    struct error e = {0};
    struct token_list list = {0};
    struct tokenizer *t = load(TOKENIZERS "smollm");
    (void)state;
    assert_ok(tokenizer_encode(t, "ab", 2, false, &list, &e), &e);
    size_t count = list.count;
    assert_int_equal(tokenizer_encode(t,
                                      "abc\xFF"
                                      "d",
                                      5, false, &list, &e),
                     GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "byte 3 (0xFF)"));
    assert_int_equal(tokenizer_encode(t, "\xE2\x82", 2, false, &list, &e), GRAFT_E_INVALID);
    assert_int_equal(list.count, count);
    assert_ok(tokenizer_encode(t, "\0x", 2, false, &list, &e), &e); /* NUL is a character */
    token_list_free(&list);
    tokenizer_destroy(t);
}

/* ---- broken files ---- */

static void test_refused_files(void **state)
{
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"{", "tokenizer.json:"},
        {"[]", "not a JSON object"},
        {"{}", "model: type \"none\" is not supported (allowed: BPE)"},
        {"{\"model\":{\"type\":\"Unigram\"},\"normalizer\":{\"type\":\"Precompiled\"}}",
         "model: type \"Unigram\" is not supported (allowed: BPE)"},
        {"{\"normalizer\":{\"type\":\"Nmt\"}," MODEL "}",
         "normalizer: type \"Nmt\" is not supported (allowed: NFC,"},
        {"{\"pre_tokenizer\":{\"type\":\"Whitespace\"}," MODEL "}",
         "pre_tokenizer: type \"Whitespace\" is not supported (allowed: ByteLevel,"},
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":"
         "\"Isolated\"}," MODEL "}",
         "pre_tokenizer: the pattern \"(\" is not valid"},
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":"
         "\"Sideways\"}," MODEL "}",
         "behavior of Split is \"Sideways\" (allowed: Isolated,"},
        {"{\"decoder\":{\"type\":\"CTC\"}," MODEL "}", "decoder: type \"CTC\" is not supported"},
        {"{\"decoder\":{\"type\":\"ByteLevel\"}," MODEL "}", "decoder: ByteLevel is not supported"},
        {"{\"post_processor\":{\"type\":\"BertProcessing\"}," MODEL "}",
         "post_processor: type \"BertProcessing\" is not supported"},
        {"{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":"
         "{\"id\":\"<s>\"}},{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":{\"<s>\":{\"ids\":"
         "[99]}}}," MODEL "}",
         "post_processor: \"<s>\": id 99 is not in the vocabulary"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}",
         "model: vocab: id 0 is there twice"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", "token -1"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":99999999},\"merges\":[]}}",
         "token 99999999"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":\"x\"},\"merges\":[]}}",
         "the id of \"a\" is not an integer"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[\"a b\"]}}",
         "model: merge 0 (\"a\" + \"b\"): the result is not in the vocabulary"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[\"ab\"]}}",
         "merges: entry 0"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"dropout\":0.1}}",
         "\"dropout\" is 0.1"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"unk_token\":\"u\"}}",
         "unk_token \"u\" is not in the vocabulary"},
        {"{\"added_tokens\":[{\"id\":\"x\"}]," MODEL "}", "added_tokens: entry 0: \"id\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text("tokenizer.json", cases[i].json);
        refused(cases[i].says);
    }
    write_text("tokenizer.json", SMALL);
    write_text("tokenizer_config.json", "{\"chat_template\":");
    refused("tokenizer_config.json");
    write_text("tokenizer_config.json", "{}");
    struct error e = {0};
    struct tokenizer *t = NULL;
    assert_int_equal(tokenizer_from_folder("/nonexistent", &t, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "no tokenizer.json"));
}

/* Whatever byte is lost or changed: an error or a tokenizer, never a crash. */
static void test_corrupted(void **state)
{
    char bytes[sizeof SMALL];
    (void)state;
    for (size_t i = 0; i < sizeof SMALL - 1; i += 3) {
        struct error e = {0};
        struct tokenizer *t = NULL;
        memcpy(bytes, SMALL, sizeof SMALL);
        bytes[i] = (char)(bytes[i] == '1' ? '7' : bytes[i] ^ 0x15);
        write_file("tokenizer.json", bytes, sizeof SMALL - 1);
        if (tokenizer_from_folder(folder, &t, &e) == GRAFT_OK)
            tokenizer_destroy(t);
        else
            assert_true(e.text[0] != '\0');
        write_file("tokenizer.json", SMALL, i);
        assert_int_equal(tokenizer_from_folder(folder, &t, &e), GRAFT_E_INVALID);
    }
}

/* ---- the files beside tokenizer.json ---- */

static void test_configs(void **state)
{
    (void)state;
    write_text("tokenizer.json", SMALL);
    write_text("tokenizer_config.json",
               "{\"bos_token\":{\"content\":\"<a>\"},\"add_bos_token\":true,\"chat_template\":"
               "[{\"name\":\"tool_use\",\"template\":\"no\"},{\"name\":\"default\",\"template\":"
               "\"yes\"}],\"added_tokens_decoder\":{\"30\":{\"content\":\"<late>\","
               "\"special\":true}}}");
    write_text("special_tokens_map.json", "{\"eos_token\":\"<b>\",\"bos_token\":\"<w>\"}");
    write_text("generation_config.json", "{\"eos_token_id\":[4,5]}");
    write_text("config.json", "{\"eos_token_id\":6}");
    struct tokenizer *t = load(folder);
    assert_int_equal(tokenizer_bos(t), 17);
    assert_int_equal(tokenizer_eos(t), 18);
    assert_true(tokenizer_adds_bos(t));
    assert_true(tokenizer_ends_generation(t, 4) && tokenizer_ends_generation(t, 5));
    assert_true(tokenizer_ends_generation(t, 18));
    assert_false(tokenizer_ends_generation(t, 6));
    assert_string_equal(tokenizer_chat_template(t), "yes");
    assert_int_equal(tokenizer_find(t, "<late>"), 30);
    tokenizer_destroy(t);
    write_text("chat_template.jinja", "file");
    t = load(folder);
    assert_string_equal(tokenizer_chat_template(t), "file");
    tokenizer_destroy(t);
    remove_folder(NULL);
    make_folder(NULL);
}

/* ---- memory and threads ---- */

static void test_load_without_memory(void **state)
{
    int64_t live = mem_live_count();
    bool done = false;
    (void)state;
    write_text("tokenizer.json", SMALL);
    write_text("tokenizer_config.json", "{\"chat_template\":\"x\",\"bos_token\":\"<a>\"}");
    for (int64_t n = 1; !done; n++) {
        struct error e = {0};
        struct tokenizer *t = NULL;
        mem_fail_after(n);
        enum graft_status status = tokenizer_from_folder(folder, &t, &e);
        mem_fail_after(0);
        done = status == GRAFT_OK;
        if (done)
            tokenizer_destroy(t);
        else
            assert_int_equal(status, GRAFT_E_MEMORY);
        assert_int_equal(mem_live_count(), live);
        assert_true(n < 10000);
    }
}

static void encode_without_memory(const char *name, const char *text)
{
    struct tokenizer *t = load(name);
    int64_t live = mem_live_count();
    bool done = false;
    for (int64_t n = 1; !done; n++) {
        struct error e = {0};
        struct token_list list = {0};
        mem_fail_after(n);
        enum graft_status status = tokenizer_encode(t, text, strlen(text), true, &list, &e);
        mem_fail_after(0);
        done = status == GRAFT_OK;
        if (!done) assert_int_equal(status, GRAFT_E_MEMORY);
        if (!done) assert_int_equal(list.count, 0);
        token_list_free(&list);
        assert_int_equal(mem_live_count(), live);
    }
    tokenizer_destroy(t);
}

static void test_encode_without_memory(void **state)
{
    static const char text[] = "Caf\xC3\xA9 e\xCC\x81 12 <mask> the <s>answer</s> of it all";
    (void)state;
    encode_without_memory(TOKENIZERS "smollm", text);
    encode_without_memory(TOKENIZERS "qwen2", text);
    encode_without_memory(TOKENIZERS "mistral", text);
    encode_without_memory(TOKENIZERS "metaspace", text);
}

struct shared {
    const struct tokenizer *t;
    const struct str *text;
    uint64_t sums[64];
};

static void encode_task(void *context, uint32_t index, uint32_t thread)
{
    struct shared *s = context;
    struct token_list list = {0};
    (void)thread;
    if (tokenizer_encode(s->t, s->text->data, s->text->length, false, &list, NULL) == GRAFT_OK)
        for (size_t i = 0; i < list.count; i++)
            s->sums[index] = s->sums[index] * 31 + (uint64_t)list.ids[i] + list.begin[i];
    token_list_free(&list);
}

static void test_threads(void **state)
{
    struct error e = {0};
    struct thread_pool *pool = NULL;
    struct str text = {0};
    struct tokenizer *t = load(TOKENIZERS "qwen2");
    struct shared s = {.t = t, .text = &text};
    (void)state;
    for (int i = 0; i < 50; i++)
        str_printf(&text, "row %d: caf\xC3\xA9 e\xCC\x81, you'll see\n", i);
    assert_ok(thread_pool_create(3, &pool, &e), &e);
    thread_pool_run(pool, 64, encode_task, &s);
    thread_pool_destroy(pool);
    assert_true(s.sums[0] != 0);
    for (size_t i = 1; i < 64; i++) assert_true(s.sums[i] == s.sums[0]);
    str_free(&text);
    tokenizer_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_added_tokens),
        cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_split_behaviors),
        cmocka_unit_test(test_stream_holds_back),
        cmocka_unit_test(test_byte_fallback_decodes),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_not_utf8),
        cmocka_unit_test(test_refused_files),
        cmocka_unit_test(test_corrupted),
        cmocka_unit_test(test_configs),
        cmocka_unit_test(test_load_without_memory),
        cmocka_unit_test(test_encode_without_memory),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder) != 0;
}

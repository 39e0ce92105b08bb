/* SPDX-License-Identifier: Apache-2.0
 *
 * text: added tokens, streams, long and broken input, broken files, refused allocations. Whole
 * vocabularies are compared with the reference in tests/golden/test_tokens.c; ids that stand here
 * are what tokenizers 0.23 gives for the same file.
 */
#include "unit/test.h"

#include "base/memory.h"
#include "base/threads.h"
#include "file/gguf.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLANK "\xC4\xA0"    /* GPT-2's byte 0x20 */
#define MARK "\xE2\x96\x81" /* SentencePiece's blank */
#define TOKENIZERS GRAFT_TEST_DIR "/golden/data/tokenizers/"

/* ---- files ---- */

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/graft-text-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {
        "tokenizer.json",      "tokenizer_config.json",  "special_tokens_map.json",
        "chat_template.jinja", "generation_config.json", "config.json",
        "model.gguf"};
    char path[128];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static const char *write_file(const char *name, const void *bytes, size_t length)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    return path;
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

static struct tokenizer *load(const char *path)
{
    struct error e = {0};
    struct tokenizer *t = NULL;
    assert_ok(tokenizer_from_folder(path, &t, &e), &e);
    return t;
}

static void refused(const char *part)
{
    struct error e = {0};
    struct tokenizer *t = NULL;
    assert_int_equal(tokenizer_from_folder(folder, &t, &e), GRAFT_E_INVALID);
    assert_null(t);
    if (strstr(e.text, part) == NULL) fail_msg("\"%s\" does not say \"%s\"", e.text, part);
    assert_null(strchr(e.text, '\n'));
}

static void encodes_to(const struct tokenizer *t, const char *text, const int32_t *ids,
                       size_t count)
{
    struct error e = {0};
    struct token_list list = {0};
    assert_ok(tokenizer_encode(t, text, strlen(text), false, &list, &e), &e);
    if (list.count != count || memcmp(list.ids, ids, count * sizeof *ids) != 0) {
        for (size_t i = 0; i < list.count; i++) print_error("%d ", list.ids[i]);
        fail_msg("other ids for \"%s\"", text);
    }
    token_list_free(&list);
}

#define ENCODES_TO(t, text, ...)                                                                   \
    encodes_to(t, text, (const int32_t[]){__VA_ARGS__},                                            \
               sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

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
    assert_int_equal(tokenizer_pad(t), -1);
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

/* ---- GGUF ---- */

static void put_number(struct str *s, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) str_putc(s, (char)(value >> 8 * i));
}

static void put_string(struct str *s, const char *text)
{
    put_number(s, strlen(text), 8);
    str_puts(s, text);
}

struct pairs {
    struct str body;
    uint64_t count;
};

static void put_key(struct pairs *p, const char *key, uint32_t type)
{
    put_string(&p->body, key);
    put_number(&p->body, type, 4);
    p->count++;
}

static void put_text(struct pairs *p, const char *key, const char *text)
{
    put_key(p, key, 8);
    put_string(&p->body, text);
}

static void put_id(struct pairs *p, const char *key, uint32_t id)
{
    put_key(p, key, 4);
    put_number(&p->body, id, 4);
}

static void put_texts(struct pairs *p, const char *key, const char *const *texts, size_t count)
{
    put_key(p, key, 9);
    put_number(&p->body, 8, 4);
    put_number(&p->body, count, 8);
    for (size_t i = 0; i < count; i++) put_string(&p->body, texts[i]);
}

/* 32-bit items; type 5 is i32, 6 is f32 */
static void put_words(struct pairs *p, const char *key, uint32_t type, const void *words,
                      size_t count)
{
    put_key(p, key, 9);
    put_number(&p->body, type, 4);
    put_number(&p->body, count, 8);
    str_add(&p->body, words, count * 4);
}

static enum graft_status load_pairs(struct pairs *p, struct tokenizer **t, struct error *e)
{
    struct str file = {0};
    struct gguf *gguf = NULL;
    str_puts(&file, "GGUF");
    put_number(&file, 3, 4);
    put_number(&file, 0, 8);
    put_number(&file, p->count, 8);
    str_add(&file, p->body.data, p->body.length);
    const char *path = write_file("model.gguf", file.data, file.length);
    str_free(&file);
    str_free(&p->body);
    p->count = 0;
    assert_ok(gguf_open(path, &gguf, e), e);
    enum graft_status status = tokenizer_from_gguf(gguf, t, e);
    gguf_close(gguf);
    return status;
}

static const char *const BYTES[] = {"<|end|>", "a", "b", "1",  "2",        "ab",
                                    BLANK,     "'", "s", "12", (BLANK "a")};
static const char *const MERGES[] = {"a b", "1 2", BLANK " a"};
static const int32_t TYPES[] = {3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
enum { BYTE_COUNT = 11 };

static void put_bytes(struct pairs *p, const char *pre)
{
    put_text(p, "tokenizer.ggml.model", "gpt2");
    if (pre != NULL) put_text(p, "tokenizer.ggml.pre", pre);
    put_texts(p, "tokenizer.ggml.tokens", BYTES, BYTE_COUNT);
    put_words(p, "tokenizer.ggml.token_type", 5, TYPES, BYTE_COUNT);
    put_texts(p, "tokenizer.ggml.merges", MERGES, 3);
    put_id(p, "tokenizer.ggml.bos_token_id", 0);
}

static void test_gguf_bytes(void **state)
{
    struct pairs p = {0};
    struct error e = {0};
    struct tokenizer *t = NULL;
    (void)state;
    put_bytes(&p, "gpt-2");
    assert_ok(load_pairs(&p, &t, &e), &e);
    ENCODES_TO(t, "ab12 a<|end|>", 5, 9, 10, 0);
    assert_false(tokenizer_adds_bos(t));
    assert_true(tokenizer_ends_generation(t, 0) && tokenizer_is_special(t, 0));
    tokenizer_destroy(t);
    put_bytes(&p, "starcoder"); /* an alias of smollm: digits by themselves */
    assert_ok(load_pairs(&p, &t, &e), &e);
    ENCODES_TO(t, "ab12 a", 5, 3, 4, 10);
    tokenizer_destroy(t);
    put_bytes(&p, "llama3"); /* adds the beginning of text unless the file says otherwise */
    assert_ok(load_pairs(&p, &t, &e), &e);
    assert_true(tokenizer_adds_bos(t));
    tokenizer_destroy(t);
    struct token_list list = {0};
    put_bytes(&p, "gpt-2");
    assert_ok(load_pairs(&p, &t, &e), &e);
    assert_int_equal(tokenizer_encode(t, "abc", 3, false, &list, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "byte 2 of the text: the tokenizer has no token for the byte"));
    token_list_free(&list);
    tokenizer_destroy(t);
}

static void gguf_refused(struct pairs *p, const char *says)
{
    struct error e = {0};
    struct tokenizer *t = NULL;
    assert_int_equal(load_pairs(p, &t, &e), GRAFT_E_INVALID);
    if (strstr(e.text, says) == NULL) fail_msg("\"%s\" does not say \"%s\"", e.text, says);
}

static void test_gguf_refused(void **state)
{
    static const char *const twice[] = {"a", "a"}, *const wrong[] = {"a x"}, *const none[] = {"ab"};
    struct pairs p = {0};
    (void)state;
    put_text(&p, "general.name", "x");
    gguf_refused(&p, "no tokenizer (tokenizer.ggml.model)");
    put_text(&p, "tokenizer.ggml.model", "bert");
    gguf_refused(&p, "tokenizer.ggml.model is \"bert\"");
    put_bytes(&p, "default");
    gguf_refused(&p, "tokenizer.ggml.pre is \"default\"");
    put_bytes(&p, NULL);
    gguf_refused(&p, "allowed: gpt-2, smollm");
    put_bytes(&p, "gpt-2");
    put_id(&p, "tokenizer.ggml.eos_token_id", 99);
    gguf_refused(&p, "tokenizer.ggml.eos_token_id is 99, the vocabulary has 11 tokens");
    const char *const *merges[] = {wrong, none};
    for (size_t i = 0; i < 2; i++) {
        put_text(&p, "tokenizer.ggml.model", "gpt2");
        put_text(&p, "tokenizer.ggml.pre", "gpt-2");
        put_texts(&p, "tokenizer.ggml.tokens", BYTES, BYTE_COUNT);
        put_texts(&p, "tokenizer.ggml.merges", merges[i], 1);
        gguf_refused(&p, "tokenizer.ggml.merges:");
    }
    put_text(&p, "tokenizer.ggml.model", "gpt2");
    put_text(&p, "tokenizer.ggml.pre", "gpt-2");
    put_texts(&p, "tokenizer.ggml.tokens", twice, 2);
    gguf_refused(&p, "token 1 (\"a\") is there twice");
    put_text(&p, "tokenizer.ggml.model", "llama");
    put_texts(&p, "tokenizer.ggml.tokens", BYTES, BYTE_COUNT);
    gguf_refused(&p, "tokenizer.ggml.scores has 0 entries for 11 tokens");
}

/* SentencePiece-style: the best score merges first, whatever the length. */
static void test_gguf_scores(void **state)
{
    static const char *const tokens[] = {"<unk>", "<s>", "</s>", MARK, "a",
                                         "b",     "c",   "ab",   "bc", (MARK "a")};
    static const int32_t types[] = {2, 3, 3, 1, 1, 1, 1, 1, 1, 1};
    static const float scores[] = {0, 0, 0, -9, -9, -9, -9, -2, -1, -3};
    struct pairs p = {0};
    struct error e = {0};
    struct tokenizer *t = NULL;
    (void)state;
    put_text(&p, "tokenizer.ggml.model", "llama");
    put_texts(&p, "tokenizer.ggml.tokens", tokens, 10);
    put_words(&p, "tokenizer.ggml.token_type", 5, types, 10);
    put_words(&p, "tokenizer.ggml.scores", 6, scores, 10);
    assert_ok(load_pairs(&p, &t, &e), &e);
    ENCODES_TO(t, "abc", 9, 8);
    ENCODES_TO(t, "ab", 3, 7);
    ENCODES_TO(t, "a\xC3\xA9zb", 9, 0, 5); /* no byte tokens: unknown, fused */
    ENCODES_TO(t, "a</s>b", 9, 2, 3, 5);
    assert_int_equal(tokenizer_bos(t), 1);
    assert_true(tokenizer_adds_bos(t));
    tokenizer_destroy(t);
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
        cmocka_unit_test(test_gguf_bytes),
        cmocka_unit_test(test_gguf_refused),
        cmocka_unit_test(test_gguf_scores),
        cmocka_unit_test(test_load_without_memory),
        cmocka_unit_test(test_encode_without_memory),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder) != 0;
}

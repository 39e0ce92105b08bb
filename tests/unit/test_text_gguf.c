/* SPDX-License-Identifier: Apache-2.0
 *
 * text: tokenizers from a GGUF's pairs: byte-level, by scores, and what is refused.
 */
#include "unit/test.h"

#include "file/gguf.h"
#include "unit/test_text.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gguf_bytes),
        cmocka_unit_test(test_gguf_refused),
        cmocka_unit_test(test_gguf_scores),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder) != 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Chat templates by name, what is refused, and conversations as ids and labels. Templates that
 * transformers renders are compared in tests/golden/test_chat.c; the texts here are those of the
 * families' papers and repositories (no Jinja template exists for Alpaca and Vicuna).
 */
#include "unit/test.h"

#include "base/memory.h"
#include "text/conversation.h"

#include <stdio.h>
#include <string.h>

#define TOKENIZERS GRAFT_TEST_DIR "/golden/data/tokenizers/"
#define MESSAGE(role, text)                                                                        \
    {                                                                                              \
        role, text, sizeof(text) - 1                                                               \
    }

static const struct chat_message TALK[] = {MESSAGE("system", "S"), MESSAGE("user", "U"),
                                           MESSAGE("assistant", "A"), MESSAGE("user", "V"),
                                           MESSAGE("assistant", "B")};

static void renders(const char *name, const struct chat_message *messages, size_t count,
                    bool prompt, const char *wanted)
{
    struct error e = {0};
    struct chat_format format;
    struct chat_text text = {0};
    assert_ok(chat_from_name(name, "<s>", "</s>", &format, &e), &e);
    assert_ok(chat_render(&format, messages, count, prompt, &text, &e), &e);
    assert_string_equal(text.text.data, wanted);
    chat_text_free(&text);
    chat_format_free(&format);
}

static void test_named(void **state)
{
    (void)state;
    renders("qwen2", TALK + 1, 1, true,
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nU"
            "<|im_end|>\n<|im_start|>assistant\n");
    renders("vicuna", TALK, 5, false, "S USER: U ASSISTANT: A</s>USER: V ASSISTANT: B</s>");
    renders("vicuna", TALK, 2, true, "S USER: U ASSISTANT:");
    renders("alpaca", TALK + 1, 2, false,
            "Below is an instruction that describes a task. Write a response that appropriately "
            "completes the request.\n\n### Instruction:\nU\n\n### Response:\nA</s>");
    renders("glm4", TALK, 2, true, "[gMASK]<sop><|system|>\nS<|user|>\nU<|assistant|>");
    renders("glm4", TALK + 1, 4, false,
            "[gMASK]<sop><|user|>\nU<|assistant|>\nA<|user|>\nV<|assistant|>\nB<|user|>");
    renders("chatglm3", TALK + 1, 2, false, "[gMASK]sop<|user|>\n U<|assistant|>\n A<|user|>");
    renders("mistral-v1", TALK, 3, false, "<s> [INST] S\n\nU [/INST] A</s>");
    renders("mistral-v7-tekken", TALK, 3, false,
            "<s>[SYSTEM_PROMPT]S[/SYSTEM_PROMPT][INST]U[/INST]A</s>");
}

static void test_all_names(void **state)
{
    char names[512], *rest = names, *name;
    (void)state;
    assert_true(strlen(chat_names()) < sizeof names);
    strcpy(names, chat_names());
    size_t count = 0;
    while ((name = strtok_r(rest, ", ", &rest)) != NULL) {
        struct error e = {0};
        struct chat_format format;
        struct chat_text text = {0};
        assert_ok(chat_from_name(name, "<s>", "</s>", &format, &e), &e);
        assert_string_equal(format.name, name);
        assert_ok(chat_render(&format, TALK + 1, 4, false, &text, &e), &e);
        assert_int_equal(text.count, 2);
        for (size_t i = 0; i < 2; i++) { /* each span ends with the end of its turn */
            const char *end = chat_end_of_turn(&format);
            assert_true(strlen(end) > 0);
            assert_memory_equal(text.text.data + text.spans[i].end - strlen(end), end, strlen(end));
        }
        chat_text_free(&text);
        chat_format_free(&format);
        count++;
    }
    assert_int_equal(count, 22);
}

static void template_refused(const char *template, const char *says)
{
    struct error e = {0};
    struct chat_format format;
    assert_int_equal(chat_from_template(template, "<s>", NULL, &format, &e), GRAFT_E_INVALID);
    if (strstr(e.text, says) == NULL) fail_msg("\"%s\" does not say \"%s\"", e.text, says);
}

static void test_unknown_templates(void **state)
{
    struct error e = {0};
    struct chat_format format;
    (void)state;
    template_refused("", "data.template: chatml, smollm2,");
    template_refused("{{ messages }}", "is none that is known");
    template_refused("<|im_start|> <|im_sep|>", "is none that is known");     /* Phi-4 */
    template_refused("<|im_start|>system\n<think>", "is none that is known"); /* SmolLM3 */
    template_refused("[gMASK]<sop> <think> <|user|> <|assistant|>", "none that is known");
    template_refused("{{ bos_token }}[INST] default_system_message [/INST]", "none that is known");
    template_refused("<|user|> <|assistant|> eos_token", "ends turns with the end-of-text token");
    assert_int_equal(chat_from_name("chatm1", NULL, NULL, &format, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "did you mean chatml?"));
}

/* The default system text is the template's own, escaped or not. */
static void test_default_system(void **state)
{
    static const char *const templates[] = {
        "{% if x %}{{ '<|im_start|>system\\nI\\'m \"it\".<|im_end|>\\n' }}{% endif %}",
        "{% set system_message = 'I\\'m \"it\".' %}{{ '<|im_start|>system\\n' + system_message }}"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct error e = {0};
        struct chat_format format;
        assert_ok(chat_from_template(templates[i], NULL, NULL, &format, &e), &e);
        assert_string_equal(format.default_system, "I'm \"it\".");
        chat_format_free(&format);
    }
}

static void messages_refused(const char *name, const struct chat_message *messages, size_t count,
                             const char *says)
{
    struct error e = {0};
    struct chat_format format;
    struct chat_text text = {0};
    assert_ok(chat_from_name(name, "<s>", "</s>", &format, &e), &e);
    assert_int_equal(chat_render(&format, messages, count, false, &text, &e), GRAFT_E_INVALID);
    if (strstr(e.text, says) == NULL) fail_msg("\"%s\" does not say \"%s\"", e.text, says);
    chat_text_free(&text);
    chat_format_free(&format);
}

static void test_refused_messages(void **state)
{
    static const struct chat_message tool[] = {MESSAGE("user", "U"), MESSAGE("tool", "T")};
    static const struct chat_message twice[] = {MESSAGE("user", "U"), MESSAGE("user", "V")};
    static const struct chat_message late[] = {MESSAGE("user", "U"), MESSAGE("assistant", "A"),
                                               MESSAGE("system", "S")};
    (void)state;
    messages_refused("chatml", TALK, 0, "has no messages");
    messages_refused("chatml", tool, 2, "message 2 has the role \"tool\" (allowed: system, user,");
    messages_refused("gemma", TALK, 3, "message 1 is a system message, which chat template gemma");
    messages_refused("llama2", twice, 2, "message 2 is from \"user\" where chat template llama2");
    messages_refused("llama2", TALK + 2, 1, "message 1 is from \"assistant\"");
    messages_refused("gemma3", late, 3, "message 3 is a system message");
    renders("chatml", twice, 2, false,
            "<|im_start|>user\nU<|im_end|>\n<|im_start|>user\nV<|im_end|>\n");
}

/* ---- conversations ---- */

static struct tokenizer *load(const char *name)
{
    struct error e = {0};
    struct tokenizer *t = NULL;
    char path[512];
    snprintf(path, sizeof path, TOKENIZERS "%s", name);
    assert_ok(tokenizer_from_folder(path, &t, &e), &e);
    return t;
}

static void decode_trained(const struct tokenizer *t, const struct token_row *row, struct str *out)
{
    size_t trained = 0;
    str_clear(out);
    for (size_t i = 0; i < row->count; i++) {
        if (row->labels[i] == LABEL_IGNORED) continue;
        assert_int_equal(row->labels[i], row->ids[i]);
        size_t length;
        const char *piece = tokenizer_piece(t, row->ids[i], &length);
        str_add(out, piece, length);
        trained++;
    }
    assert_int_equal(trained, row->trained);
}

/* With its own template (NULL) or another: what is trained, and how many BOS stand in front. */
static void trains(const char *tokenizer, const char *template, const char *wanted, size_t bos)
{
    struct error e = {0};
    struct chat_format format;
    struct token_row row = {0};
    struct str text = {0};
    struct tokenizer *t = load(tokenizer);
    assert_ok(conversation_format(t, template, &format, &e), &e);
    assert_ok(conversation_encode(t, &format, TALK + 1, 4, &row, &e), &e);
    decode_trained(t, &row, &text);
    assert_string_equal(text.data, wanted);
    size_t front = 0;
    while (front < row.count && row.ids[front] == tokenizer_bos(t)) front++;
    assert_int_equal(front, bos);
    assert_int_equal(row.seams, 0);

    struct token_list prompt = {0}; /* the prompt is what stands before the last answer */
    size_t last = row.count;
    while (row.labels[last - 1] == LABEL_IGNORED) last--;
    while (row.labels[last - 1] != LABEL_IGNORED) last--;
    assert_ok(conversation_prompt(t, &format, TALK + 1, 3, &prompt, &e), &e);
    assert_int_equal(prompt.count, last);
    assert_memory_equal(prompt.ids, row.ids, last * sizeof *prompt.ids);
    token_list_free(&prompt);
    token_row_free(&row);
    str_free(&text);
    chat_format_free(&format);
    tokenizer_destroy(t);
}

static void test_labels(void **state)
{
    (void)state;
    trains("smollm", NULL, "A<|im_end|>B<|im_end|>", 1); /* its BOS is <|im_start|> */
    trains("qwen2", NULL, "A<|im_end|>B<|im_end|>", 0);
    trains("llama3", NULL, "A<|eot_id|>B<|eot_id|>", 1);
    trains("mistral", NULL,
           "\xE2\x96\x81"
           "A</s>"
           "\xE2\x96\x81"
           "B</s>",
           1);
    /* zephyr prints no BOS, the tokenizer adds it */
    trains("metaspace", NULL, "A</s>B</s>", 1);
    /* the blanks around an answer are the model's to write */
    trains("mistral", "llama2",
           "\xE2\x96\x81"
           "A"
           "\xE2\x96\x81</s>"
           "\xE2\x96\x81"
           "B"
           "\xE2\x96\x81</s>",
           1);
}

static void test_think_block(void **state)
{
    struct error e = {0};
    struct chat_format format;
    struct token_row row = {0};
    struct str text = {0};
    struct tokenizer *t = load("qwen2");
    (void)state;
    assert_ok(conversation_format(t, "qwen3", &format, &e), &e);
    assert_ok(conversation_encode(t, &format, TALK + 1, 2, &row, &e), &e);
    decode_trained(t, &row, &text);
    assert_string_equal(text.data, "<think>\n\n</think>\n\nA<|im_end|>");
    format.no_thinking = true; /* now the prompt holds the empty block */
    assert_ok(conversation_encode(t, &format, TALK + 1, 2, &row, &e), &e);
    decode_trained(t, &row, &text);
    assert_string_equal(text.data, "A<|im_end|>");
    token_row_free(&row);
    str_free(&text);
    chat_format_free(&format);
    tokenizer_destroy(t);
}

static void test_misfits(void **state)
{
    static const struct chat_message doubled[] = {MESSAGE("user", "<s>U"),
                                                  MESSAGE("assistant", "A")};
    struct error e = {0};
    struct chat_format format;
    struct token_row row = {0};
    struct tokenizer *t = load("smollm");
    (void)state;
    assert_ok(conversation_format(t, "llama3", &format, &e), &e);
    assert_int_equal(conversation_encode(t, &format, TALK + 1, 2, &row, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "ends a turn with \"<|eot_id|>\", which is not one token"));
    assert_null(row.ids);
    chat_format_free(&format);
    tokenizer_destroy(t);

    t = load("gpt2"); /* no template of its own */
    assert_int_equal(conversation_format(t, NULL, &format, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "data.template: chatml"));
    tokenizer_destroy(t);

    t = load("mistral");
    assert_ok(conversation_format(t, "chatml", &format, &e), &e);
    format.user_before = "";
    format.end = format.eos;
    assert_int_equal(conversation_encode(t, &format, doubled, 2, &row, &e), GRAFT_OK);
    assert_true(row.ids[0] == 1 && row.ids[1] != 1); /* the text's own counts */
    format.user_before = "<s>";
    assert_int_equal(conversation_encode(t, &format, doubled, 2, &row, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "twice"));
    token_row_free(&row);
    chat_format_free(&format);
    tokenizer_destroy(t);
}

/* A token that begins before the answer and reaches into it is not trained, and counted. */
static void test_seams(void **state)
{
    static const struct chat_message pair[] = {MESSAGE("user", "U"), MESSAGE("assistant", "e x")};
    struct error e = {0};
    struct chat_format format;
    struct token_row row = {0};
    struct str text = {0};
    struct tokenizer *t = load("gpt2");
    (void)state;
    assert_ok(conversation_format(t, "alpaca", &format, &e), &e);
    format.assistant_before = "th";
    assert_ok(conversation_encode(t, &format, pair, 2, &row, &e), &e);
    decode_trained(t, &row, &text);
    assert_string_equal(text.data, " x<|endoftext|>");
    assert_int_equal(row.seams, 1);
    token_row_free(&row);
    str_free(&text);
    chat_format_free(&format);
    tokenizer_destroy(t);
}

static void test_without_memory(void **state)
{
    struct tokenizer *t = load("mistral");
    int64_t live = mem_live_count();
    bool done = false;
    (void)state;
    for (int64_t n = 1; !done; n++) {
        struct error e = {0};
        struct chat_format format = {0};
        struct token_row row = {0};
        mem_fail_after(n);
        enum graft_status status = conversation_format(t, NULL, &format, &e);
        if (status == GRAFT_OK) status = conversation_encode(t, &format, TALK, 5, &row, &e);
        mem_fail_after(0);
        done = status == GRAFT_OK;
        if (!done) assert_int_equal(status, GRAFT_E_MEMORY);
        token_row_free(&row);
        chat_format_free(&format);
        assert_int_equal(mem_live_count(), live);
    }
    tokenizer_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_all_names),
        cmocka_unit_test(test_unknown_templates),
        cmocka_unit_test(test_default_system),
        cmocka_unit_test(test_refused_messages),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_think_block),
        cmocka_unit_test(test_misfits),
        cmocka_unit_test(test_seams),
        cmocka_unit_test(test_without_memory),
    };
    return TEST_MAIN(tests);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * data: rows to token rows, the ledger and its refusals, and what `data show` prints. The token ids
 * are those of the golden tokenizers' vectors, made by the tokenizers library.
 */
#include "unit/test.h"

#include "base/log.h"
#include "base/memory.h"
#include "data/show.h"

#include <stdio.h>
#include <string.h>

static struct tokenizer *smollm;  /* ChatML, adds no BOS */
static struct tokenizer *mistral; /* SentencePiece, adds BOS */
static struct chat_format chatml;

static int load(void **state)
{
    static const char path[] = GRAFT_TEST_DIR "/golden/data/tokenizers/";
    char folder[512];
    struct error e = {0};
    (void)state;
    snprintf(folder, sizeof folder, "%ssmollm", path);
    assert_ok(tokenizer_from_folder(folder, &smollm, &e), &e);
    snprintf(folder, sizeof folder, "%smistral", path);
    assert_ok(tokenizer_from_folder(folder, &mistral, &e), &e);
    assert_ok(conversation_format(smollm, NULL, &chatml, &e), &e);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    chat_format_free(&chatml);
    tokenizer_destroy(smollm);
    tokenizer_destroy(mistral);
    return 0;
}

static char log_lines[4096];

static void keep_log(void *context, enum log_level level, const char *line)
{
    size_t used = strlen(log_lines);
    (void)context;
    (void)level;
    snprintf(log_lines + used, sizeof log_lines - used, "%s\n", line);
}

/* Rows as a file would give them: `count` plain texts or question and answer pairs. */
struct corpus {
    struct data_row rows[64];
    struct chat_message messages[64][2];
    const char *file;
    struct data_rows all;
};

static void corpus_init(struct corpus *c)
{
    memset(c, 0, sizeof *c);
    c->file = "support.jsonl";
    c->all = (struct data_rows){.rows = c->rows, .files = &c->file, .file_count = 1};
}

static void add_text(struct corpus *c, const char *text)
{
    struct data_row *row = &c->rows[c->all.count++];
    *row = (struct data_row){
        .text = text, .text_length = strlen(text), .line = (uint32_t)c->all.count};
}

static void add_pair(struct corpus *c, const char *question, const char *answer, bool pair)
{
    struct chat_message *m = c->messages[c->all.count];
    struct data_row *row = &c->rows[c->all.count++];
    m[0] = (struct chat_message){"user", question, strlen(question)};
    m[1] = (struct chat_message){"assistant", answer, strlen(answer)};
    *row = (struct data_row){
        .messages = m, .message_count = 2, .pair = pair, .line = (uint32_t)c->all.count};
}

static struct data_tokenize_options chat_options(void)
{
    return (struct data_tokenize_options){
        .tokenizer = smollm, .chat = &chatml, .max_length = 200, .context = 2048};
}

static struct data_tokens tokenized(const struct corpus *c, const struct data_tokenize_options *o)
{
    struct data_tokens tokens = {0};
    struct error e = {0};
    assert_ok(data_tokenize(&c->all, o, &tokens, &e), &e);
    return tokens;
}

static void assert_refused(const struct corpus *c, const struct data_tokenize_options *o,
                           const char *what)
{
    struct data_tokens tokens = {0};
    struct error e = {0};
    int64_t live = mem_live_count();
    assert_int_equal(data_tokenize(&c->all, o, &tokens, &e), GRAFT_E_INVALID);
    if (strstr(e.text, what) == NULL) fail_msg("\"%s\" without \"%s\"", e.text, what);
    assert_null(tokens.rows);
    assert_int_equal(mem_live_count(), live);
}

static struct str trained_text(const struct data_sequence *row)
{
    struct str out = {0};
    for (size_t i = 0; i < row->length; i++) {
        size_t length;
        if (row->labels[i] == LABEL_IGNORED) continue;
        assert_int_equal(row->labels[i], row->ids[i]);
        const char *piece = tokenizer_piece(smollm, row->ids[i], &length);
        str_add(&out, piece, length);
    }
    return out;
}

static void test_answers_are_trained(void **state)
{
    struct corpus c;
    struct data_tokenize_options o = chat_options();
    (void)state;
    corpus_init(&c);
    add_pair(&c, "What?", "That one.", false);
    add_pair(&c, "Who?", "Me", false);
    struct data_tokens tokens = tokenized(&c, &o);
    assert_int_equal(tokens.count, 2);
    struct str text = trained_text(&tokens.rows[0]);
    assert_string_equal(text.data, "That one.<|im_end|>"); /* the turn's end, not the line break */
    str_free(&text);
    struct str whole = {0};
    tokenizer_decode(smollm, tokens.rows[1].ids, tokens.rows[1].length, false, &whole);
    assert_string_equal(whole.data, "<|im_start|>system\nYou are a helpful AI assistant named "
                                    "SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\n"
                                    "Who?<|im_end|>\n<|im_start|>assistant\nMe<|im_end|>\n");
    str_free(&whole);
    const struct data_ledger *l = &tokens.ledger;
    assert_int_equal(l->rows, 2);
    assert_int_equal(l->turns_ended, 2);
    assert_int_equal(l->tokens, tokens.rows[0].length + tokens.rows[1].length);
    assert_int_equal(l->trained, tokens.rows[0].trained + tokens.rows[1].trained);
    assert_int_equal(l->longest, tokens.rows[0].length);
    data_tokens_free(&tokens);
}

static void test_train_on_all(void **state)
{
    struct corpus c;
    struct data_tokenize_options o = chat_options();
    (void)state;
    corpus_init(&c);
    add_pair(&c, "What?", "That.", false);
    o.train_all = true;
    struct data_tokens tokens = tokenized(&c, &o);
    const struct data_sequence *row = &tokens.rows[0];
    assert_int_equal(row->trained, row->length - 1); /* nothing predicts the first */
    assert_int_equal(row->labels[0], LABEL_IGNORED);
    assert_memory_equal(row->labels + 1, row->ids + 1, (row->length - 1) * sizeof *row->ids);
    assert_int_equal(tokens.ledger.turns_ended, 1);
    data_tokens_free(&tokens);
}

/* "Hello world! 123" has these ids in golden/data/tokenizers/smollm/vectors.json. */
static void test_plain_text(void **state)
{
    static const int32_t ids[] = {42, 71, 290, 81, 275, 268, 78, 70, 3, 223, 19, 20, 21};
    enum { COUNT = sizeof ids / sizeof *ids };
    struct corpus c;
    struct data_tokenize_options o = {.tokenizer = smollm, .max_length = COUNT + 1};
    (void)state;
    corpus_init(&c);
    add_text(&c, "Hello world! 123");
    struct data_tokens tokens = tokenized(&c, &o);
    const struct data_sequence *row = &tokens.rows[0];
    assert_int_equal(row->length, COUNT + 1);
    assert_memory_equal(row->ids, ids, sizeof ids);
    assert_int_equal(row->ids[COUNT], tokenizer_eos(smollm));
    assert_int_equal(row->labels[COUNT], tokenizer_eos(smollm));
    assert_int_equal(row->trained, COUNT);
    assert_int_equal(tokens.ledger.turns_ended, 1);
    data_tokens_free(&tokens);
    /* an end of text that is there is not doubled */
    corpus_init(&c);
    add_text(&c, "Hello world! 123<|im_end|>");
    tokens = tokenized(&c, &o);
    assert_int_equal(tokens.rows[0].length, COUNT + 1);
    data_tokens_free(&tokens);
}

static void test_bos_once(void **state)
{
    struct corpus c;
    struct data_tokenize_options o = {.tokenizer = mistral, .max_length = 64};
    (void)state;
    assert_true(tokenizer_adds_bos(mistral));
    corpus_init(&c);
    add_text(&c, "Hello");
    struct data_tokens tokens = tokenized(&c, &o);
    const struct data_sequence *row = &tokens.rows[0];
    assert_int_equal(row->ids[0], tokenizer_bos(mistral));
    assert_int_equal(row->labels[0], LABEL_IGNORED);
    assert_int_not_equal(row->ids[1], tokenizer_bos(mistral));
    assert_int_equal(row->ids[row->length - 1], tokenizer_eos(mistral));
    data_tokens_free(&tokens);
    corpus_init(&c);
    add_text(&c, "fine");
    add_text(&c, "<s>Hello");
    assert_refused(&c, &o, "support.jsonl:2: the row begins with two beginning-of-text tokens");
}

static void test_pairs_without_a_template(void **state)
{
    struct corpus c;
    struct data_tokenize_options o = chat_options();
    (void)state;
    o.chat = NULL;
    corpus_init(&c);
    add_pair(&c, "The sky is", " blue.", true);
    struct data_tokens tokens = tokenized(&c, &o);
    struct str text = trained_text(&tokens.rows[0]);
    assert_string_equal(text.data, " blue.<|im_end|>");
    str_free(&text);
    assert_int_equal(tokens.ledger.raw_pairs, 1);
    data_tokens_free(&tokens);
    corpus_init(&c);
    add_pair(&c, "q", "a", false);
    assert_refused(&c, &o, "support.jsonl:1: a conversation, but the model has no chat template");
    assert_refused(&c, &o, "data.template: chatml");
}

/* A template that the user named and that no row passes through is said; the model's own is not. */
static void test_plain_text_beside_a_template(void **state)
{
    struct corpus c;
    struct data_tokenize_options o = chat_options();
    (void)state;
    corpus_init(&c);
    add_text(&c, "The sky is blue.");
    add_pair(&c, "q", "a", false);
    struct data_tokens tokens = tokenized(&c, &o);
    log_lines[0] = '\0';
    log_set_sink(keep_log, NULL);
    data_log_template(&o, &tokens.ledger);
    assert_string_equal(log_lines, "");
    o.chat_named = true;
    data_log_template(&o, &tokens.ledger);
    log_set_sink(NULL, NULL);
    assert_non_null(strstr(log_lines, "data.template: chatml has no effect on 1 of 2 rows"));
    data_tokens_free(&tokens);
}

static void test_too_long(void **state)
{
    struct corpus c;
    struct data_tokenize_options o = {.tokenizer = smollm, .max_length = 3};
    (void)state;
    corpus_init(&c);
    for (size_t i = 0; i < 40; i++) add_text(&c, i == 7 || i == 31 ? "a b c d e f g h" : "a b");
    log_lines[0] = '\0';
    log_set_sink(keep_log, NULL);
    struct data_tokens tokens = tokenized(&c, &o); /* 5 % exactly */
    log_set_sink(NULL, NULL);
    assert_int_equal(tokens.count, 38);
    assert_int_equal(tokens.ledger.too_long, 2);
    assert_int_equal(tokens.rows[7].source, 8);
    assert_non_null(strstr(log_lines, "left out: support.jsonl:8 (9 tokens)"));
    assert_non_null(strstr(log_lines, "left out: support.jsonl:32 "));
    assert_non_null(strstr(log_lines, "2 of 40 rows left out: longer than data.max_length 3"));
    data_tokens_free(&tokens);
    c.rows[12].text = "a b c d e f g h a";
    c.rows[12].text_length = strlen(c.rows[12].text);
    assert_refused(&c, &o,
                   "data.max_length: 3 of 40 rows are longer than 3 tokens (the longest: "
                   "10, support.jsonl:13), more than 5 %");
    o.drop_long = true;
    tokens = tokenized(&c, &o);
    assert_int_equal(tokens.count, 37);
    data_tokens_free(&tokens);
    o.max_length = 1;
    assert_refused(&c, &o, "every row is longer than 1 tokens");
}

static void test_only_five_are_listed(void **state)
{
    struct corpus c;
    struct data_tokenize_options o = {.tokenizer = smollm, .max_length = 3, .drop_long = true};
    size_t lines = 0;
    (void)state;
    corpus_init(&c);
    for (size_t i = 0; i < 40; i++) add_text(&c, i < 9 ? "a b c d e f g h" : "a b");
    log_lines[0] = '\0';
    log_set_sink(keep_log, NULL);
    struct data_tokens tokens = tokenized(&c, &o);
    log_set_sink(NULL, NULL);
    for (const char *p = log_lines; (p = strstr(p, "left out: support")) != NULL; p++) lines++;
    assert_int_equal(lines, 5);
    assert_non_null(strstr(log_lines, "9 of 40 rows left out"));
    data_tokens_free(&tokens);
}

static void test_options_are_checked(void **state)
{
    struct corpus c;
    struct data_tokenize_options o = chat_options();
    (void)state;
    corpus_init(&c);
    assert_refused(&c, &o, "no rows");
    add_pair(&c, "q", "a", false);
    o.max_length = 1000000;
    assert_refused(&c, &o,
                   "data.max_length: 1000000 is more than the model's context; allowed: 1 "
                   "to 2048");
}

/* A tokenizer without an end of text, and a row of one token: nothing is predicted. */
static void test_nothing_to_train(void **state)
{
    struct corpus c;
    struct data_tokenize_options o = {.tokenizer = smollm, .max_length = 64};
    (void)state;
    corpus_init(&c);
    add_text(&c, "<|im_end|>");
    assert_refused(&c, &o, "no row has a token to train");
    add_text(&c, "fine");
    struct data_tokens tokens = tokenized(&c, &o);
    assert_int_equal(tokens.count, 1);
    assert_int_equal(tokens.ledger.untrained, 1);
    data_tokens_free(&tokens);
}

static void test_wrong_template(void **state)
{
    struct corpus c;
    struct chat_format llama3 = {0};
    struct error e = {0};
    struct data_tokenize_options o = chat_options();
    (void)state;
    assert_ok(chat_from_name("llama3", "<|im_start|>", "<|im_end|>", &llama3, &e), &e);
    o.chat = &llama3;
    corpus_init(&c);
    add_pair(&c, "q", "a", false);
    assert_refused(&c, &o, "support.jsonl:1: chat template llama3 ends a turn with");
    chat_format_free(&llama3);
}

static struct str shown(const struct corpus *c, const struct data_tokenize_options *o, bool colour,
                        const struct data_ledger *ledger)
{
    struct str out = {0};
    struct error e = {0};
    const struct data_show_request q = {
        .rows = &c->all, .options = o, .ledger = ledger, .first = 0, .count = 9, .colour = colour};
    assert_ok(data_show(&q, &out, &e), &e);
    return out;
}

static void test_show(void **state)
{
    struct corpus c;
    struct data_tokenize_options o = chat_options();
    (void)state;
    corpus_init(&c);
    add_pair(&c, "What\x1B[31m?", "No", false);
    struct data_tokens tokens = tokenized(&c, &o);
    struct str out = shown(&c, &o, false, &tokens.ledger);
    assert_non_null(strstr(out.data, "masked   [trained]   {special}   [{special and trained}]"));
    assert_non_null(strstr(out.data, "support.jsonl:1: "));
    assert_non_null(strstr(out.data, "{<|im_start|>}assistant\\n\n[N][o][{<|im_end|>}]\\n\n"));
    assert_non_null(strstr(out.data, "What\\x1B[31m?")); /* no escape reaches the terminal */
    assert_null(strchr(out.data, '\x1B'));
    assert_non_null(strstr(out.data, "  ids {1} "));
    assert_non_null(strstr(out.data, "1   rows end with a trained end of turn (<|im_end|>)"));
    str_free(&out);
    out = shown(&c, &o, true, NULL);
    assert_non_null(strstr(out.data, "\033[32mo\033[0m\033[1;35m<|im_end|>\033[0m\033[2m\\n"));
    assert_null(strstr(out.data, "turn ends"));
    str_free(&out);
    data_tokens_free(&tokens);
}

/* A character of several tokens is shown whole. */
static void test_show_characters(void **state)
{
    struct corpus c;
    struct data_tokenize_options o = {.tokenizer = smollm, .max_length = 2};
    (void)state;
    corpus_init(&c);
    add_text(&c, "x\xE5\x85\xA8\xE8\xA7\x92");
    struct str out = shown(&c, &o, false, NULL);
    assert_non_null(strstr(out.data, "[\xE5\x85\xA8]"));
    assert_non_null(strstr(out.data, "[\xE8\xA7\x92]"));
    assert_non_null(strstr(out.data, "; left out: longer than data.max_length 2"));
    str_free(&out);
}

static void test_refused_allocations(void **state)
{
    struct corpus c;
    struct data_tokenize_options o = chat_options();
    int64_t live = mem_live_count();
    enum graft_status status = GRAFT_E_MEMORY;
    (void)state;
    corpus_init(&c);
    add_pair(&c, "q", "a", true);
    add_text(&c, "text");
    for (int64_t n = 1; status != GRAFT_OK; n++) {
        struct data_tokens tokens = {0};
        struct str out = {0};
        struct error e = {0};
        const struct data_show_request q = {.rows = &c.all, .options = &o, .count = 2};
        mem_fail_after(n);
        status = data_tokenize(&c.all, &o, &tokens, &e);
        if (status == GRAFT_OK) status = data_show(&q, &out, &e);
        mem_fail_after(0);
        if (status != GRAFT_OK) assert_int_equal(status, GRAFT_E_MEMORY);
        data_tokens_free(&tokens);
        str_free(&out);
        assert_int_equal(mem_live_count(), live);
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_are_trained),
        cmocka_unit_test(test_train_on_all),
        cmocka_unit_test(test_plain_text),
        cmocka_unit_test(test_bos_once),
        cmocka_unit_test(test_pairs_without_a_template),
        cmocka_unit_test(test_plain_text_beside_a_template),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_only_five_are_listed),
        cmocka_unit_test(test_options_are_checked),
        cmocka_unit_test(test_nothing_to_train),
        cmocka_unit_test(test_wrong_template),
        cmocka_unit_test(test_show),
        cmocka_unit_test(test_show_characters),
        cmocka_unit_test(test_refused_allocations),
    };
    return cmocka_run_group_tests(tests, load, unload) != 0;
}

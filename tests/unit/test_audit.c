/* SPDX-License-Identifier: Apache-2.0
 *
 * audit: what a check finds, with rows made by hand: each finding alone, its count and its places.
 */
#include "unit/test.h"

#include "audit/audit.h"
#include "audit/overlap.h"
#include "audit/rules.h"
#include "base/memory.h"
#include "file/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/graft-check-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

#define ROW(q, a) "{\"instruction\":\"" q "\",\"output\":\"" a "\"}\n"

static char paths[3][128];
static const char *files[3];

/* An audit of up to three texts: train, valid, test. */
static void run(struct audit *a, const struct data_tokenize_options *options,
                const char *const *texts)
{
    static const char *const names[] = {"train", "valid", "test"};
    struct error e = {0};
    *a = (struct audit){.options = options};
    for (size_t i = 0; i < 3 && texts[i] != NULL; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%s.jsonl", folder, names[i]);
        FILE *file = fopen(paths[i], "wb");
        assert_non_null(file);
        assert_true(fputs(texts[i], file) >= 0);
        assert_int_equal(fclose(file), 0);
        files[i] = paths[i];
        a->splits[a->split_count++] =
            (struct audit_split){.name = names[i], .files = &files[i], .file_count = 1};
    }
    assert_ok(audit_run(a, &e), &e);
    for (size_t i = 0; i < a->split_count; i++) unlink(paths[i]);
}

#define RUN(a, options, ...) run(a, options, (const char *const[]){__VA_ARGS__, NULL, NULL, NULL})

/* The finding is there, with this count, its first places in these lines; 0 ends the list. */
static void finds(const struct audit *a, size_t split, enum audit_kind kind, size_t count,
                  const uint32_t *lines)
{
    const struct audit_finding *f = &a->splits[split].findings[kind];
    if (f->count != count)
        fail_msg("%s: %zu instead of %zu", audit_entries[kind].name, f->count, count);
    for (size_t i = 0; lines[i] != 0; i++) assert_int_equal(f->places[i].line, lines[i]);
}

#define FINDS(a, split, kind, count, ...)                                                          \
    finds(a, split, kind, count, (const uint32_t[]){__VA_ARGS__, 0})

/* Nothing else than these kinds was found. */
static void only(const struct audit *a, size_t split, unsigned long kinds)
{
    for (int kind = 0; kind < AUDIT_KINDS; kind++)
        if ((kinds >> kind & 1) == 0 && a->splits[split].findings[kind].count != 0)
            fail_msg("%s: %zu found", audit_entries[kind].name,
                     a->splits[split].findings[kind].count);
}

#define BIT(kind) (1ul << (kind))

static void test_nothing(void **state)
{
    struct audit a;
    struct str text = {0};
    (void)state;
    RUN(&a, NULL, ROW("What is this?", "A test.") ROW("And this?", "Another one."),
        ROW("Or that?", "A third."));
    only(&a, 0, 0);
    only(&a, 1, 0);
    assert_int_equal(audit_count(&a), 0);
    assert_int_equal(a.splits[0].rows.count, 2);
    assert_int_equal(a.splits[0].lengths.longest, 21); /* And this?Another one. */
    audit_print(&a, &text);
    assert_non_null(strstr(text.data, "nothing found"));
    str_free(&text);
    audit_free(&a);
}

static void test_records(void **state)
{
    struct audit a;
    (void)state;
    RUN(&a, NULL,
        ROW("ok", "fine") "{\"instruction\":\n" ROW("empty", " ") ROW("", "no question")
            ROW("caf\xE9 it is.", "Latin-1")
                ROW("nul",
                    "a\\u0000b") "{\"text\":\"other\"}\n"
                                 "{\"instruction\":\"\",\"input\":\"kept\",\"output\":\"yes\"}\n");
    FINDS(&a, 0, AUDIT_BAD_ROW, 3, 2, 6, 7);
    FINDS(&a, 0, AUDIT_EMPTY_ANSWER, 1, 3);
    FINDS(&a, 0, AUDIT_EMPTY_QUESTION, 2, 4, 8);
    FINDS(&a, 0, AUDIT_ENCODING, 1, 5);
    assert_int_equal(a.splits[0].findings[AUDIT_EMPTY_QUESTION].severity, AUDIT_ERROR);
    assert_int_equal(a.splits[0].records, 8);
    assert_int_equal(a.splits[0].rows.count, 3); /* 1, 5, 8 */
    only(&a, 0,
         BIT(AUDIT_BAD_ROW) | BIT(AUDIT_EMPTY_ANSWER) | BIT(AUDIT_EMPTY_QUESTION) |
             BIT(AUDIT_ENCODING) | BIT(AUDIT_CONTROL_CHARS) | BIT(AUDIT_WHITESPACE));
    audit_free(&a);
}

static void test_texts(void **state)
{
    struct audit a;
    (void)state;
    RUN(&a, NULL,
        "\xEF\xBB\xBF" ROW("mojibake", "caf\xC3\x83\xC2\xA9")
            ROW("quote", "it\xC3\xA2\xE2\x82\xAC\xE2\x84\xA2s")
                ROW("French", "\xC2\xAB CAF\xC3\x89\xC2\xBB, \xC3\xA9t\xC3\xA9")
                    ROW("lost", "a\xEF\xBF\xBD") ROW("html", "a<br>b") ROW("bell", "a\\u0007")
                        ROW("blanks", "a  b"));
    FINDS(&a, 0, AUDIT_MOJIBAKE, 2, 1, 2);
    FINDS(&a, 0, AUDIT_REPLACEMENT_CHAR, 1, 4);
    FINDS(&a, 0, AUDIT_HTML, 1, 5);
    FINDS(&a, 0, AUDIT_CONTROL_CHARS, 1, 6);
    FINDS(&a, 0, AUDIT_WHITESPACE, 1, 7);
    FINDS(&a, 0, AUDIT_BYTE_ORDER_MARK, 1, 1);
    only(&a, 0,
         BIT(AUDIT_MOJIBAKE) | BIT(AUDIT_REPLACEMENT_CHAR) | BIT(AUDIT_HTML) |
             BIT(AUDIT_CONTROL_CHARS) | BIT(AUDIT_WHITESPACE) | BIT(AUDIT_BYTE_ORDER_MARK));
    audit_free(&a);
}

static void test_repeats_and_leaks(void **state)
{
    struct audit a;
    (void)state;
    RUN(&a, NULL,
        ROW("one", "1") ROW("two", "2") ROW("one", "1") ROW("one ", "1") ROW("two", "zwei")
            ROW("Two!", "2") ROW("three", "3"),
        ROW("four", "4") ROW("three", "3"), ROW("two", "deux") ROW("one", "1") ROW("five", "5"));
    FINDS(&a, 0, AUDIT_DUPLICATE, 2, 3, 4);
    assert_int_equal(a.splits[0].findings[AUDIT_DUPLICATE].others[1].line, 1);
    FINDS(&a, 0, AUDIT_CONFLICT, 1, 5);
    FINDS(&a, 0, AUDIT_NEAR_DUPLICATE, 1, 6);
    FINDS(&a, 1, AUDIT_LEAK, 1, 2);
    assert_int_equal(a.splits[1].findings[AUDIT_LEAK].others[0].line, 7);
    FINDS(&a, 2, AUDIT_LEAK, 1, 2);
    FINDS(&a, 2, AUDIT_LEAK_QUESTION, 1, 1);
    assert_int_equal(a.splits[2].findings[AUDIT_LEAK_QUESTION].others[0].line, 2);
    only(&a, 1, BIT(AUDIT_LEAK));
    /* what a comparison asks */
    struct data_overlap o;
    struct error e = {0};
    assert_ok(data_overlap(&a.splits[0].rows, &a.splits[2].rows, &o, &e), &e);
    assert_int_equal(o.rows.count, 1);
    assert_int_equal(o.rows.first[0].row, 1);
    assert_int_equal(o.rows.first[0].other, 0);
    assert_int_equal(o.questions.count, 1);
    audit_free(&a);
}

static void test_cut_answers(void **state)
{
    static const char good[] = "This is a whole answer of more than forty characters.";
    struct audit a;
    struct str text = {0};
    (void)state;
    for (int i = 0; i < 20; i++) {
        str_printf(&text, ROW("q%d", "%s"), i, good);
        if (i == 7)
            str_puts(&text, ROW("cut", "This one is of more than forty characters, but the"));
    }
    str_puts(&text, ROW("fence", "```c\\nint x;"));
    str_puts(&text, ROW("short", "yes"));
    RUN(&a, NULL, text.data);
    FINDS(&a, 0, AUDIT_CUT_ANSWER, 2, 9, 22);
    audit_free(&a);
    /* where answers are no sentences, an open end says nothing */
    RUN(&a, NULL,
        ROW("a", "card arrival and delivery of what was ordered")
            ROW("b", "exchange rate for transfers and withdrawals"));
    only(&a, 0, 0);
    audit_free(&a);
    str_free(&text);
}

static void test_languages(void **state)
{
    struct audit a;
    (void)state;
    RUN(&a, NULL,
        ROW("Where is it?", "\xE4\xBD\xA0\xE5\xA5\xBD\xE5\x90\x97") ROW("Where?", "Here it is.")
            ROW("And when?", "12:30"));
    FINDS(&a, 0, AUDIT_LANGUAGE, 1, 1);
    assert_int_equal(a.splits[0].scripts[SCRIPT_HAN], 1);
    assert_int_equal(a.splits[0].scripts[SCRIPT_LATIN], 1);
    assert_int_equal(a.splits[0].scripts[SCRIPT_NONE], 1);
    audit_free(&a);
}

static enum script script_of_text(const char *text)
{
    return text_script(text, strlen(text));
}

static void test_scripts(void **state)
{
    (void)state;
    assert_int_equal(script_of_text("hello w\xC3\xB6rld"), SCRIPT_LATIN);
    assert_int_equal(script_of_text("\xD0\xBF\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82"),
                     SCRIPT_CYRILLIC);
    assert_int_equal(
        script_of_text("\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E\xE3\x81\xAE\xE3\x81\xA7\xE3\x81\x99"),
        SCRIPT_KANA);
    assert_int_equal(script_of_text("\xED\x95\x9C\xEA\xB5\xAD\xEC\x96\xB4\xEB\x8B\xA4"),
                     SCRIPT_HANGUL);
    assert_int_equal(script_of_text("\xE7\x94\xA8 iPhone \xE5\xBE\x88\xE5\xA5\xBD\xE7\x94\xA8"),
                     SCRIPT_HAN);
    assert_int_equal(script_of_text("\xCE\xB1\xCE\xB2\xCE\xB3\xCE\xB4"), SCRIPT_GREEK);
    assert_int_equal(script_of_text("a1 2 3"), SCRIPT_NONE);
}

/* ---- with a model: the tiny Llama's tokenizer, chatml ---- */

static struct tokenizer *tokenizer;

static struct data_tokenize_options with_model(struct chat_format *chat)
{
    struct error e = {0};
    struct gguf *file = NULL;
    const char *model = GRAFT_SOURCE_DIR "/examples/models/stories260K/stories260K.gguf";
    assert_ok(gguf_open(model, &file, &e), &e);
    assert_ok(tokenizer_from_gguf(file, &tokenizer, &e), &e);
    gguf_close(file);
    assert_ok(conversation_format(tokenizer, "vicuna", chat, &e), &e);
    return (struct data_tokenize_options){
        .tokenizer = tokenizer, .chat = chat, .max_length = 256, .context = 512};
}

static void test_lengths(void **state)
{
    struct chat_format chat = {0};
    struct data_tokenize_options options = with_model(&chat);
    struct audit a;
    struct str text = {0};
    (void)state;
    for (int i = 0; i < 30; i++) str_printf(&text, ROW("q%d", "answer"), i);
    str_puts(&text, "{\"instruction\":\"long\",\"output\":\"");
    for (int i = 0; i < 300; i++) str_puts(&text, "x ");
    str_puts(&text, "\"}\n" ROW("special", "a</s>b"));
    RUN(&a, &options, text.data);
    const struct audit_lengths *l = &a.splits[0].lengths;
    FINDS(&a, 0, AUDIT_TOO_LONG, 1, 31);
    assert_int_equal(a.splits[0].findings[AUDIT_TOO_LONG].severity, AUDIT_WARNING);
    FINDS(&a, 0, AUDIT_SPECIAL_TOKEN, 1, 32);
    assert_int_equal(l->rows, 31);
    size_t rows = l->beyond;
    for (size_t i = 0; i < l->bin_count; i++) rows += l->bins[i];
    assert_int_equal(rows, 32);
    /* the same figures as the trainer's */
    struct data_tokens tokens = {0};
    struct error e = {0};
    assert_ok(data_tokenize(&a.splits[0].rows, &options, &tokens, &e), &e);
    assert_int_equal(l->trained, tokens.ledger.trained);
    assert_int_equal(l->total, tokens.ledger.tokens);
    data_tokens_free(&tokens);
    audit_free(&a);
    /* more than 5 % of the rows: the trainer refuses */
    options.max_length = 8;
    RUN(&a, &options, ROW("a", "b c d e f g h i j") ROW("c", "d"));
    assert_int_equal(a.splits[0].findings[AUDIT_TOO_LONG].severity, AUDIT_ERROR);
    audit_free(&a);
    chat_format_free(&chat);
    tokenizer_destroy(tokenizer);
    str_free(&text);
}

static void test_json(void **state)
{
    struct audit a;
    (void)state;
    RUN(&a, NULL, ROW("one", "1") ROW("one", "1"));
    json_t *json = audit_json(&a);
    const json_t *finding = json_array_get(json_object_get(json, "findings"), 0);
    assert_string_equal(json_string_value(json_object_get(finding, "name")), "duplicate");
    assert_string_equal(json_string_value(json_object_get(finding, "severity")), "warning");
    assert_int_equal(json_integer_value(json_object_get(finding, "count")), 1);
    const json_t *place = json_array_get(json_object_get(finding, "places"), 0);
    assert_int_equal(json_integer_value(json_object_get(place, "line")), 2);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(place, "as"), "line")), 1);
    const json_t *split = json_array_get(json_object_get(json, "splits"), 0);
    assert_int_equal(json_integer_value(json_object_get(split, "rows")), 2);
    json_decref(json);
    audit_free(&a);
}

/* The page has a row for every rule and every finding. */
static void test_documented(void **state)
{
    struct str page = {0};
    char buffer[4096], name[64];
    FILE *file = fopen(GRAFT_SOURCE_DIR "/docs/data.md", "rb");
    (void)state;
    assert_non_null(file);
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, file)) != 0;) str_add(&page, buffer, n);
    fclose(file);
    for (enum rule i = 0; i < RULES; i++) {
        snprintf(name, sizeof name, "| `%s` |", rules[i].name);
        if (strstr(page.data, name) == NULL) fail_msg("docs/data.md has no %s", name);
    }
    for (int i = 0; i < AUDIT_KINDS; i++) {
        snprintf(name, sizeof name, "| `%s` | %s |", audit_entries[i].name,
                 audit_severity_name(audit_entries[i].severity));
        if (strstr(page.data, name) == NULL) fail_msg("docs/data.md has no %s", name);
    }
    str_free(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),     cmocka_unit_test(test_records),
        cmocka_unit_test(test_texts),       cmocka_unit_test(test_repeats_and_leaks),
        cmocka_unit_test(test_cut_answers), cmocka_unit_test(test_languages),
        cmocka_unit_test(test_scripts),     cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_json),        cmocka_unit_test(test_documented),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder) != 0;
}

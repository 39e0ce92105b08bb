/* SPDX-License-Identifier: Apache-2.0
 *
 * data: files to rows. Every format, the containers, and one clear line for every kind of bad file.
 */
#include "unit/test.h"

#include "base/log.h"
#include "base/memory.h"
#include "data/rows.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/graft-data-XXXXXX";

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

/* Reads `bytes` as a file of that name; the file is gone afterwards. */
static enum graft_status read_bytes(const char *name, const char *bytes, size_t length,
                                    struct data_rows *rows, struct error *e)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    enum graft_status status = data_read(path, rows, e);
    unlink(path);
    return status;
}

static struct data_rows rows_of(const char *name, const char *text)
{
    struct data_rows rows = {0};
    struct error e = {0};
    assert_ok(read_bytes(name, text, strlen(text), &rows, &e), &e);
    return rows;
}

/* "role:content|role:content" */
static void assert_messages(const struct data_rows *rows, size_t row, const char *expected)
{
    struct str got = {0};
    const struct data_row *r = &rows->rows[row];
    for (size_t i = 0; i < r->message_count; i++) {
        assert_int_equal(r->messages[i].length, strlen(r->messages[i].content));
        str_printf(&got, "%s%s:%s", i == 0 ? "" : "|", r->messages[i].role, r->messages[i].content);
    }
    assert_string_equal(got.data, expected);
    str_free(&got);
}

static void test_alpaca(void **state)
{
    struct data_rows rows = rows_of(
        "a.jsonl", "{\"instruction\":\"Add\",\"input\":\"1 2\",\"output\":\"3\"}\n\n"
                   "{\"instruction\":\"Say\",\"input\":\"\",\"output\":\"x\",\"id\":7}\r\n"
                   "{\"instruction\":\"Q\",\"output\":\"A\",\"system\":\"S\",\"text\":\"all\","
                   "\"history\":[[\"q1\",\"a1\"],[\"q2\",\"a2\"]]}\n"
                   "{\"instruction\":\"\",\"input\":\"only\",\"output\":\" y \\n\"}");
    (void)state;
    assert_int_equal(rows.count, 4);
    assert_int_equal(rows.formats[0], DATA_ALPACA);
    assert_messages(&rows, 0, "user:Add\n1 2|assistant:3");
    assert_messages(&rows, 1, "user:Say|assistant:x");
    assert_messages(&rows, 2,
                    "system:S|user:q1|assistant:a1|user:q2|assistant:a2|user:Q|"
                    "assistant:A");
    assert_messages(&rows, 3, "user:only|assistant: y \n");
    assert_int_equal(rows.rows[0].line, 1);
    assert_int_equal(rows.rows[1].line, 3);
    assert_int_equal(rows.rows[3].line, 5);
    assert_string_equal(data_row_answer(&rows.rows[2]), "A");
    assert_non_null(strstr(data_row_file(&rows, 0), "/a.jsonl"));
    data_rows_free(&rows);
}

static void test_messages(void **state)
{
    struct data_rows rows = rows_of(
        "m.jsonl",
        "{\"messages\":[{\"role\":\"developer\",\"content\":\"S\"},{\"role\":\"user\",\"content\":"
        "[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]},"
        "{\"role\":\"assistant\",\"content\":\"c\",\"weight\":1,\"tool_calls\":[]}],\"tools\":[]}\n"
        "{\"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9\\ud83d\\ude42\"},"
        "{\"role\":\"assistant\",\"content\":\"d\"}]}");
    (void)state;
    assert_int_equal(rows.formats[0], DATA_MESSAGES);
    assert_messages(&rows, 0, "system:S|user:ab|assistant:c");
    assert_messages(&rows, 1, "user:\xC3\xA9\xF0\x9F\x99\x82|assistant:d");
    data_rows_free(&rows);
}

static char last_log[1024];

static void keep_log(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    snprintf(last_log, sizeof last_log, "%s", line);
}

static void test_sharegpt(void **state)
{
    (void)state;
    log_set_sink(keep_log, NULL);
    struct data_rows rows = rows_of(
        "s.json", "[{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"},"
                  "{\"from\":\"gpt\",\"value\":\"a\"}],\"system\":\"S\"},\n\n"
                  " {\"conversations\":[{\"from\":\"system\",\"value\":\"T\"},\n"
                  "{\"from\":\"gpt\",\"value\":\"lost\"},{\"from\":\"user\",\"value\":\"q\"},"
                  "{\"from\":\"chatgpt\",\"value\":\"a\"}],\"system\":\"S\"}]\n");
    log_set_sink(NULL, NULL);
    assert_int_equal(rows.formats[0], DATA_SHAREGPT);
    assert_messages(&rows, 0, "system:S|user:q|assistant:a");
    assert_messages(&rows, 1, "system:T|user:q|assistant:a"); /* a system turn wins */
    assert_int_equal(rows.rows[1].line, 3);
    assert_non_null(strstr(last_log, "1 answers stand before the first question"));
    assert_non_null(strstr(last_log, "line 3"));
    data_rows_free(&rows);
}

static void test_prompt_and_text(void **state)
{
    struct data_rows rows =
        rows_of("p.jsonl", "{\"prompt\":\"The sky is\",\"completion\":\" blue.\"}\n"
                           "{\"prompt\":[{\"role\":\"user\",\"content\":\"q\"}],"
                           "\"completion\":[{\"role\":\"assistant\",\"content\":\"a\"}]}");
    struct error e = {0};
    (void)state;
    assert_messages(&rows, 0, "user:The sky is|assistant: blue.");
    assert_true(rows.rows[0].pair);
    assert_messages(&rows, 1, "user:q|assistant:a");
    assert_false(rows.rows[1].pair);
    /* a list of files: other formats, places of their own */
    static const char text[] = "\xEF\xBB\xBF{\"text\": \"Once\\nupon\"}\n";
    assert_ok(read_bytes("t.jsonl", text, sizeof text - 1, &rows, &e), &e);
    assert_int_equal(rows.count, 3);
    assert_int_equal(rows.file_count, 2);
    assert_int_equal(rows.formats[1], DATA_TEXT);
    assert_string_equal(rows.rows[2].text, "Once\nupon");
    assert_int_equal(rows.rows[2].text_length, 9);
    assert_null(rows.rows[2].messages);
    assert_null(data_row_answer(&rows.rows[2]));
    assert_non_null(strstr(data_row_file(&rows, 2), "/t.jsonl"));
    assert_non_null(strstr(data_row_file(&rows, 1), "/p.jsonl"));
    data_rows_free(&rows);
}

static void test_json_containers(void **state)
{
    struct data_rows rows = rows_of("o.json", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n");
    (void)state;
    assert_int_equal(rows.count, 2);
    data_rows_free(&rows);
    /* brackets and quotes inside texts do not end a row of an array */
    rows = rows_of("b.json", "\n [\n{\"text\":\n\"]}\\\"[{\"}\n,\n{\"text\":\"b\\\\\"}]\n\n");
    assert_int_equal(rows.count, 2);
    assert_string_equal(rows.rows[0].text, "]}\"[{");
    assert_string_equal(rows.rows[1].text, "b\\");
    assert_int_equal(rows.rows[0].line, 3);
    assert_int_equal(rows.rows[1].line, 6);
    data_rows_free(&rows);
}

static void test_csv(void **state)
{
    /* RFC 4180, section 2: quotes, doubled quotes, commas and line breaks in quotes, CRLF */
    struct data_rows rows = rows_of("c.csv", "\xEF\xBB\xBFid,instruction,\"input\",output\r\n"
                                             "1,\"Say \"\"hi\"\", twice\",,\"hi\r\nhi\"\r\n"
                                             "\r\n"
                                             "2, plain ,\"\",\"\"\"\"\n"
                                             "\"3\",a,b,c");
    (void)state;
    assert_int_equal(rows.count, 3);
    assert_int_equal(rows.formats[0], DATA_ALPACA);
    assert_messages(&rows, 0, "user:Say \"hi\", twice|assistant:hi\r\nhi");
    assert_messages(&rows, 1, "user: plain |assistant:\"");
    assert_messages(&rows, 2, "user:a\nb|assistant:c");
    assert_int_equal(rows.rows[0].line, 2);
    assert_int_equal(rows.rows[1].line, 5);
    assert_int_equal(rows.rows[2].line, 6);
    data_rows_free(&rows);
    rows = rows_of("t.csv", "text\n\"a,b\"\nc\n");
    assert_int_equal(rows.count, 2);
    assert_string_equal(rows.rows[0].text, "a,b");
    data_rows_free(&rows);
    rows = rows_of("p.csv", "completion,prompt\nA,Q\n");
    assert_messages(&rows, 0, "user:Q|assistant:A");
    data_rows_free(&rows);
}

struct bad_file {
    const char *name, *bytes;
    size_t length; /* 0: strlen */
    const char *place, *what;
};

static const struct bad_file bad_files[] = {
    {"e.jsonl", "", 0, "e.jsonl: ", "the file is empty"},
    {"e.jsonl", " \n\n", 0, "e.jsonl: ", "no rows"},
    {"e.json", "[]", 0, "e.json: ", "no rows"},
    {"e.csv", "text\n", 0, "e.csv: ", "no rows"},
    {"e.jsonl", "\xEF\xBB\xBF", 0, "e.jsonl: ", "no rows"},
    {"b.jsonl", "{\"text\":\"a\0b\"}", 14, "b.jsonl: ", "binary: a NUL byte at offset 10"},
    {"b.jsonl", "\xFF\xFE{\0", 4, "b.jsonl: ", "UTF-16"},
    {"u.jsonl", "{\"text\":\"a\"}\n{\"text\":\"\xE9\"}", 0,
     "u.jsonl:2: ", "not UTF-8: byte 0xE9 at offset 22"},
    {"j.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"\n{\"text\":\"c\"}", 0,
     "j.jsonl:2:", "not valid JSON"},
    {"j.jsonl", "{\"text\":\"a\"}\nhello", 0, "j.jsonl:2:", "not valid JSON"},
    {"j.jsonl", "{\"text\":\"a\"} {\"text\":\"b\"}", 0, "j.jsonl:1:", "not valid JSON"},
    {"j.jsonl", "{\"text\":\"a\",\"text\":\"b\"}", 0, "j.jsonl:1:", "duplicate"},
    {"j.jsonl", "{\"text\":\"a\\u0000\"}", 0, "j.jsonl:1:", "not valid JSON"},
    {"j.json", "[{\"text\":\"a\"},\n{\"text\":\"b\"", 0, "j.json:2: ", "not closed"},
    {"j.json", "[{\"text\":\"a\"}\n{\"text\":\"b\"}]", 0, "j.json:2: ", "`,` or `]` expected"},
    {"j.json", "[{\"text\":\"a\"},\n{\n\"text\":}]", 0, "j.json:3:", "not valid JSON"},
    {"j.json", "[{\"text\":\"a\"}", 0, "j.json:1: ", "`,` or `]` expected"},
    {"j.json", "[{\"text\":\"a\"}]\nx", 0, "j.json:2: ", "text after the array"},
    {"j.json", "[1]", 0, "j.json:1: ", "a row must be an object"},
    {"j.jsonl", "[\"a\"]", 0, "j.jsonl:1: ", "a row must be an object"},
    {"j.jsonl", "3\n", 0, "j.jsonl:1: ", "a row must be an object, found a number"},
    {"x.txt", "hello", 0, "x.txt: ", "known: .jsonl, .json, .csv"},
    {"k.jsonl", "{\"question\":\"q\",\"answer\":\"a\"}", 0, "k.jsonl:1: ",
     "keys (question, answer) of no known format: rename them (in a CSV, in its first line); "
     "known formats: messages"},
    {"k.jsonl", "{}", 0, "k.jsonl:1: ", "keys (none)"},
    {"k.jsonl", "{\"text\":\"a\"}\n{\"prompt\":\"a\",\"completion\":\"b\"}", 0,
     "k.jsonl:2: ", "this row is prompt/completion, the rows before it are plain text"},
    {"k.jsonl", "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}", 0,
     "k.jsonl:1: ", "preference data (chosen, rejected)"},
    {"n.jsonl", "{\"instruction\":\"a\"}", 0, "n.jsonl:1: ", "no answer: `instruction` without"},
    {"n.jsonl", "{\"instruction\":\"a\",\"output\":\" \\n\"}", 0,
     "n.jsonl:1: ", "no answer: `output` is empty"},
    {"n.jsonl", "{\"instruction\":\"a\",\"output\":null}", 0, "n.jsonl:1: ", "no answer"},
    {"n.jsonl", "{\"instruction\":\"a\",\"output\":4}", 0,
     "n.jsonl:1: ", "`output` must be text, found a number"},
    {"n.jsonl", "{\"instruction\":\" \",\"output\":\"a\"}", 0,
     "n.jsonl:1: ", "`instruction` is empty"},
    {"n.jsonl", "{\"instruction\":\"a\",\"output\":\"a\",\"history\":[[\"q\"]]}", 0,
     "n.jsonl:1: ", "`history` must be a list of [question, answer]"},
    {"n.jsonl", "{\"prompt\":\"a\"}", 0, "n.jsonl:1: ", "no answer: `prompt` without"},
    {"n.jsonl", "{\"prompt\":\"a\",\"completion\":\"\"}", 0, "n.jsonl:1: ", "no answer"},
    {"n.jsonl", "{\"text\":\"\"}", 0, "n.jsonl:1: ", "`text` is empty"},
    {"n.jsonl", "{\"messages\":[]}", 0, "n.jsonl:1: ", "no answer: there are no messages"},
    {"n.jsonl", "{\"messages\":\"x\"}", 0, "n.jsonl:1: ", "`messages` must be a list, found text"},
    {"n.jsonl", "{\"messages\":[3]}", 0, "n.jsonl:1: message 1: ", "must be an object"},
    {"n.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", 0,
     "n.jsonl:1: ", "no answer: the last message is the user's"},
    {"o.jsonl", "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"}]}", 0,
     "o.jsonl:1: ", "message 1 is of the assistant where the user should speak"},
    {"o.jsonl",
     "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"a\"}]}",
     0, "o.jsonl:1: ", "message 2 is of the user where the assistant should speak"},
    {"o.jsonl",
     "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"system\",\"content\":\"a\"}]"
     "}",
     0, "o.jsonl:1: ", "message 2 is of the system"},
    {"o.jsonl", "{\"messages\":[{\"role\":\"robot\",\"content\":\"a\"}]}", 0,
     "o.jsonl:1: message 1: ", "unknown role `robot`"},
    {"o.jsonl", "{\"messages\":[{\"role\":\"tool\",\"content\":\"a\"}]}", 0,
     "o.jsonl:1: message 1: ", "tool calls are not trained on"},
    {"o.jsonl",
     "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":"
     "\"b\","
     "\"weight\":0}]}",
     0, "o.jsonl:1: message 2: ", "`weight`"},
    {"o.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}", 0,
     "o.jsonl:1: message 1: ", "`image_url`: only text is read"},
    {"o.jsonl",
     "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":"
     "null}]}",
     0, "o.jsonl:1: message 2: ", "assistant message without `content`"},
    {"s.jsonl", "{\"conversations\":[{\"from\":\"gpt\",\"value\":\"a\"}]}", 0,
     "s.jsonl:1: ", "no answer"},
    {"c.csv", "text\n\"a\n", 0, "c.csv:2: ", "the quote that opens here is not closed"},
    {"c.csv", "text\n\"a\"b\n", 0, "c.csv:2: ", "text after a closing quote"},
    {"c.csv", "text\na\"b\n", 0, "c.csv:2: ", "a quote inside a field"},
    {"c.csv", "prompt,completion\na,b\na,b,c\n", 0, "c.csv:3: ",
     "3 fields where the first line "
     "names 2"},
    {"c.csv", "text,text\na,b\n", 0, "c.csv:1: ", "two columns are named `text`"},
    {"c.csv", "prompt;completion\na;b\n", 0, "c.csv:1: ", "`;`; only commas"},
    {"c.csv", "prompt\tcompletion\na\tb\n", 0, "c.csv:1: ", "tabs; only commas"},
    {"c.csv", "prompt,completion\na,\n", 0, "c.csv:2: ", "no answer"},
};

static void test_bad_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
        const struct bad_file *f = &bad_files[i];
        struct data_rows rows = rows_of("good.jsonl", "{\"text\":\"before\"}");
        struct error e = {0};
        size_t length = f->length != 0 ? f->length : strlen(f->bytes);
        enum graft_status status = read_bytes(f->name, f->bytes, length, &rows, &e);
        if (status != GRAFT_E_INVALID || strstr(e.text, f->place) == NULL ||
            strstr(e.text, f->what) == NULL || strchr(e.text, '\n') != NULL)
            fail_msg("%zu: status %d, \"%s\"; expected \"%s...%s\"", i, status, e.text, f->place,
                     f->what);
        assert_int_equal(rows.count, 1); /* what was there stays */
        assert_int_equal(rows.file_count, 1);
        data_rows_free(&rows);
    }
}

static void test_no_file(void **state)
{
    struct data_rows rows = {0};
    struct error e = {0};
    (void)state;
    assert_int_equal(data_read("/nowhere/x.jsonl", &rows, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "/nowhere/x.jsonl"));
    assert_int_equal(e.status, GRAFT_E_INVALID);
    assert_int_equal(data_read(folder, &rows, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "not a regular file"));
    data_rows_free(&rows);
}

/* The rows of the examples, counted by their SOURCE.md. */
static void test_examples(void **state)
{
    static const struct {
        const char *path;
        size_t rows;
    } files[] = {{"banking77/valid.jsonl", 1000},     {"bitext-short/test.jsonl", 518},
                 {"bitext-support/valid.jsonl", 295}, {"crosswoz-zh/test.jsonl", 386},
                 {"gsm8k/valid.jsonl", 250},          {"self-instruct-seed/train.jsonl", 120}};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[512];
        struct data_rows rows = {0};
        struct error e = {0};
        snprintf(path, sizeof path, "%s/examples/data/%s", GRAFT_SOURCE_DIR, files[i].path);
        assert_ok(data_read(path, &rows, &e), &e);
        assert_int_equal(rows.count, files[i].rows);
        assert_int_equal(rows.rows[rows.count - 1].line, rows.count);
        data_rows_free(&rows);
    }
}

/* Refuses every allocation in turn. Where jansson's are refused too, it may take a refusal for a
 * fault of the text: then only a clean failure is asked for. */
static void sweep(const char *name, const char *text, bool of_jansson)
{
    int64_t live = mem_live_count();
    enum graft_status status = GRAFT_E_MEMORY;
    for (int64_t n = 1; status != GRAFT_OK; n++) {
        struct data_rows rows = {0};
        struct error e = {0};
        char path[256];
        snprintf(path, sizeof path, "%s/%s", folder, name);
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
        fclose(file);
        mem_fail_after(n);
        status = data_read(path, &rows, &e);
        mem_fail_after(0);
        unlink(path);
        if (status != GRAFT_OK) {
            assert_int_equal(rows.count, 0);
            bool blamed = of_jansson && strstr(e.text, "not valid JSON") != NULL;
            if (status != GRAFT_E_MEMORY && !blamed)
                fail_msg("%s, allocation %d: %s", name, (int)n, e.text);
            assert_true(blamed || strstr(e.text, "not enough memory") != NULL);
        }
        data_rows_free(&rows);
        assert_int_equal(mem_live_count(), live);
        assert_true(n < 10000);
    }
}

static void sweep_all(bool of_jansson)
{
    sweep("a.jsonl",
          "{\"instruction\":\"a\",\"input\":\"b\",\"output\":\"c\",\"history\":[[\"q\",\"a\"]],"
          "\"system\":\"s\"}\n{\"instruction\":\"a\",\"output\":\"c\"}",
          of_jansson);
    sweep("m.json",
          "[{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]},"
          "{\"role\":\"assistant\",\"content\":\"y\"}]}]",
          of_jansson);
    sweep("c.csv", "instruction,input,output\na,\"b\"\"\",c\nd,,e\n", of_jansson);
    sweep("t.jsonl", "{\"text\":\"a\"}", of_jansson);
}

static void test_refused_allocations(void **state)
{
    (void)state;
    sweep_all(false);
    json_set_alloc_funcs(mem_alloc, mem_free);
    sweep_all(true);
    json_set_alloc_funcs(malloc, free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alpaca),          cmocka_unit_test(test_messages),
        cmocka_unit_test(test_sharegpt),        cmocka_unit_test(test_prompt_and_text),
        cmocka_unit_test(test_json_containers), cmocka_unit_test(test_csv),
        cmocka_unit_test(test_bad_files),       cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_examples),        cmocka_unit_test(test_refused_allocations),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder) != 0;
}

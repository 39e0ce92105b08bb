/* SPDX-License-Identifier: Apache-2.0
 *
 * audit: each rule of cleaning with texts made by hand, encodings, and the pieces of a stream.
 */
#include "unit/test.h"

#include "audit/clean.h"
#include "audit/html.h"
#include "audit/record.h"
#include "audit/repair.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/graft-audit-XXXXXX";
static char input[128], output[128], list[128];

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

static void write_input(const char *name, const char *bytes, size_t length)
{
    snprintf(input, sizeof input, "%s/%s", folder, name);
    snprintf(output, sizeof output, "%s/out.jsonl", folder);
    snprintf(list, sizeof list, "%s/list.jsonl", folder);
    FILE *file = fopen(input, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static char *read_all(const char *path)
{
    static char text[1 << 16];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    return text;
}

static struct clean_result clean_bytes(const char *name, const char *bytes, size_t length,
                                       unsigned keep, bool near)
{
    struct error e = {0};
    struct clean_result result;
    write_input(name, bytes, length);
    struct clean_request request = {.input = input,
                                    .output = output,
                                    .dropped = list,
                                    .keep = keep,
                                    .near_duplicates = near,
                                    .longest = 50};
    assert_ok(clean_file(&request, &result, &e), &e);
    return result;
}

/* Cleans `text` as a file of that name; what is written and listed is compared. */
static void cleans(const char *name, const char *text, const char *rows, const char *entries)
{
    clean_bytes(name, text, strlen(text), 0, false);
    assert_string_equal(read_all(output), rows);
    assert_string_equal(read_all(list), entries);
    unlink(input);
    unlink(output);
    unlink(list);
}

/* ---- texts ---- */

static void repairs(const char *text, unsigned faults, const char *expected)
{
    struct str scratch = {0}, out = {0};
    assert_int_equal(text_faults(text, strlen(text)), faults);
    text_repair(text, strlen(text), faults, &scratch, &out);
    assert_string_equal(out.data, expected);
    assert_int_equal(text_faults(out.data, out.length), 0);
    str_free(&scratch);
    str_free(&out);
}

static void is_clean(const char *text)
{
    if (text_faults(text, strlen(text)) != 0)
        fail_msg("\"%s\" has faults %x", text, text_faults(text, strlen(text)));
}

static void test_whitespace(void **state)
{
    const unsigned blanks = RULE_BIT(RULE_WHITESPACE);
    (void)state;
    repairs(" a", blanks, "a");
    repairs("a\t\r\n", blanks, "a");
    repairs("a  b \t c", blanks, "a b c");
    repairs("a\xC2\xA0\xC2\xA0"
            "b",
            blanks, "a b");
    repairs("a\r\nb\rc", blanks, "a\nb\nc");
    repairs("a  \nb", blanks, "a\nb");
    repairs("a\n\n \n\nb", blanks, "a\n\nb");
    repairs("f:\r\n    x = 1\r\n", blanks, "f:\n    x = 1");
    is_clean("a b\nc\n\nd");
    is_clean("if x:\n    y()\n\n    z()"); /* indentation is meant */
    is_clean("3\xC2\xA0km");               /* so is a lone no-break space */
    is_clean("a\tb");
    is_clean("");
}

static void test_control_chars(void **state)
{
    const unsigned control = RULE_BIT(RULE_CONTROL_CHARS);
    struct str scratch = {0}, out = {0};
    (void)state;
    repairs("a\x07"
            "b\x1B[0m\x7F",
            control, "ab[0m");
    repairs("a\xC2\x9C"
            "b\xE2\x80\x8B"
            "c\xEF\xBB\xBF",
            control, "abc");
    repairs("x \xE2\x80\x8B y", control, "x y"); /* the blanks that meet are one */
    assert_int_equal(text_faults("a\0b", 3), control);
    text_repair("a\0b", 3, control, &scratch, &out);
    assert_string_equal(out.data, "ab");
    is_clean("\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x92\xBB");         /* woman + joiner + laptop */
    is_clean("\xD9\x85\xDB\x8C\xE2\x80\x8C\xD8\xAE\xD9\x88\xD8\xA7"); /* Persian with its joiner */
    repairs("a\xE2\x80\x8D"
            "b",
            control, "ab");
    str_free(&scratch);
    str_free(&out);
}

static void test_html(void **state)
{
    const unsigned html = RULE_BIT(RULE_HTML);
    (void)state;
    repairs("<p>Dear <b>all</b>,<br/>thanks</p>", html, "Dear all,\nthanks");
    repairs("one<br>two<DIV class=\"a>b\">three</DIV>", html, "one\ntwo\nthree");
    repairs("x<script>if (a < 1) b('</p>');</script>y<style>p {}</style>", html, "xy");
    repairs("a<!-- <b>no</b> -->b", html, "ab");
    repairs("<!DOCTYPE html><html><body>a</body></html>", html, "a");
    repairs("Q&amp;A &#39;n&#x27; &quot;x&quot;&nbsp;&eacute;", html, "Q&A 'n' \"x\" \xC3\xA9");
    is_clean("AT&T; R&D &unknown; &#0; &#xD800; 5 & 6");
    is_clean("a < b and c > d, vector<int>, <your name>, <think>, <|im_end|>, #include <stdio.h>");
    is_clean("<b unclosed, <!-- unclosed, <p");
}

/* Decoded once: what a tutorial writes stays what it shows. */
static void test_entities_once(void **state)
{
    struct str out = {0};
    (void)state;
    html_strip("&lt;b&gt; &amp;amp;", 19, &out);
    assert_string_equal(out.data, "<b> &amp;");
    str_free(&out);
}

static void squeezes(const char *text, const char *exact, const char *loose)
{
    struct str a = {0}, b = {0};
    str_puts(&a, "");
    str_puts(&b, "");
    text_squeeze(text, strlen(text), &a);
    assert_string_equal(a.data, exact);
    text_loosen(a.data, a.length, &b);
    assert_string_equal(b.data, loose);
    str_free(&a);
    str_free(&b);
}

static void test_compared_forms(void **state)
{
    (void)state;
    squeezes("  Where \t is\n\nMY card?! ", "Where is MY card?!", "where is my card");
    squeezes("\xE4\xBD\xA0\xE5\xA5\xBD\xE3\x80\x80\xE5\x90\x97\xEF\xBC\x9F",
             "\xE4\xBD\xA0\xE5\xA5\xBD \xE5\x90\x97\xEF\xBC\x9F",
             "\xE4\xBD\xA0\xE5\xA5\xBD \xE5\x90\x97");
    squeezes("\xC3\x89T\xC3\x89 ... ", "\xC3\x89T\xC3\x89 ...", "\xC3\xA9t\xC3\xA9");
    squeezes("C#, C++", "C#, C++", "c#, c++"); /* only sentence punctuation, only at the ends */
    squeezes("?", "?", "");
    squeezes("", "", "");
    squeezes(" \xC2\xA0 ", "", "");
}

/* ---- encodings ---- */

static enum encoding encoding_of_bytes(const char *bytes, char *text)
{
    struct decoder *d = NULL;
    struct str out = {0};
    struct error e = {0};
    enum encoding found = ENCODING_NONE;
    assert_ok(decoder_create(&d, &e), &e);
    assert_ok(decoder_find(d, bytes, strlen(bytes), &found, &e), &e);
    if (found != ENCODING_NONE) {
        assert_ok(decoder_read(d, found, bytes, strlen(bytes), &out, &e), &e);
        strcpy(text, out.data);
    }
    str_free(&out);
    decoder_destroy(d);
    return found;
}

static void test_encodings(void **state)
{
    char text[64];
    (void)state;
    assert_int_equal(encoding_of_bytes("plain", text), ENCODING_UTF8);
    assert_int_equal(encoding_of_bytes("caf\xC3\xA9", text), ENCODING_UTF8);
    assert_int_equal(encoding_of_bytes("\xC4\xE3\xBA\xC3!", text), ENCODING_GBK);
    assert_string_equal(text, "\xE4\xBD\xA0\xE5\xA5\xBD!");
    assert_int_equal(encoding_of_bytes("Ren\xE9.", text), ENCODING_LATIN1);
    assert_string_equal(text, "Ren\xC3\xA9.");
    /* valid GBK, but no Chinese is written like that */
    assert_int_equal(encoding_of_bytes("\xE9"
                                       "cran d'h\xF4tel",
                                       text),
                     ENCODING_LATIN1);
    assert_string_equal(text, "\xC3\xA9"
                              "cran d'h\xC3\xB4tel");
    assert_int_equal(encoding_of_bytes("a\xFF\xFE\x81 b", text), ENCODING_NONE);
    assert_int_equal(encoding_of_bytes("a\x80"
                                       "b",
                                       text),
                     ENCODING_NONE);
}

static enum encoding encoding_of_lines(const char *const *lines)
{
    struct decoder *d = NULL;
    struct error e = {0};
    struct encoding_evidence v = {0};
    assert_ok(decoder_create(&d, &e), &e);
    for (; *lines != NULL; lines++) assert_ok(decoder_look(d, *lines, strlen(*lines), &v, &e), &e);
    decoder_destroy(d);
    return encoding_of(&v);
}

static void test_encoding_of_a_file(void **state)
{
    (void)state;
    assert_int_equal(encoding_of_lines((const char *const[]){"a", "b", NULL}), ENCODING_UTF8);
    /* C1 AA CD A8, "Unicom" in GBK, is valid UTF-8 taken alone, and the famous mistake */
    assert_int_equal(
        encoding_of_lines((const char *const[]){"\xC4\xE3\xBA\xC3", "\xC2\xA7\xCD\xA8", NULL}),
        ENCODING_GBK);
    assert_int_equal(encoding_of_lines((const char *const[]){"Ren\xE9.", "No\xEB, hi", NULL}),
                     ENCODING_LATIN1);
    /* one bad line does not make a French file Latin-1 */
    assert_int_equal(encoding_of_lines((const char *const[]){"\xC3\xA9t\xC3\xA9", "caf\xC3\xA9",
                                                             "Ren\xE9.", NULL}),
                     ENCODING_NONE);
}

/* ---- records ---- */

#define ROW(q, a) "{\"instruction\":\"" q "\",\"output\":\"" a "\"}"

static void test_kept_as_it_stands(void **state)
{
    static const char row[] = "{ \"output\" :\"\\u00e9\", \"instruction\":\"q\" , \"n\":1.50}";
    char text[256];
    (void)state;
    snprintf(text, sizeof text, "  %s \r\n\n", row);
    char wanted[256];
    snprintf(wanted, sizeof wanted, "%s\n", row);
    cleans("a.jsonl", text, wanted, "");
}

static void test_records(void **state)
{
    (void)state;
    cleans(
        "a.jsonl",
        ROW(" q ",
            "a") "\n"
                 "{\"instruction\":\"x\"\n"
                 "[1]\n"
                 "{\"id\":7,\"instruction\":\"x\",\"output\":[1]}\n" ROW("x", "a") ROW(
                     "y",
                     "b") "\n"
                          "{\"txt\":1}\n" ROW(
                              "only",
                              "   ") "\n"
                                     "{\"instruction\":\"null\",\"output\":null}\n"
                                     "{\"instruction\":\"absent\"}\n" ROW("<p></p>", "a") "\n" ROW(
                                         "q",
                                         "a\xEF\xBF\xBD") "\n" ROW("0123456789012345678901234567890"
                                                                   "12345678901234567890",
                                                                   "a") "\n" ROW("q",
                                                                                 "a") "\n" ROW("Q!",
                                                                                               "a") "\n",
        "{\"instruction\":\"q\",\"output\":\"a\"}\n" ROW("Q!", "a") "\n",
        "{\"line\":1,\"record\":1,\"action\":\"repair\",\"reasons\":[\"whitespace\"]}\n"
        "{\"line\":2,\"record\":2,\"action\":\"drop\",\"reasons\":[\"bad_record\"],\"detail\":"
        "\"not valid JSON at column 18: '}' expected near end of file\"}\n"
        "{\"line\":3,\"record\":3,\"action\":\"drop\",\"reasons\":[\"bad_record\"],\"detail\":"
        "\"no JSON object\"}\n"
        "{\"line\":4,\"record\":4,\"id\":7,\"action\":\"drop\",\"reasons\":[\"bad_record\"],"
        "\"detail\":\"`output` must be text, found a list\"}\n"
        "{\"line\":5,\"record\":5,\"action\":\"drop\",\"reasons\":[\"bad_record\"],\"detail\":"
        "\"not valid JSON at column 33: end of file expected near '{'\"}\n"
        "{\"line\":6,\"record\":6,\"action\":\"drop\",\"reasons\":[\"bad_record\"],\"detail\":"
        "\"keys (txt) of no known format\"}\n"
        "{\"line\":7,\"record\":7,\"action\":\"drop\",\"reasons\":[\"empty_output\"],\"detail\":"
        "\"output\"}\n"
        "{\"line\":8,\"record\":8,\"action\":\"drop\",\"reasons\":[\"empty_output\"],\"detail\":"
        "\"output\"}\n"
        "{\"line\":9,\"record\":9,\"action\":\"drop\",\"reasons\":[\"empty_output\"],\"detail\":"
        "\"output\"}\n"
        "{\"line\":10,\"record\":10,\"action\":\"drop\",\"reasons\":[\"empty_instruction\"],"
        "\"detail\":\"instruction\"}\n"
        "{\"line\":11,\"record\":11,\"action\":\"drop\",\"reasons\":[\"replacement_char\"],"
        "\"detail\":\"output\"}\n"
        "{\"line\":12,\"record\":12,\"action\":\"drop\",\"reasons\":[\"too_long\"],\"detail\":"
        "\"instruction: 51 characters, at most 50\"}\n"
        "{\"line\":13,\"record\":13,\"action\":\"drop\",\"reasons\":[\"duplicate_after_repair\"],"
        "\"of\":1}\n");
}

/* Length counts characters, and what is left after a repair. */
static void test_longest(void **state)
{
    char text[256], row[320], wanted[320];
    (void)state;
    for (int i = 0; i < 50; i++) memcpy(text + 2 * i, "\xC3\xA9", 3);
    snprintf(row, sizeof row, "{\"text\":\"%s\"}\n", text);
    cleans("a.jsonl", row, row, "");
    snprintf(wanted, sizeof wanted, "%s", row);
    snprintf(row, sizeof row, "{\"text\":\"<b>%s</b>\"}\n", text);
    cleans("a.jsonl", row, wanted,
           "{\"line\":1,\"record\":1,\"action\":\"repair\",\"reasons\":[\"html\"]}\n");
}

/* Every format has its texts repaired where they stand; other keys stay. */
static void test_formats(void **state)
{
    (void)state;
    cleans(
        "m.jsonl",
        "{\"messages\":[{\"role\":\"system\",\"content\":\"s \"},{\"role\":\"user\",\"content\":"
        "[{\"type\":\"text\",\"text\":\" u\"}]},{\"role\":\"assistant\",\"content\":\"a&amp;\"}],"
        "\"tag\":[1]}\n"
        "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\","
        "\"content\":\"\"}]}\n",
        "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":"
        "[{\"type\":\"text\",\"text\":\"u\"}]},{\"role\":\"assistant\",\"content\":\"a&\"}],"
        "\"tag\":[1]}\n",
        "{\"line\":1,\"record\":1,\"action\":\"repair\",\"reasons\":[\"html\",\"whitespace\"]}\n"
        "{\"line\":2,\"record\":2,\"action\":\"drop\",\"reasons\":[\"empty_output\"],\"detail\":"
        "\"assistant message\"}\n");
    cleans("s.json",
           "[{\"conversations\":[{\"from\":\"human\",\"value\":\"q \"},\n{\"from\":\"gpt\","
           "\"value\":\"a\"}]},\n {\"conversations\":[{\"from\":\"human\",\"value\":\"q\"},"
           "{\"from\":\"gpt\",\"value\":\"a\"}]}]\n",
           "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"gpt\",\"value\":"
           "\"a\"}]}\n",
           "{\"line\":1,\"record\":1,\"action\":\"repair\",\"reasons\":[\"whitespace\"]}\n"
           "{\"line\":3,\"record\":2,\"action\":\"drop\",\"reasons\":[\"duplicate_after_repair\"],"
           "\"of\":1}\n");
    cleans("p.jsonl",
           "{\"prompt\":\"q\",\"completion\":\" \"}\n{\"prompt\":\"q\",\"completion\":\"a\"}\n",
           "{\"prompt\":\"q\",\"completion\":\"a\"}\n",
           "{\"line\":1,\"record\":1,\"action\":\"drop\",\"reasons\":[\"empty_output\"],\"detail\":"
           "\"completion\"}\n");
    cleans("t.jsonl", "{\"text\":\"a\"}\n{\"text\":\"a\"}\n", "{\"text\":\"a\"}\n",
           "{\"line\":2,\"record\":2,\"action\":\"drop\",\"reasons\":[\"duplicate\"],\"of\":1}\n");
}

/* Files laid end to end: a byte order mark in the middle; and what nobody can read. */
static void test_marks_and_bytes(void **state)
{
    (void)state;
    cleans("a.jsonl",
           "\xEF\xBB\xBF" ROW("a", "1") "\n\xEF\xBB\xBF" ROW("b", "2") "\n" ROW(
               "c\xC3\xA9", "3") "\n" ROW("d\x93 \xE9.", "4") "\n" ROW("e\xFF\x81 ", "5") "\n",
           ROW("a", "1") "\n" ROW("b", "2") "\n" ROW("c\xC3\xA9", "3") "\n",
           "{\"line\":2,\"record\":2,\"action\":\"repair\",\"reasons\":[\"control_chars\"]}\n"
           "{\"line\":4,\"record\":4,\"action\":\"drop\",\"reasons\":[\"bad_encoding\"],\"detail\":"
           "\"neither UTF-8 nor GBK nor Latin-1; if it is Windows-1252: iconv -f WINDOWS-1252 -t "
           "UTF-8\"}\n"
           "{\"line\":5,\"record\":5,\"action\":\"drop\",\"reasons\":[\"bad_encoding\"],\"detail\":"
           "\"neither UTF-8 nor GBK nor Latin-1\"}\n");
}

static void test_csv(void **state)
{
    (void)state;
    cleans("a.csv",
           "\xEF\xBB\xBFinstruction,output\r\n"
           "q,\"a, \"\"b\"\"\r\nc\"\r\n"
           "\r\n"
           "one\r\n"
           "x,\"open\r\n"
           "\"\",bad\"quote\r\n"
           "y,z\r\n",
           "{\"instruction\":\"q\",\"output\":\"a, \\\"b\\\"\\nc\"}\n"
           "{\"instruction\":\"y\",\"output\":\"z\"}\n",
           "{\"line\":2,\"record\":1,\"action\":\"repair\",\"reasons\":[\"whitespace\"]}\n"
           "{\"line\":5,\"record\":2,\"action\":\"drop\",\"reasons\":[\"bad_record\"],\"detail\":"
           "\"1 fields where the first line names 2\"}\n"
           "{\"line\":6,\"record\":3,\"action\":\"drop\",\"reasons\":[\"bad_record\"],\"detail\":"
           "\"a quoted field is not closed, or text follows its closing quote\"}\n"
           "{\"line\":7,\"record\":4,\"action\":\"drop\",\"reasons\":[\"bad_record\"],\"detail\":"
           "\"not valid CSV: a quote inside a field that does not begin with one\"}\n");
}

static void test_options(void **state)
{
    static const char text[] = ROW("<b>q</b>", "a") "\n" ROW("Q", "a") "\n" ROW("q", "a") "\n";
    (void)state;
    struct clean_result r = clean_bytes("a.jsonl", text, strlen(text), RULE_BIT(RULE_HTML), true);
    assert_int_equal(r.kept, 2);
    assert_int_equal(r.repaired, 0);
    assert_int_equal(r.found[RULE_NEAR_DUPLICATE].count, 1);
    assert_string_equal(read_all(output), ROW("<b>q</b>", "a") "\n" ROW("Q", "a") "\n");
    r = clean_bytes("a.jsonl", text, strlen(text), 0, false);
    assert_int_equal(r.kept, 2);
    assert_int_equal(r.found[RULE_DUPLICATE_AFTER_REPAIR].count, 1);
    assert_int_equal(r.found[RULE_NEAR_DUPLICATE].count, 1); /* counted, kept */
    unlink(input);
    unlink(output);
    unlink(list);
    for (enum rule i = 0; i < RULES; i++) assert_int_equal(rule_find(rules[i].name), i);
    assert_int_equal(rule_find("html "), RULES);
}

/* A pause at every place of a piece gives the same records: files larger than the window. */
static void test_large_file(void **state)
{
    struct str text = {0};
    char row[256];
    (void)state;
    for (int i = 0; i < 30000; i++) {
        snprintf(row, sizeof row, ROW("question number %d of many", "answer %d, just as long") "\n",
                 i, i);
        str_puts(&text, row);
    }
    struct clean_result r = clean_bytes("big.jsonl", text.data, text.length, 0, false);
    assert_int_equal(r.kept, 30000);
    struct str copy = {0};
    FILE *file = fopen(output, "rb");
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, file)) != 0;) str_add(&copy, buffer, n);
    fclose(file);
    assert_string_equal(copy.data, text.data);
    str_free(&copy);
    str_free(&text);
    unlink(input);
    unlink(output);
    unlink(list);
}

static void refused(const char *name, const char *text, size_t length, const char *expected)
{
    struct error e = {0};
    struct clean_result result;
    int64_t before = mem_live_count();
    write_input(name, text, length);
    struct clean_request request = {.input = input, .output = output, .longest = 50};
    assert_int_equal(clean_file(&request, &result, &e), GRAFT_E_INVALID);
    if (strstr(e.text, expected) == NULL)
        fail_msg("\n  found    %s\n  expected %s", e.text, expected);
    assert_int_equal(access(output, F_OK), -1);
    assert_int_equal(mem_live_count(), before);
    unlink(input);
}

static void test_refused(void **state)
{
    (void)state;
    refused("a.jsonl", "", 0, "a.jsonl: the file is empty");
    refused("a.jsonl", "\n \n", 3, "a.jsonl: no rows: the file is blank");
    refused("a.jsonl", "\xFF\xFE{\0", 4, "a.jsonl: the file is UTF-16; convert it: iconv");
    refused("a.txt", "hello", 5, "a.txt: not a known kind of data file; known: .jsonl");
    refused("a.json", "[{\"text\":\"a\"}", 13, "a.json:1: not valid JSON: `,` or `]` expected");
    refused("a.json", "[{\"text\":\"a\"", 12, "the object that begins here is not closed");
    refused("a.json", "[\n1]", 4, "a.json:2: a row must be an object");
    refused("a.json", "[{\"text\":\"a\"}] x", 16, "a.json:1: not valid JSON: text after the array");
    refused("a.csv", "text,text\na,b\n", 14, "a.csv:1: two columns are named `text`");
    refused("a.csv", "q;a\nb;c\n", 8, "the columns seem to be parted by `;`");
    refused("a.jsonl", "{\"txt\":1}\n{\"text\":\"\"}\n{\"txt\":1}\n", 32,
            "a.jsonl:1: no record is left of 3; 2 are dropped as bad_record");
}

/* Memory is refused at every place in turn: an error each time, and nothing is left. */
static void test_no_memory(void **state)
{
    static const char text[] = ROW("<b>q</b>", "a") "\n" ROW("Q", "a\xE9.") "\n" ROW("q", "a") "\n";
    struct error e = {0};
    struct clean_result result;
    int64_t before = mem_live_count(), n = 1;
    (void)state;
    write_input("a.jsonl", text, strlen(text));
    struct clean_request request = {.input = input, .output = output, .dropped = list};
    assert_ok(clean_file(&request, &result, &e), &e);
    size_t whole = strlen(read_all(output));
    unlink(output);
    for (;; n++) {
        mem_fail_after(n);
        enum graft_status status = clean_file(&request, &result, &e);
        mem_fail_after(0);
        assert_int_equal(mem_live_count(), before);
        if (status == GRAFT_OK) break;
        assert_int_equal(status, GRAFT_E_MEMORY);
        /* once it has its name, the folder that holds it may still fail to be synced */
        if (access(output, F_OK) == 0) assert_int_equal(strlen(read_all(output)), whole);
        unlink(output);
    }
    assert_true(n > 10);
    unlink(input);
    unlink(output);
    unlink(list);
}

static bool stop_now(void *unused)
{
    (void)unused;
    return true;
}

static void test_stopped(void **state)
{
    struct str text = {0};
    struct error e = {0};
    struct clean_result result;
    (void)state;
    for (int i = 0; i < 1000; i++) str_printf(&text, ROW("q%d", "a") "\n", i);
    write_input("a.jsonl", text.data, text.length);
    struct clean_request request = {.input = input, .output = output, .stop = stop_now};
    assert_int_equal(clean_file(&request, &result, &e), GRAFT_E_INTERRUPTED);
    assert_int_equal(access(output, F_OK), -1);
    unlink(input);
    str_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whitespace),
        cmocka_unit_test(test_control_chars),
        cmocka_unit_test(test_html),
        cmocka_unit_test(test_entities_once),
        cmocka_unit_test(test_compared_forms),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_encoding_of_a_file),
        cmocka_unit_test(test_kept_as_it_stands),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_marks_and_bytes),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_large_file),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_stopped),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder) != 0;
}

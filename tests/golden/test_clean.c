/* SPDX-License-Identifier: Apache-2.0
 *
 * `graft data clean` on raw exports whose truth is known (data/dirty/SOURCE.md): every record is
 * kept, repaired or dropped for the reason that the truth gives, and what is kept reads as
 * expected.
 */
#include "unit/test.h"

#include "audit/clean.h"
#include "audit/repair.h"
#include "base/json.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATA GRAFT_TEST_DIR "/golden/data/dirty/"

static char folder[] = "/tmp/graft-clean-XXXXXX";
static char rows_path[64], list_path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) return 1;
    snprintf(rows_path, sizeof rows_path, "%s/rows.jsonl", folder);
    snprintf(list_path, sizeof list_path, "%s/list.jsonl", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(rows_path);
    unlink(list_path);
    return rmdir(folder);
}

/* The lines of a file, NULL-terminated; free the first and the array. */
static char **read_lines(const char *path)
{
    struct str text = {0};
    char buffer[4096];
    size_t n, count = 0;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    while ((n = fread(buffer, 1, sizeof buffer, f)) != 0) str_add(&text, buffer, n);
    fclose(f);
    for (size_t i = 0; i < text.length; i++) count += text.data[i] == '\n';
    char **lines = calloc(count + 2, sizeof *lines), *at = str_take(&text);
    lines[0] = at;
    for (size_t i = 0; i < count; i++) {
        lines[i] = at;
        at = strchr(at, '\n');
        *at++ = '\0';
    }
    return lines;
}

static void free_lines(char **lines)
{
    mem_free(lines[0]);
    free(lines);
}

static json_t *parse(const char *line)
{
    struct error e = {0};
    json_t *value = NULL;
    assert_ok(json_read_bytes(line, strlen(line), &value, &e), &e);
    return value;
}

static struct clean_result clean(const char *name, bool near)
{
    char input[512];
    struct clean_result result;
    struct error e = {0};
    snprintf(input, sizeof input, DATA "%s", name);
    struct clean_request request = {.input = input,
                                    .output = rows_path,
                                    .dropped = list_path,
                                    .near_duplicates = near,
                                    .longest = CLEAN_LONGEST};
    assert_ok(clean_file(&request, &result, &e), &e);
    return result;
}

/* The list's entry for the record the truth calls `number`. */
static json_t *entry_of(char **list, bool by_line, long number)
{
    for (size_t i = 0; list[i] != NULL && *list[i] != '\0'; i++) {
        json_t *entry = parse(list[i]);
        if (json_integer_value(json_object_get(entry, by_line ? "line" : "record")) == number)
            return entry;
        json_decref(entry);
    }
    return NULL;
}

struct truth {
    char file[32], id[16], encoding[16], action[16], reason[32];
    long number;
};

/* Every record of the file against its truth; returns how many are to be listed. */
static size_t check_list(const char *name, char **truths, char **list)
{
    size_t listed = 0;
    for (size_t i = 1; truths[i] != NULL; i++) {
        struct truth t;
        assert_int_equal(sscanf(truths[i], "%31[^\t]\t%ld\t%15[^\t]\t%15[^\t]\t%15[^\t]\t%31s",
                                t.file, &t.number, t.id, t.encoding, t.action, t.reason),
                         6);
        if (strcmp(t.file, name) != 0 || strcmp(t.action, "skip") == 0) continue;
        json_t *entry = entry_of(list, strstr(name, ".jsonl") != NULL, t.number);
        if (strcmp(t.action, "keep") == 0) {
            if (entry != NULL) fail_msg("%s is listed, should be kept", truths[i]);
            continue;
        }
        if (entry == NULL) fail_msg("%s is not listed", truths[i]);
        const json_t *reasons = json_object_get(entry, "reasons");
        assert_string_equal(json_string_value(json_object_get(entry, "action")), t.action);
        assert_int_equal(json_array_size(reasons), 1);
        assert_string_equal(json_string_value(json_array_get(reasons, 0)), t.reason);
        json_decref(entry);
        listed++;
    }
    return listed;
}

static void check_row(const char *line, const char *expected)
{
    static const char *const fields[] = {"id", "instruction", "input", "output"};
    json_t *row = parse(line), *wanted = parse(expected);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct str text = {0};
        const char *found = json_string_value(json_object_get(row, fields[i]));
        str_puts(&text, "");
        if (found != NULL) text_squeeze(found, strlen(found), &text);
        assert_string_equal(text.data, json_string_value(json_object_get(wanted, fields[i])));
        str_free(&text);
    }
    json_decref(row);
    json_decref(wanted);
}

static const char *const names[] = {"raw_mixed.jsonl", "raw_utf8bom.csv", "raw_gbk.csv",
                                    "raw_latin1.csv"};
static const enum encoding encodings[] = {ENCODING_NONE, ENCODING_UTF8, ENCODING_GBK,
                                          ENCODING_LATIN1};

static void test_truth(void **state)
{
    char **truths = read_lines(DATA "truth.tsv"), **expected = read_lines(DATA "expected.jsonl");
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct clean_result result = clean(names[i], true);
        char **rows = read_lines(rows_path), **list = read_lines(list_path);
        char file[64];
        assert_int_equal(result.encoding, encodings[i]);
        assert_int_equal(check_list(names[i], truths, list), result.dropped + result.repaired);
        snprintf(file, sizeof file, "\"file\": \"%s\"", names[i]);
        size_t at = 0;
        for (size_t k = 0; expected[k] != NULL; k++) {
            if (strstr(expected[k], file) == NULL) continue;
            assert_non_null(rows[at]);
            check_row(rows[at++], expected[k]);
        }
        assert_int_equal(at, result.kept);
        free_lines(rows);
        free_lines(list);
    }
    free_lines(truths);
    free_lines(expected);
}

/* Without the option near duplicates stay; nothing else changes. */
static void test_near_duplicates_stay(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct clean_result with = clean(names[i], true), without = clean(names[i], false);
        size_t near = with.found[RULE_NEAR_DUPLICATE].count;
        assert_true(near != 0);
        assert_int_equal(without.found[RULE_NEAR_DUPLICATE].count, near);
        assert_int_equal(without.kept, with.kept + near);
        assert_int_equal(without.dropped, with.dropped - near);
    }
}

/* What is clean is written as it stood, byte for byte. */
static void test_clean_again(void **state)
{
    char again[128];
    struct error e = {0};
    struct clean_result result, first;
    (void)state;
    first = clean("raw_mixed.jsonl", true);
    snprintf(again, sizeof again, "%s/again.jsonl", folder);
    struct clean_request request = {
        .input = rows_path, .output = again, .near_duplicates = true, .longest = CLEAN_LONGEST};
    assert_ok(clean_file(&request, &result, &e), &e);
    assert_int_equal(result.kept, first.kept);
    assert_int_equal(result.repaired + result.dropped, 0);
    char **a = read_lines(rows_path), **b = read_lines(again);
    for (size_t i = 0; i < result.kept; i++) assert_string_equal(a[i], b[i]);
    free_lines(a);
    free_lines(b);
    unlink(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truth),
        cmocka_unit_test(test_near_duplicates_stay),
        cmocka_unit_test(test_clean_again),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder) != 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * eval: the table of metrics, what it refuses, and that memory which is refused is an error. The
 * metrics' values are tests/golden/test_metrics.c's.
 */
#include "unit/test.h"

#include "base/memory.h"
#include "eval/rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const int32_t ALL = (1 << METRIC_KINDS) - 1;

static const char *const expected[] = {"Yes, 3 of them.", "no", "", "\xE4\xBD\xA0\xE5\xA5\xBD"};
static char *const answers[] = {"yes 3", "no", "{\"a\": 1}", "\xE4\xBD\xA0 \xFF\xE4"};
enum { ROWS = 4 };

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0 && fclose(file) == 0, 1);
}

static void fill_rows(struct metric_row rows[ROWS])
{
    for (size_t i = 0; i < ROWS; i++)
        rows[i] = (struct metric_row){
            .nll = 1, .predicted = 2, .expected = expected[i], .answer = answers[i]};
}

static struct data_rows train(void)
{
    static const struct chat_message message = {"assistant", "Yes, we do.", 11};
    static struct data_row row = {.messages = &message, .message_count = 1};
    return (struct data_rows){.rows = &row, .count = 1};
}

static void test_the_table_is_the_recipes(void **state)
{
    (void)state;
    for (int i = 0; i < METRIC_KINDS; i++) {
        assert_string_equal(eval_metrics[i].name, settings_metric_names[i]);
        assert_non_null(eval_metrics[i].row);
        assert_true(strlen(eval_metrics[i].label) != 0 && strlen(eval_metrics[i].help) != 0);
    }
    assert_null(settings_metric_names[METRIC_KINDS]);
}

static void test_names(void **state)
{
    struct error e = {0};
    int32_t bits = 77;
    (void)state;
    assert_ok(metrics_parse("bleu,loss", &bits, &e), &e);
    assert_int_equal(bits, 1 << METRIC_LOSS | 1 << METRIC_BLEU);
    assert_false(metrics_need_answers(1 << METRIC_LOSS | 1 << METRIC_PERPLEXITY));
    assert_true(metrics_need_answers(bits));
    assert_true(metrics_need_train(ALL));
    bits = 77;
    assert_int_equal(metrics_parse("loss,blue", &bits, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "found \"blue\"; did you mean \"bleu\"?"));
    assert_non_null(strstr(e.text, "cut_off"));
    assert_int_equal(metrics_parse("loss,", &bits, &e), GRAFT_E_INVALID);
    assert_int_equal(metrics_parse("loss,loss", &bits, &e), GRAFT_E_INVALID);
    assert_string_equal(e.text, "loss stands twice");
    assert_int_equal(bits, 77);
}

static void test_refusals(void **state)
{
    enum { MANY = 600 };
    static char texts[MANY][8];
    const char *labels[MANY];
    struct metric_context *context = NULL;
    struct error e = {0};
    (void)state;
    for (int i = 0; i < MANY; i++) {
        snprintf(texts[i], sizeof texts[i], "%d", i);
        labels[i] = texts[i];
    }
    assert_int_equal(metric_context_create(1 << METRIC_MACRO_F1, labels, MANY, NULL, &context, &e),
                     GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "macro_f1: 600 different answers"));
    assert_int_equal(metric_context_create(1 << METRIC_STYLE, labels, MANY, NULL, &context, &e),
                     GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "style: "));
    assert_null(context);
    /* neither is chosen */
    assert_ok(metric_context_create(1 << METRIC_BLEU, labels, MANY, NULL, &context, &e), &e);
    metric_context_destroy(context);
}

/* Plain text has a loss and no answers: the rest is not measured. */
static void test_without_answers(void **state)
{
    struct metric_row rows[2] = {{.nll = 3, .predicted = 2}, {.nll = 1, .predicted = 2}};
    struct metric_context *context = NULL;
    struct metric_scores scores = {0};
    struct data_rows trained = train();
    struct error e = {0};
    (void)state;
    assert_ok(metric_context_create(ALL, NULL, 2, &trained, &context, &e), &e);
    assert_ok(metric_scores_fill(context, ALL, rows, 2, &scores, &e), &e);
    for (size_t i = 0; i < scores.column_count; i++)
        assert_true(isnan(scores.columns[i].value) == scores.columns[i].metric->needs_answers);
    assert_true(metric_scores_find(&scores, METRIC_LOSS)->value == 1.0);
    assert_true(metric_scores_find(&scores, METRIC_PERPLEXITY)->value == exp(1.0));
    metric_scores_free(&scores);
    metric_context_destroy(context);
}

static void test_bytes_that_are_no_text(void **state)
{
    struct metric_row rows[ROWS];
    struct metric_context *context = NULL;
    struct metric_scores scores = {0};
    struct data_rows trained = train();
    struct error e = {0};
    (void)state;
    fill_rows(rows);
    assert_ok(metric_context_create(ALL, expected, ROWS, &trained, &context, &e), &e);
    assert_ok(metric_scores_fill(context, ALL, rows, ROWS, &scores, &e), &e);
    /* of "\xE4\xBD\xA0 \xFF\xE4": one character, a space, and one each for two stray bytes */
    const struct metric_column *length = metric_scores_find(&scores, METRIC_ANSWER_LENGTH);
    assert_true(length->rows[3 * length->width] == 4.0);
    metric_scores_free(&scores);
    metric_context_destroy(context);
}

static enum graft_status measure(struct error *e)
{
    struct metric_row rows[ROWS];
    struct metric_context *context = NULL;
    struct metric_scores scores = {0};
    struct data_rows trained = train();
    fill_rows(rows);
    enum graft_status status = metric_context_create(ALL, expected, ROWS, &trained, &context, e);
    if (status == GRAFT_OK) status = metric_scores_fill(context, ALL, rows, ROWS, &scores, e);
    metric_scores_free(&scores);
    metric_context_destroy(context);
    return status;
}

static void test_memory_refused(void **state)
{
    int64_t before = mem_live_count();
    enum graft_status status = GRAFT_E_FAILED;
    int64_t n = 0;
    (void)state;
    while (status != GRAFT_OK) {
        struct error e = {0};
        mem_fail_after(++n);
        status = measure(&e);
        mem_fail_after(0);
        assert_int_equal(mem_live_count(), before);
        if (status != GRAFT_OK) assert_int_equal(status, GRAFT_E_MEMORY);
        assert_true(n < 100000);
    }
    assert_true(n > 100);
}

/* Facts go to the file and come back bit by bit, so that metrics of both are the same. */
static void test_rows_come_back(void **state)
{
    const char *path = GRAFT_BUILD_DIR "/test_eval_rows.jsonl";
    struct metric_row after[ROWS];
    struct eval_rows rows = {0};
    struct error e = {0};
    struct str text = {0};
    (void)state;
    fill_rows(after);
    after[1].nll = 0.1 + 0.2;
    after[1].ended = true;
    for (size_t i = 0; i < 2; i++)
        eval_row_line(&text, &(struct eval_row_line){.file = "a.jsonl",
                                                     .line = (uint32_t)i + 1,
                                                     .expected = expected[i],
                                                     .after = &after[i]});
    write_file(path, text.data);
    assert_ok(eval_rows_load(path, &rows, &e), &e);
    assert_int_equal(rows.count, 2);
    assert_false(rows.has_before);
    assert_true(rows.after[1].nll == after[1].nll && rows.after[1].predicted == 2);
    assert_true(rows.after[1].ended && !rows.after[0].ended);
    assert_string_equal(rows.after[0].answer, answers[0]);
    assert_string_equal(rows.expected[0], expected[0]);
    assert_ptr_equal(rows.after[0].expected, rows.expected[0]);
    eval_rows_free(&rows);
    str_puts(&text, "{\"after\":{}}\n");
    write_file(path, text.data);
    assert_int_equal(eval_rows_load(path, &rows, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "test_eval_rows.jsonl: 3: no measured row"));
    write_file(path, "{\n");
    assert_int_equal(eval_rows_load(path, &rows, &e), GRAFT_E_INVALID);
    assert_int_equal(rows.count, 0);
    remove(path);
    str_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_is_the_recipes),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_without_answers),
        cmocka_unit_test(test_bytes_that_are_no_text),
        cmocka_unit_test(test_memory_refused),
        cmocka_unit_test(test_rows_come_back),
    };
    return TEST_MAIN(tests);
}

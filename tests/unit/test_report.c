/* SPDX-License-Identifier: Apache-2.0
 *
 * report: steps.jsonl, report.json, report.html and the table on the terminal.
 */
#include "unit/test.h"

#include "base/json.h"
#include "base/memory.h"
#include "report/parts.h"

#include <locale.h>
#include <math.h>
#include <string.h>

static const struct report_sample samples[] = {
    {"Say <b>hi</b> & \"go\"", "Hello you there.", "Hello me there.", "Hello you there. \n"},
    {"<script>alert(1)</script>", "a", "</div><script>x()</script>", NULL},
};

static const struct report_step steps[] = {
    {1, 2.5, 300, 900, 0.0, 1.25, 0.5},
    {2, NAN, 310, 1800, 1e-3, INFINITY, 0.5},
    {3, 1.5, 290, 2600, 5e-4, 1.0, 0.5},
};

static const struct report_eval evals[] = {{0, 2.75}, {3, 1.25}};

enum { LOSS, PERPLEXITY, EXACT, SHOWN };
static struct report_metric shown[SHOWN]; /* example() fills them */

static const struct report_memory memory[] = {{"base", 1000, 900}, {"work <space>", 24, -1}};

static struct report example(void)
{
    static const struct report_field passport[] = {{"seed", "42"}, {"device", "cpu <x>"}};
    shown[LOSS] = (struct report_metric){&eval_metrics[METRIC_LOSS], 3.25, 0.5};
    shown[PERPLEXITY] = (struct report_metric){&eval_metrics[METRIC_PERPLEXITY], 25.790339917193062,
                                               1.6487212707001282};
    shown[EXACT] = (struct report_metric){&eval_metrics[METRIC_EXACT_MATCH], 0.0, 0.77};
    return (struct report){
        .model = "models/tiny<1>.gguf",
        .method = "lora",
        .optimizer = "adamw",
        .device = "cpu",
        .split = "test",
        .rows = 200,
        .metrics = shown,
        .metric_count = SHOWN,
        .samples = samples,
        .sample_count = 2,
        .steps = steps,
        .step_count = 3,
        .evals = evals,
        .eval_count = 2,
        .memory = memory,
        .memory_count = 2,
        .memory_planned = 1024,
        .memory_used = -1,
        .tokens_per_second = 612.5,
        .seconds = 254,
        .trainable_parameters = 460800,
        .total_parameters = 134976000,
        .recipe = "model: <a>\n",
        .passport = passport,
        .passport_count = 2,
    };
}

static void test_step_line(void **state)
{
    struct str out = {0};
    (void)state;
    report_step_line(&out, &steps[0]);
    report_step_line(&out, &steps[1]);
    assert_string_equal(out.data,
                        "{\"step\":1,\"loss\":2.5,\"tokens\":300,\"tokens_seen\":900,\"lr\":0,"
                        "\"grad_norm\":1.25,\"seconds\":0.5}\n"
                        "{\"step\":2,\"loss\":null,\"tokens\":310,\"tokens_seen\":1800,"
                        "\"lr\":0.001,\"grad_norm\":null,\"seconds\":0.5}\n");
    str_free(&out);
}

static json_t *parsed(const struct report *r)
{
    struct str out = {0};
    struct error e = {0};
    json_t *value = NULL;
    report_json(r, &out);
    assert_false(out.failed);
    assert_ok(json_read_bytes(out.data, out.length, &value, &e), &e);
    str_free(&out);
    return value;
}

static double number_at(const json_t *object, const char *outer, const char *inner)
{
    return json_number_value(json_object_get(json_object_get(object, outer), inner));
}

static void test_json_holds_the_numbers(void **state)
{
    struct report r = example();
    json_t *value = parsed(&r);
    (void)state;
    assert_string_equal(json_string_value(json_object_get(value, "split")), "test");
    assert_int_equal(json_integer_value(json_object_get(value, "rows")), 200);
    assert_true(number_at(value, "before", "loss") == 3.25);
    assert_true(number_at(value, "before", "perplexity") == 25.790339917193062);
    assert_true(number_at(value, "after", "exact_match") == 0.77);
    assert_int_equal(number_at(value, "memory", "planned"), 1024);
    assert_true(json_is_null(json_object_get(json_object_get(value, "memory"), "used")));
    assert_true(json_number_value(json_object_get(value, "tokens_per_second")) == 612.5);
    const json_t *list = json_object_get(value, "samples");
    assert_int_equal(json_array_size(list), 2);
    const json_t *sample = json_array_get(list, 0);
    assert_string_equal(json_string_value(json_object_get(sample, "prompt")), samples[0].prompt);
    assert_string_equal(json_string_value(json_object_get(sample, "after")), samples[0].after);
    assert_true(json_is_null(json_object_get(json_array_get(list, 1), "after")));
    json_decref(value);
}

static void test_json_not_finite_is_null(void **state)
{
    struct report r = example();
    shown[LOSS].before = shown[EXACT].before = NAN;
    shown[PERPLEXITY].before = INFINITY;
    r.tokens_per_second = NAN;
    json_t *value = parsed(&r);
    (void)state;
    const json_t *before = json_object_get(value, "before");
    assert_true(json_is_null(json_object_get(before, "loss")));
    assert_true(json_is_null(json_object_get(before, "perplexity")));
    assert_true(json_is_null(json_object_get(before, "exact_match")));
    assert_true(json_is_null(json_object_get(value, "tokens_per_second")));
    json_decref(value);
}

static struct str page(const struct report *r)
{
    struct str out = {0};
    report_html(r, &out);
    assert_false(out.failed);
    return out;
}

static void test_html_escapes_everything(void **state)
{
    struct report r = example();
    struct str out = page(&r);
    (void)state;
    assert_null(strstr(out.data, "<script"));
    assert_non_null(strstr(out.data, "&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert_null(strstr(out.data, "<b>hi"));
    assert_non_null(strstr(out.data, "&lt;b&gt;hi&lt;/b&gt; &amp; &quot;go&quot;"));
    assert_null(strstr(out.data, "<1>"));
    assert_null(strstr(out.data, "<x>"));
    assert_null(strstr(out.data, "<space>"));
    assert_non_null(strstr(out.data, "model: &lt;a&gt;"));
    str_free(&out);
}

static void test_html_needs_no_network(void **state)
{
    struct report r = example();
    struct str out = page(&r);
    (void)state;
    assert_null(strstr(out.data, "http"));
    assert_null(strstr(out.data, "src="));
    assert_null(strstr(out.data, "@import"));
    assert_null(strstr(out.data, "url("));
    assert_non_null(strstr(out.data, "prefers-color-scheme:dark"));
    assert_non_null(strstr(out.data, "name=\"viewport\""));
    str_free(&out);
}

static void test_html_shows_before_and_after(void **state)
{
    struct report r = example();
    struct str out = page(&r);
    (void)state;
    assert_non_null(strstr(out.data, ">77.0 %<"));
    assert_non_null(strstr(out.data, "154 of 200"));
    assert_non_null(strstr(out.data, ">3.2500<"));
    assert_non_null(strstr(out.data, "now better\">0.5000<"));
    assert_non_null(strstr(out.data, "Hello <mark>me</mark> there."));
    assert_non_null(strstr(out.data, "460,800 parameters (0.34 % of 134,976,000)"));
    /* only the first sample's answer after training is the expected one */
    const char *exact = strstr(out.data, "exact</span>");
    assert_non_null(exact);
    assert_null(strstr(exact + 1, "exact</span>"));
    assert_null(strstr(out.data, "nan"));
    assert_null(strstr(out.data, "inf"));
    str_free(&out);
}

static void test_html_of_nothing(void **state)
{
    struct report r = {.seconds = NAN};
    struct str out = page(&r);
    (void)state;
    r.memory_used = -1;
    assert_null(strstr(out.data, "nan"));
    assert_null(strstr(out.data, "<article"));
    assert_null(strstr(out.data, "<h2>Training"));
    assert_null(strstr(out.data, "Exact match"));
    str_free(&out);
    json_t *value = parsed(&r);
    assert_int_equal(json_array_size(json_object_get(value, "samples")), 0);
    json_decref(value);
}

static void test_worse_is_said(void **state)
{
    struct report r = example();
    for (size_t i = 0; i < SHOWN; i++) {
        double before = shown[i].before;
        shown[i].before = shown[i].after;
        shown[i].after = before;
    }
    struct str out = page(&r);
    (void)state;
    assert_non_null(strstr(out.data, "now worse\">3.2500<"));
    assert_non_null(strstr(out.data, "550 % higher than before"));
    assert_null(strstr(out.data, "now better"));
    str_free(&out);
}

static void test_text_table(void **state)
{
    struct report r = example();
    struct str out = {0};
    (void)state;
    report_text(&r, &out);
    assert_string_equal(out.data, "                    before       after   (test, 200 rows)\n"
                                  "loss                3.2500      0.5000\n"
                                  "perplexity           25.79      1.6487\n"
                                  "exact match          0.0 %      77.0 %   (0 \xE2\x86\x92 154 of "
                                  "200)\n");
    str_free(&out);
    shown[LOSS].before = shown[EXACT].before = shown[EXACT].after = NAN;
    report_text(&r, &out);
    assert_non_null(strstr(out.data, "loss                     \xE2\x80\x93      0.5000\n"));
    assert_null(strstr(out.data, "exact"));
    str_free(&out);
}

static void test_long_runs_are_thinned(void **state)
{
    enum { STEPS = 20000 };
    static struct report_step many[STEPS];
    struct report r = example();
    (void)state;
    for (size_t i = 0; i < STEPS; i++)
        many[i] = (struct report_step){i + 1, 1.0 + 1.0 / (double)(i + 1), 1, i, 1e-3, 1.0, 0.1};
    r.steps = many;
    r.step_count = STEPS;
    struct str out = page(&r);
    assert_true(out.length < 100000);
    assert_non_null(strstr(out.data, ">20,000<"));
    str_free(&out);
}

static struct str marked(const char *text, const char *expected)
{
    struct str out = {0};
    add_marked(&out, text, expected);
    assert_false(out.failed);
    return out;
}

static void test_marks(void **state)
{
    static const char *const cases[][3] = {
        {"a b c", "a b c", "a b c"},
        {"x a  y\nz b", "a b", "<mark>x</mark> a  <mark>y\nz</mark> b"},
        {"b a", "a b", NULL}, /* one of the two stays */
        {"", "a", ""},
        {"a <", "", "<mark>a &lt;</mark>"},
        {"\xE4\xBB\xB7\xE6\xA0\xBC"
         "40",
         "\xE4\xBB\xB7"
         "40",
         "\xE4\xBB\xB7<mark>\xE6\xA0\xBC</mark>40"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str out = marked(cases[i][0], cases[i][1]);
        if (cases[i][2] != NULL)
            assert_string_equal(out.data == NULL ? "" : out.data, cases[i][2]);
        else
            assert_true(strcmp(out.data, "<mark>b</mark> a") == 0 ||
                        strcmp(out.data, "b <mark>a</mark>") == 0);
        str_free(&out);
    }
}

/* A comma as the decimal point of the program's locale changes no byte. */
static void test_locale(void **state)
{
    struct report r = example();
    struct str plain = page(&r);
    (void)state;
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8") == NULL) setlocale(LC_NUMERIC, "");
    struct str local = page(&r);
    setlocale(LC_NUMERIC, "C");
    assert_string_equal(plain.data, local.data);
    str_free(&plain);
    str_free(&local);
}

static void test_refused_allocations(void **state)
{
    struct report r = example();
    int64_t live = mem_live_count();
    bool whole = false;
    (void)state;
    for (int64_t n = 1; !whole && n < 1000; n++) {
        struct str html = {0}, json = {0}, text = {0};
        mem_fail_after(n);
        report_html(&r, &html);
        report_json(&r, &json);
        report_text(&r, &text);
        mem_fail_after(0);
        whole = !html.failed && !json.failed && !text.failed;
        str_free(&html);
        str_free(&json);
        str_free(&text);
        assert_int_equal(mem_live_count(), live);
    }
    assert_true(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step_line),
        cmocka_unit_test(test_json_holds_the_numbers),
        cmocka_unit_test(test_json_not_finite_is_null),
        cmocka_unit_test(test_html_escapes_everything),
        cmocka_unit_test(test_html_needs_no_network),
        cmocka_unit_test(test_html_shows_before_and_after),
        cmocka_unit_test(test_html_of_nothing),
        cmocka_unit_test(test_worse_is_said),
        cmocka_unit_test(test_text_table),
        cmocka_unit_test(test_long_runs_are_thinned),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_locale),
        cmocka_unit_test(test_refused_allocations),
    };
    return TEST_MAIN(tests);
}

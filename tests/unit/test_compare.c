/* SPDX-License-Identifier: Apache-2.0
 *
 * compare: the section of a recipe, successive halving, the bootstrap against numpy, the words of
 * the verdict, and what the writers escape.
 */
#include "unit/test.h"

#include "base/json.h"
#include "base/memory.h"
#include "compare/halving.h"
#include "compare/statistics.h"
#include "compare/verdict.h"
#include "unit/data/compare.h"

#include "recipe/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER GRAFT_BUILD_DIR "/tests/compare"
#define GOOD GRAFT_BUILD_DIR "/tests/abi/good"

static void assert_near(double found, double expected, double tolerance)
{
    if (!(fabs(found - expected) <= tolerance))
        fail_msg("found %.12g, expected %.12g within %g", found, expected, tolerance);
}

/* ---- the recipe ---- */

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    (void)state;
    mkdir(FOLDER, 0777);
    if (chdir(FOLDER) != 0) return 1;
    write_file("m.gguf", "x");
    write_file("rows.jsonl", "{}");
    return setenv("GRAFT_PLUGIN_PATH", GOOD, 1);
}

#define COMMON                                                                                     \
    "model: m.gguf\n"                                                                              \
    "data: {train: rows.jsonl, valid: rows.jsonl, test: rows.jsonl}\n"                             \
    "optimizer: {method: plain, lr: 1e-3, weight_decay: 0.5}\n"                                    \
    "train: {max_steps: 8, schedule: cosine, warmup_ratio: 0.5}\n"                                 \
    "output: out\n"
#define METHODS                                                                                    \
    "compare:\n"                                                                                   \
    "  methods:\n"                                                                                 \
    "    - {name: a, adapter: {method: full, steps: 3}, lr: [1e-3, 1e-2]}\n"                       \
    "    - {name: b, adapter: {method: full, steps: 4}, optimizer: {weight_decay: 0},\n"           \
    "       train: {schedule: constant, warmup_ratio: null}}\n"                                    \
    "  seeds: [5, 6]\n"

static struct settings_compare *load(const char *yaml)
{
    struct error e = {0};
    struct settings_compare *c = NULL;
    write_file("r.yaml", yaml);
    assert_ok(settings_compare_load("r.yaml", NULL, 0, &c, &e), &e);
    return c;
}

static void runs_are_the_common_part_with_a_fragment(void **state)
{
    struct settings_compare *c = load(COMMON METHODS);
    struct settings *s = NULL;
    struct error e = {0};
    (void)state;
    assert_int_equal(c->method_count, 2);
    assert_int_equal(c->methods[0].rates.count, 2);
    assert_int_equal(c->methods[1].rates.count, 1);
    assert_near(c->methods[1].rates.items[0], 1e-3, 0); /* the common one */
    assert_string_equal(c->output, "out");
    assert_true(c->halving);
    assert_ok(settings_compare_run(c, 0, 1, 1, "out/runs/x", &s, &e), &e);
    assert_near(s->optimizer.lr, 1e-2, 0);
    assert_near(s->optimizer.weight_decay, 0.5, 0);
    assert_int_equal(s->train.seed, 6);
    assert_int_equal(s->train.schedule.kind, SCHEDULE_COSINE);
    assert_string_equal(s->output, "out/runs/x");
    settings_free(s);
    assert_ok(settings_compare_run(c, 1, 0, 0, "y", &s, &e), &e);
    assert_near(s->optimizer.lr, 1e-3, 0);
    assert_near(s->optimizer.weight_decay, 0, 0);
    assert_string_equal(s->optimizer.method, "plain");
    assert_int_equal(s->train.schedule.kind, SCHEDULE_CONSTANT);
    assert_int_equal(s->train.max_steps, 8);
    assert_int_equal(s->train.seed, 5);
    settings_free(s);
    settings_compare_free(c);
}

static void refused(const char *yaml, const char *const *set, const char *expected)
{
    struct error e = {0};
    struct settings_compare *c = NULL;
    int64_t before = mem_live_count();
    write_file("r.yaml", yaml);
    assert_int_equal(settings_compare_load("r.yaml", set, set != NULL, &c, &e), GRAFT_E_INVALID);
    if (strstr(e.text, expected) == NULL) fail_msg("\"%s\" is not in \"%s\"", expected, e.text);
    assert_int_equal(mem_live_count(), before);
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    static const struct {
        const char *set, *expected;
    } cases[] = {
        {"compare.methods.1.name=a", "name: \"a\" is the name of method 0 too"},
        {"compare.methods.0.name=a/b", "compare.methods.0: name: found \"a/b\""},
        {"compare.methods.0.name=.x", "beginning with a letter or digit"},
        {"compare.methods.0.name=null", "compare.methods.0.name: missing"},
        {"compare.methods.0.nam=a", "nam: unknown key; did you mean \"name\"?"},
        {"compare.methods.0.data={}", "data: unknown key"},
        {"compare.methods.0.train=3", "compare.methods.0: train: found 3, expected a mapping"},
        {"compare.methods.0.train.max_steps=3", "train.max_steps: is the same for all methods"},
        {"compare.methods.0.train.seed=3", "train.seed: is the same for all methods"},
        {"compare.methods.0.adapter.stepz=3", "adapter.stepz: unknown key"},
        {"compare.methods.0.lr=[1e-3, 1e-3]", "lr: 0.001 stands twice"},
        {"compare.methods.0.lr=fast", "lr: found \"fast\", expected a number or a list of numbers"},
        {"compare.methods.0.optimizer.lr=1", "optimizer.lr: stands beside lr: keep one"},
        {"compare.methods=[]", "compare.methods: found 0 methods, expected 1 to 64"},
        {"compare.methods=[3]", "compare.methods.0: found 3, expected a mapping with a name"},
        {"compare.seeds=[1, 2, 1]", "compare.seeds: 1 stands twice"},
        {"compare.seeds=[]", "compare.seeds: found a list"},
        {"compare.select_on=test", "select_on: found \"test\", expected one of valid"},
        {"compare=null", "compare: missing: the methods to compare"},
        {"data.valid=null", "a: lr: a list of rates is chosen from on data.valid"},
        {"train.seed=3", "train.seed: has no effect in a comparison"},
        {"train.early_stopping.patience=3", "a comparison gives every method the same steps"},
        {"output=null", "output: missing: the folder of the comparison"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        refused(COMMON METHODS, &cases[i].set, cases[i].expected);
    }
    /* of the file: line and column */
    refused(COMMON "compare:\n  methods:\n    - {name: a, adapter: {method: full, stepz: 3}}\n",
            NULL, "r.yaml:8:41: adapter.stepz: unknown key");
    refused(COMMON, NULL, "r.yaml:1:1: compare: missing");
    struct settings *s = NULL;
    struct error e = {0};
    write_file("r.yaml", COMMON METHODS);
    assert_int_equal(settings_load("r.yaml", NULL, 0, &s, &e), GRAFT_E_INVALID);
    assert_string_equal(e.text, "r.yaml:6:1: compare: this recipe compares methods: run it with "
                                "graft compare");
    assert_true(settings_is_compare("r.yaml", NULL, 0));
}

static void a_method_replaces_what_is_complete(void **state)
{
    const char *const set[] = {"adapter={method: full, steps: 9}",
                               "compare.methods.1.adapter={method: minimal}",
                               "compare.methods.1.optimizer={method: plain, lr: 0.25}"};
    struct settings_compare *c = NULL;
    struct settings *s = NULL;
    struct error e = {0};
    (void)state;
    write_file("r.yaml", COMMON METHODS);
    assert_ok(settings_compare_load("r.yaml", set, 3, &c, &e), &e); /* minimal knows no steps */
    assert_ok(settings_compare_run(c, 1, 0, 0, NULL, &s, &e), &e);
    assert_string_equal(s->adapters[0].method, "minimal");
    assert_near(s->optimizer.lr, 0.25, 0);
    assert_near(s->optimizer.weight_decay, 0, 0); /* not the common 0.5 */
    settings_free(s);
    settings_compare_free(c);
}

static void a_new_method_drops_the_keys_of_the_old_one(void **state)
{
    const char *const set[] = {"compare.methods.0.adapter.method=minimal"};
    struct settings_compare *c = NULL;
    struct error e = {0};
    (void)state;
    write_file("r.yaml", COMMON METHODS);
    assert_ok(settings_compare_load("r.yaml", set, 1, &c, &e), &e);
    settings_compare_free(c);
}

static void allocation_failures_leave_nothing(void **state)
{
    (void)state;
    write_file("r.yaml", COMMON METHODS);
    int64_t live = mem_live_count();
    for (int64_t n = 1;; n++) {
        struct settings_compare *c = NULL;
        struct error e = {0};
        mem_fail_after(n);
        enum graft_status status = settings_compare_load("r.yaml", NULL, 0, &c, &e);
        mem_fail_after(0);
        if (status == GRAFT_OK) settings_compare_free(c);
        assert_int_equal(mem_live_count(), live);
        if (status == GRAFT_OK) break;
        assert_int_equal(status, GRAFT_E_MEMORY);
    }
}

/* ---- halving ---- */

static void rungs_halve_until_one_is_left(void **state)
{
    struct error e = {0};
    (void)state;
    assert_int_equal(halving_rungs(1, true), 0);
    assert_int_equal(halving_rungs(2, true), 1);
    assert_int_equal(halving_rungs(3, true), 2);
    assert_int_equal(halving_rungs(8, true), 3);
    assert_int_equal(halving_rungs(8, false), 1);
    assert_int_equal(halving_step(2, true, 100, 0), 50);
    assert_int_equal(halving_step(8, true, 100, 0), 12);
    assert_int_equal(halving_step(8, true, 100, 2), 50);
    assert_int_equal(halving_step(8, false, 100, 0), 100);
    assert_ok(halving_check(8, true, 8, &e), &e);
    assert_ok(halving_check(1, true, 1, &e), &e);
    assert_ok(halving_check(8, false, 1, &e), &e);
    assert_int_equal(halving_check(8, true, 7, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "at least 8"));
}

/* Plays a sweep whose losses are known; returns the winner and what was trained. */
static size_t play(const double loss[][HALVING_RUNGS], const int *fails_at, size_t count,
                   size_t *pauses)
{
    struct candidate c[16] = {{false, 0, {0}}};
    size_t rungs = halving_rungs(count, true);
    for (*pauses = 0; *pauses < 100; ++*pauses) {
        struct halving_next next = halving_next(c, count, rungs);
        if (next.what == HALVING_NONE) return SIZE_MAX;
        if (next.what == HALVING_CHOSEN) return next.candidate;
        struct candidate *run = &c[next.candidate];
        assert_int_equal(run->rungs, next.rung); /* a paused run is continued, not begun anew */
        if (fails_at != NULL && fails_at[next.candidate] == (int)next.rung)
            run->failed = true;
        else
            run->loss[run->rungs++] = loss[next.candidate][next.rung];
    }
    return SIZE_MAX;
}

static void the_better_half_goes_on(void **state)
{
    static const double loss[4][HALVING_RUNGS] = {{4, 1}, {2, 3}, {1, 2}, {3, 0}};
    static const double equal[4][HALVING_RUNGS] = {{1, 1}, {1, 1}, {1, 1}, {1, 1}};
    static const double odd[3][HALVING_RUNGS] = {{NAN, 0}, {INFINITY, 1}, {5, 5}};
    size_t pauses;
    (void)state;
    assert_int_equal(play(loss, NULL, 4, &pauses), 2);
    assert_int_equal(pauses, 6); /* 0 and 3 would be better at the end, but were stopped */
    assert_int_equal(play(equal, NULL, 4, &pauses), 0);
    assert_int_equal(play(odd, NULL, 3, &pauses), 0);
}

static void who_fails_makes_room_for_the_next_best(void **state)
{
    static const double loss[4][HALVING_RUNGS] = {{4, 1}, {2, 3}, {1, 2}, {3, 0}};
    static const int second_fails[4] = {-1, -1, 1, -1}, all_fail[4] = {0, 0, 1, 0};
    static const int first_fails[4] = {-1, -1, 0, -1};
    size_t pauses;
    (void)state;
    /* 2 fails on its way to the second rung: 3, stopped before, is called back */
    assert_int_equal(play(loss, second_fails, 4, &pauses), 3);
    assert_int_equal(play(loss, first_fails, 4, &pauses), 3);
    assert_int_equal(play(loss, all_fail, 4, &pauses), SIZE_MAX);
}

/* ---- the bootstrap ---- */

static void close_to(const struct report_interval *found, const double *expected, double tolerance)
{
    assert_near(found->mean, expected[0], 1e-9);
    assert_near(found->low, expected[1], tolerance);
    assert_near(found->high, expected[2], tolerance);
}

static void check_bootstrap(const double *values, const double *expected, enum metric metric,
                            double tolerance)
{
    const double *of_method[3][2];
    size_t runs[3] = {0};
    for (int i = 0; i < DATA_RUNS; i++)
        of_method[data_method[i]][runs[data_method[i]]++] = values + (size_t)i * DATA_ROWS * 2;
    const double *const *const all[3] = {of_method[0], of_method[1], of_method[2]};
    struct bootstrap b = {.methods = 3,
                          .rows = DATA_ROWS,
                          .width = 2,
                          .runs = runs,
                          .values = all,
                          .metric = &eval_metrics[metric],
                          .level = 0.95,
                          .pair_level = 0.95};
    struct report_interval single[3], pair[9], again[3], pair_again[9];
    struct error e = {0};
    assert_int_equal(bootstrap_draws(&b), BOOTSTRAP_MOST);
    assert_ok(bootstrap(&b, single, pair, &e), &e);
    for (size_t m = 0; m < 3; m++) close_to(&single[m], expected + 3 * m, tolerance);
    close_to(&pair[1], expected + 9, tolerance);
    close_to(&pair[2], expected + 12, tolerance);
    close_to(&pair[5], expected + 15, tolerance);
    assert_near(pair[3].low, -pair[1].high, 1e-12); /* b - a is -(a - b) */
    assert_near(pair[0].low, 0, 0);
    assert_ok(bootstrap(&b, again, pair_again, &e), &e);
    assert_memory_equal(single, again, sizeof single);
    assert_memory_equal(pair, pair_again, sizeof pair);
    b.pair_level = 0.997;
    assert_ok(bootstrap(&b, again, pair_again, &e), &e);
    assert_true(pair_again[1].low < pair[1].low && pair_again[1].high > pair[1].high);
}

static void the_bootstrap_finds_what_numpy_finds(void **state)
{
    (void)state;
    /* An exact match moves in steps of 1/240; the noise of an end of 10,000 draws is about 0.002.
     */
    check_bootstrap(data_exact, numpy_exact, METRIC_EXACT_MATCH, 0.0085);
    check_bootstrap(data_loss, numpy_loss, METRIC_LOSS, 0.002);
}

static void percentiles_are_numpys(void **state)
{
    static const double shares[] = {0.025, 0.5, 0.9, 1};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        double values[] = {3, 1, 4, 1, 5, 9, 2, 6};
        assert_near(percentile(values, 8, shares[i]), numpy_percentiles[i], 1e-12);
    }
    assert_true(isnan(percentile(NULL, 0, 0.5)));
}

/* ---- the verdict ---- */

enum { M = 4, S = 2 };

/* Methods that are `means` apart, sure to within `reach` each way. */
static struct report_compare made_up(struct report_method *methods, struct report_interval *numbers,
                                     const double *means, double reach, enum metric metric)
{
    static const char *const names[M] = {"lora-r8", "prefix-20", "bottleneck", "ia3"};
    static const struct eval_metric *metrics[S];
    static const double base[S] = {2.5, 0.0};
    metrics[0] = &eval_metrics[METRIC_LOSS];
    metrics[1] = &eval_metrics[metric];
    for (size_t m = 0; m < M; m++) {
        methods[m] = (struct report_method){.name = names[m],
                                            .finished = 1,
                                            .trainable_parameters = 1000 * (M - m),
                                            .scores = numbers + m * (M + 2) * S};
        methods[m].differences = methods[m].scores + S;
        for (size_t k = 0; k <= M + 1; k++)
            for (size_t s = 0; s < S; s++) {
                double other = k == 0 ? 0 : k <= M ? means[k - 1] : base[s];
                double d = means[m] - other;
                methods[m].scores[k * S + s] = (struct report_interval){d, d - reach, d + reach};
            }
    }
    return (struct report_compare){.split = "test",
                                   .rows = 518,
                                   .seed_count = 2,
                                   .metrics = metrics,
                                   .score_count = S,
                                   .main_score = 1,
                                   .methods = methods,
                                   .method_count = M,
                                   .base_scores = base};
}

static void says(const struct report_compare *r, bool selected, const char *const *expected)
{
    struct arena arena = {0};
    const char *out[VERDICT_SENTENCES];
    size_t count = verdict_write(r, selected, &arena, out), i = 0;
    for (; i < count && expected[i] != NULL; i++) assert_string_equal(out[i], expected[i]);
    assert_int_equal(i, count);
    assert_null(expected[i]);
    arena_free(&arena);
}

static void the_verdict_is_as_strong_as_its_intervals(void **state)
{
    struct report_method methods[M];
    struct report_interval numbers[M * (M + 2) * S];
    static const double means[M] = {0.77, 0.62, 0.76, 0.10};
    (void)state;
    struct report_compare r = made_up(methods, numbers, means, 0.04, METRIC_EXACT_MATCH);
    says(&r, false,
         (const char *[]){
             "lora-r8 and bottleneck do not differ measurably in exact match on these 518 "
             "test rows.",
             "Of those, bottleneck trains the fewest parameters (2,000).",
             "Against lora-r8, prefix-20 is lower by 11 to 19 points; ia3 is lower by "
             "63 to 71 points.",
             NULL});
    r = made_up(methods, numbers, means, 0.005, METRIC_EXACT_MATCH);
    says(
        &r, false,
        (const char *[]){"lora-r8 is best in exact match on these 518 test rows.",
                         "bottleneck is lower by 0.5 to 1.5 points; prefix-20 is lower by 15 to 16 "
                         "points; ia3 is lower by 67 to 68 points.",
                         NULL});
    static const double even[M] = {0.50, 0.25, 0.48, 0.10};
    r = made_up(methods, numbers, even, 0.05, METRIC_EXACT_MATCH);
    says(&r, false,
         (const char *[]){
             "lora-r8 and bottleneck do not differ measurably in exact match on these 518 test "
             "rows.",
             "Of those, bottleneck trains the fewest parameters (2,000).",
             "Against lora-r8, prefix-20 is lower by 20 to 30 points; ia3 is lower by 35 to 45 "
             "points.",
             NULL});
    r = made_up(methods, numbers, means, 0.12, METRIC_EXACT_MATCH);
    methods[3].finished = 0;
    methods[3].error = "diverged";
    methods[1].error = "a seed diverged";
    r.seed_count = 1;
    r.leaked = 3;
    says(&r, true,
         (const char *[]){
             "lora-r8 and bottleneck do not differ measurably in exact match on these 518 test "
             "rows.",
             "Of those, bottleneck trains the fewest parameters (2,000).",
             "Against lora-r8, prefix-20 is lower by 3 to 27 points.",
             "prefix-20: 0 of 1 seeds failed; its figures are of the rest. ia3 failed.",
             "One seed: how far another would move these figures is not known. The rates were "
             "chosen "
             "on the very rows that these figures are of, which flatters methods with more rates: "
             "give data.test. 3 test rows stand in train, which flatters who memorizes.",
             NULL});
}

static void a_loss_is_better_when_lower_and_a_floor_is_said(void **state)
{
    struct report_method methods[M];
    struct report_interval numbers[M * (M + 2) * S];
    static const double losses[M] = {0.05, 0.30, 0.06, 2.49}, floor[M] = {0, 0, 0, 0};
    (void)state;
    struct report_compare r = made_up(methods, numbers, losses, 0.02, METRIC_EXACT_MATCH);
    r.main_score = 0;
    says(&r, false,
         (const char *[]){
             "lora-r8 and bottleneck do not differ measurably in loss on these 518 test "
             "rows.",
             "Of those, bottleneck trains the fewest parameters (2,000).",
             "Against lora-r8, prefix-20 is higher by 0.23 to 0.27; ia3 is higher by 2.4 "
             "to 2.5.",
             "Not measurably better than the base model: ia3.", NULL});
    r = made_up(methods, numbers, floor, 0.0, METRIC_EXACT_MATCH);
    for (size_t m = 0; m < M; m++)
        for (size_t k = 0; k <= M; k++) /* the loss tells them apart */
            methods[m].differences[k * S] = (struct report_interval){
                (double)m - (double)k, (double)m - (double)k - 0.1, (double)m - (double)k + 0.1};
    for (size_t m = 0; m < M; m++) methods[m].scores[0].mean = (double)m;
    struct arena arena = {0};
    const char *out[VERDICT_SENTENCES];
    size_t count = verdict_write(&r, false, &arena, out);
    assert_true(count > 3);
    assert_string_equal(out[0],
                        "lora-r8, prefix-20, bottleneck and ia3 do not differ measurably in "
                        "exact match on these 518 test rows.");
    assert_string_equal(out[2], "Not measurably better than the base model: lora-r8, prefix-20, "
                                "bottleneck, ia3.");
    assert_string_equal(out[3], "lora-r8 is best in loss on these 518 test rows.");
    arena_free(&arena);
}

/* ---- the writers ---- */

static struct report_compare hostile(struct report_method *methods, struct report_interval *numbers)
{
    static const double means[M] = {0.77, 0.62, 0.76, 0.10};
    static const char *const verdict[] = {"<b>best</b> & \"more\""};
    static const struct report_compare_sample samples[] = {
        {"<script>alert(1)</script>", "yes & no", "</div>"}};
    static const char *const answers[] = {"<img src=x onerror=1>"};
    static const struct report_seed seeds[] = {{1, "abc", 100}};
    static const struct report_field passport[] = {{"model", "x<y>.gguf"}};
    struct report_compare r = made_up(methods, numbers, means, 0.01, METRIC_EXACT_MATCH);
    methods[0].answers = answers;
    methods[0].recipe = "a: \"<x>\"\n";
    methods[0].passport = passport;
    methods[0].passport_count = 1;
    methods[0].words = "lora <r>";
    methods[3].finished = 0;
    methods[3].error = "bad, \"<very>\" bad\nnew line";
    methods[3].lr = (double)NAN;
    r.verdict = verdict;
    r.verdict_count = 1;
    r.samples = samples;
    r.sample_count = 1;
    r.seeds = seeds;
    r.seed_count = 1;
    r.model = "m<1>";
    r.device = "cpu & co";
    r.data = "it's.jsonl";
    return r;
}

static void the_page_escapes_every_text(void **state)
{
    struct report_method methods[M];
    struct report_interval numbers[M * (M + 2) * S];
    struct report_compare r = hostile(methods, numbers);
    struct str out = {0};
    (void)state;
    report_compare_html(&r, &out);
    assert_false(out.failed);
    static const char *const absent[] = {"<script", "<img",    "<very>", "<r>",       "<y>",
                                         "<x>",     "<b>best", "m<1>",   "onerror=1>"};
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
        if (strstr(out.data, absent[i]) != NULL) fail_msg("%s is in the page", absent[i]);
    assert_non_null(strstr(out.data, "&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert_non_null(strstr(out.data, "&lt;b&gt;best&lt;/b&gt; &amp; &quot;more&quot;"));
    assert_non_null(strstr(out.data, "failed: bad, &quot;&lt;very&gt;&quot; bad"));
    assert_null(strstr(out.data, "http://")); /* no network */
    assert_null(strstr(out.data, "https://"));
    assert_null(strstr(out.data, "nan"));
    str_free(&out);
}

static void csv_quotes_and_json_reads_back(void **state)
{
    struct report_method methods[M];
    struct report_interval numbers[M * (M + 2) * S];
    struct report_compare r = hostile(methods, numbers);
    struct str out = {0};
    struct error e = {0};
    json_t *root = NULL;
    (void)state;
    report_compare_csv(&r, &out);
    assert_non_null(strstr(out.data, "method,lr,runs,"));
    assert_non_null(strstr(out.data, ",\"bad, \"\"<very>\"\" bad\nnew line\"\r\n"));
    assert_non_null(strstr(out.data, "\r\nia3,,0,,,")); /* nothing measured is empty */
    str_clear(&out);
    report_compare_json(&r, &out);
    assert_ok(json_read_bytes(out.data, out.length, &root, &e), &e);
    const json_t *list = json_object_get(root, "methods");
    assert_int_equal(json_array_size(list), M);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 3), "error")),
                        "bad, \"<very>\" bad\nnew line");
    assert_true(json_is_null(json_object_get(json_array_get(list, 3), "lr")));
    assert_non_null(
        json_object_get(json_object_get(json_array_get(list, 0), "differences"), "base model"));
    json_decref(root);
    str_clear(&out);
    report_compare_text(&r, &out);
    assert_non_null(strstr(out.data, "77.0 % (76.0 to 78.0)"));
    assert_non_null(strstr(out.data, "ia3 failed: bad, "));
    str_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_are_the_common_part_with_a_fragment),
        cmocka_unit_test(what_is_wrong_is_said_with_its_place),
        cmocka_unit_test(a_method_replaces_what_is_complete),
        cmocka_unit_test(a_new_method_drops_the_keys_of_the_old_one),
        cmocka_unit_test(allocation_failures_leave_nothing),
        cmocka_unit_test(rungs_halve_until_one_is_left),
        cmocka_unit_test(the_better_half_goes_on),
        cmocka_unit_test(who_fails_makes_room_for_the_next_best),
        cmocka_unit_test(the_bootstrap_finds_what_numpy_finds),
        cmocka_unit_test(percentiles_are_numpys),
        cmocka_unit_test(the_verdict_is_as_strong_as_its_intervals),
        cmocka_unit_test(a_loss_is_better_when_lower_and_a_floor_is_said),
        cmocka_unit_test(the_page_escapes_every_text),
        cmocka_unit_test(csv_quotes_and_json_reads_back),
    };
    return cmocka_run_group_tests(tests, set_up, NULL) != 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Every metric against its reference implementation (make_metrics.py): of whole sets, row by row,
 * and of a resample of the rows as a sum of their vectors.
 */
#include "unit/test.h"

#include "base/json.h"
#include "base/memory.h"
#include "eval/metric.h"

#include <math.h>
#include <string.h>

static const double TOLERANCE = 1e-10;
static const int32_t ALL = (1 << METRIC_KINDS) - 1;

struct fixture {
    json_t *file;
};

/* One set as the metrics take it. */
struct set {
    const json_t *json;
    struct metric_row *rows;
    const char **expected;
    size_t count;
    struct data_rows train;
    struct metric_context *context;
    struct metric_scores scores;
};

static const char *text_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void fill_train(struct set *s)
{
    const json_t *train = json_object_get(s->json, "train");
    size_t count = json_array_size(train);
    s->train.rows = arena_alloc(&s->train.arena, count, sizeof *s->train.rows);
    for (size_t i = 0; i < count; i++) {
        struct chat_message *m = arena_alloc(&s->train.arena, 1, sizeof *m);
        *m = (struct chat_message){.role = "assistant",
                                   .content = json_string_value(json_array_get(train, i)),
                                   .length = json_string_length(json_array_get(train, i))};
        s->train.rows[i] = (struct data_row){.messages = m, .message_count = 1};
    }
    s->train.count = count;
}

static void set_open(struct set *s, const json_t *json)
{
    struct error e = {0};
    const json_t *rows = json_object_get(json, "rows");
    *s = (struct set){.json = json, .count = json_array_size(rows)};
    s->rows = mem_zalloc(s->count, sizeof *s->rows);
    s->expected = mem_zalloc(s->count, sizeof *s->expected);
    for (size_t i = 0; i < s->count; i++) {
        const json_t *row = json_array_get(rows, i);
        s->expected[i] = text_at(row, "expected");
        s->rows[i] = (struct metric_row){
            .nll = json_number_value(json_object_get(row, "nll")),
            .predicted = (uint64_t)json_integer_value(json_object_get(row, "predicted")),
            .expected = s->expected[i],
            .answer = mem_strdup(text_at(row, "answer")),
            .ended = json_is_true(json_object_get(row, "ended"))};
    }
    fill_train(s);
    assert_ok(metric_context_create(ALL, s->expected, s->count, &s->train, &s->context, &e), &e);
    assert_ok(metric_scores_fill(s->context, ALL, s->rows, s->count, &s->scores, &e), &e);
}

static void set_close(struct set *s)
{
    metric_scores_free(&s->scores);
    metric_context_destroy(s->context);
    for (size_t i = 0; i < s->count; i++) mem_free(s->rows[i].answer);
    mem_free(s->rows);
    mem_free(s->expected);
    arena_free(&s->train.arena);
}

static void same_number(const struct set *s, const char *metric, const json_t *want, double found)
{
    double value = json_number_value(want), limit = TOLERANCE * fmax(1, fabs(value));
    if (json_is_null(want) ? isnan(found) : fabs(found - value) <= limit) return;
    fail_msg("%s, %s: expected %.15g, found %.15g", text_at(s->json, "name"), metric, value, found);
}

static int open_file(void **state)
{
    static struct fixture f;
    struct error e = {0};
    if (json_read_file(GRAFT_TEST_DIR "/golden/data/metrics.json", 1 << 24, &f.file, &e) !=
        GRAFT_OK)
        return -1;
    *state = &f;
    return 0;
}

static int close_file(void **state)
{
    json_decref(((struct fixture *)*state)->file);
    return 0;
}

static void each_set(void **state, void (*check)(const struct set *))
{
    const struct fixture *f = *state;
    const json_t *sets = json_object_get(f->file, "sets");
    assert_true(json_array_size(sets) >= 6);
    for (size_t i = 0; i < json_array_size(sets); i++) {
        struct set s;
        set_open(&s, json_array_get(sets, i));
        check(&s);
        set_close(&s);
    }
}

static void check_values(const struct set *s)
{
    const json_t *values = json_object_get(s->json, "values");
    assert_int_equal(s->scores.column_count, METRIC_KINDS);
    assert_int_equal(json_object_size(values), METRIC_KINDS);
    for (size_t i = 0; i < METRIC_KINDS; i++) {
        const struct metric_column *c = &s->scores.columns[i];
        same_number(s, c->metric->name, json_object_get(values, c->metric->name), c->value);
    }
}

static void check_rows(const struct set *s)
{
    const char *name;
    json_t *list;
    json_object_foreach(json_object_get(s->json, "row_scores"), name, list)
    {
        int32_t bits = 0;
        struct error e = {0};
        assert_ok(metrics_parse(name, &bits, &e), &e);
        for (enum metric kind = 0; kind < METRIC_KINDS; kind++) {
            const struct metric_column *c = metric_scores_find(&s->scores, kind);
            if (bits != 1 << kind) continue;
            for (size_t i = 0; i < s->count; i++)
                same_number(s, name, json_array_get(list, i),
                            metric_value(&s->scores, c, c->rows + i * c->width));
        }
    }
}

static void check_draw(const struct set *s)
{
    const json_t *draw = json_object_get(s->json, "draw");
    const json_t *values = json_object_get(s->json, "draw_values");
    for (size_t i = 0; i < s->scores.column_count; i++) {
        const struct metric_column *c = &s->scores.columns[i];
        double *sum = mem_zalloc(c->width, sizeof *sum);
        for (size_t k = 0; k < json_array_size(draw); k++) {
            size_t row = (size_t)json_integer_value(json_array_get(draw, k));
            for (size_t j = 0; j < c->width; j++) sum[j] += c->rows[row * c->width + j];
        }
        same_number(s, c->metric->name, json_object_get(values, c->metric->name),
                    metric_value(&s->scores, c, sum));
        mem_free(sum);
    }
}

static void test_values(void **state)
{
    each_set(state, check_values);
}

static void test_rows(void **state)
{
    each_set(state, check_rows);
}

static void test_draw(void **state)
{
    each_set(state, check_draw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_draw),
    };
    return cmocka_run_group_tests(tests, open_file, close_file) != 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * data: the order of rows and their packing, against brute force.
 */
#include "unit/test.h"

#include "base/memory.h"
#include "data/order.h"
#include "data/pack.h"

#include <string.h>

enum { ROWS = 37, LONGEST = 50 };

static struct data_order make_order(struct data_order_options o)
{
    struct data_order order;
    struct error e = {0};
    assert_ok(data_order_create(&o, &order, &e), &e);
    return order;
}

/* All rows of steps 0 to count - 1, in turn. */
static size_t collect(struct data_order *order, uint64_t count, uint32_t *all)
{
    size_t n = 0;
    for (uint64_t s = 0; s < count; s++) n += data_order_step(order, s, all + n);
    return n;
}

static void assert_permutation(const uint32_t *rows, size_t n)
{
    unsigned char seen[ROWS] = {0};
    assert_in_range(n, 1, ROWS);
    for (size_t i = 0; i < n; i++) {
        assert_in_range(rows[i], 0, n - 1);
        assert_int_equal(seen[rows[i]]++, 0);
    }
}

static void test_every_epoch_is_a_permutation(void **state)
{
    struct data_order order = make_order(
        (struct data_order_options){.seed = 7, .rows = ROWS, .batch_size = 5, .shuffle = true});
    uint32_t all[37 * 5];
    (void)state;
    assert_int_equal(collect(&order, ROWS, all), ROWS * 5); /* five whole epochs */
    for (size_t epoch = 0; epoch < 5; epoch++) assert_permutation(all + epoch * ROWS, ROWS);
    assert_memory_not_equal(all, all + ROWS, ROWS * sizeof *all);
    data_order_destroy(&order);
}

static void test_order_of_whole_epochs(void **state)
{
    struct data_order_options o = {
        .seed = 7, .rows = ROWS, .batch_size = 5, .shuffle = true, .whole_epochs = true};
    struct data_order order = make_order(o);
    uint32_t rows[5], all[2 * ROWS + 5];
    (void)state;
    assert_int_equal(data_order_steps_per_epoch(&o), 8);
    assert_int_equal(data_order_step(&order, 6, rows), 5);
    assert_int_equal(data_order_step(&order, 7, rows), 2); /* 37 = 7 * 5 + 2 */
    assert_int_equal(data_order_step(&order, 8, rows), 5);
    assert_int_equal(collect(&order, 16, all), 2 * ROWS);
    assert_permutation(all, ROWS);
    assert_permutation(all + ROWS, ROWS);
    data_order_destroy(&order);
}

static void test_order_without_shuffle(void **state)
{
    struct data_order order =
        make_order((struct data_order_options){.seed = 7, .rows = 4, .batch_size = 3});
    static const uint32_t expected[] = {0, 1, 2, 3, 0, 1, 2, 3, 0};
    uint32_t all[9];
    (void)state;
    assert_int_equal(collect(&order, 3, all), 9);
    assert_memory_equal(all, expected, sizeof all);
    data_order_destroy(&order);
}

/* Resuming needs the number of the step only. */
static void test_a_step_does_not_depend_on_those_before(void **state)
{
    struct data_order_options o = {.seed = 99, .rows = ROWS, .batch_size = 8, .shuffle = true};
    struct data_order whole = make_order(o);
    uint32_t all[30 * 8], rows[8];
    (void)state;
    collect(&whole, 30, all);
    for (uint64_t step = 30; step-- > 0;) {
        struct data_order fresh = make_order(o);
        assert_int_equal(data_order_step(&fresh, step, rows), 8);
        assert_memory_equal(rows, all + step * 8, sizeof rows);
        data_order_destroy(&fresh);
        data_order_step(&whole, step, rows); /* backwards too */
        assert_memory_equal(rows, all + step * 8, sizeof rows);
    }
    data_order_destroy(&whole);
    o.seed = 100;
    struct data_order other = make_order(o);
    data_order_step(&other, 0, rows);
    assert_memory_not_equal(rows, all, sizeof rows);
    data_order_destroy(&other);
}

static void test_batch_larger_than_the_data(void **state)
{
    struct data_order order = make_order(
        (struct data_order_options){.seed = 1, .rows = 3, .batch_size = 8, .shuffle = true});
    uint32_t all[24];
    (void)state;
    assert_int_equal(collect(&order, 3, all), 24);
    for (size_t epoch = 0; epoch < 8; epoch++) assert_permutation(all + epoch * 3, 3);
    data_order_destroy(&order);
}

static void test_order_refusals(void **state)
{
    struct data_order order;
    struct error e = {0};
    struct data_order_options o = {.rows = 0, .batch_size = 1};
    (void)state;
    assert_int_equal(data_order_create(&o, &order, &e), GRAFT_E_INVALID);
    o = (struct data_order_options){.rows = 1, .batch_size = 0};
    assert_int_equal(data_order_create(&o, &order, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "train.batch_size"));
}

/* Rows of known content: row r's token i is 1000 r + i; labels of a run in the middle and the end.
 */
struct fixture {
    int32_t ids[ROWS][LONGEST], labels[ROWS][LONGEST];
    struct data_sequence rows[ROWS];
    struct data_tokens tokens;
};

static struct fixture fixture;

static int make_fixture(void **state)
{
    struct fixture *f = &fixture;
    *state = f;
    for (size_t r = 0; r < ROWS; r++) {
        size_t length = 2 + (r * 29) % (LONGEST - 1), trained = 0;
        for (size_t i = 0; i < length; i++) {
            f->ids[r][i] = (int32_t)(1000 * r + i);
            bool on = i != 0 && (i + r) % 5 < 3;
            f->labels[r][i] = on ? f->ids[r][i] : LABEL_IGNORED;
            trained += on;
        }
        f->rows[r] = (struct data_sequence){f->ids[r], f->labels[r], length, trained, r};
    }
    f->tokens = (struct data_tokens){.rows = f->rows, .count = ROWS};
    return 0;
}

/* What the packed step says, by (row in the step, position): which token is predicted there. */
struct seen {
    int32_t id[8][LONGEST], target[8][LONGEST], first_gap[8][LONGEST];
    size_t micro_batches, tokens, trained;
};

static void see_micro_batch(const struct micro_batch *b, struct seen *s)
{
    for (size_t t = 0; t < b->token_count; t++) {
        size_t row = (size_t)b->row[t], at = (size_t)b->positions[t];
        assert_in_range(row, 0, 7);
        assert_int_equal(s->id[row][at], -1); /* each token once */
        s->id[row][at] = b->ids[t];
        s->target[row][at] = LABEL_IGNORED;
        assert_int_equal(b->last[t], t);
        /* keys: exactly the tokens of its own document up to itself */
        for (size_t k = 0; k < b->token_count; k++) {
            bool own = b->row[k] == b->row[t] && k <= t;
            bool visible = k >= (size_t)b->first[t] && k <= (size_t)b->last[t];
            assert_int_equal(own, visible);
        }
    }
    for (size_t r = 0; r < b->trained_count; r++) {
        size_t t = (size_t)b->index[r];
        assert_in_range(t, 0, b->token_count - 1);
        assert_true(r == 0 || b->index[r] > b->index[r - 1]);
        s->target[b->row[t]][b->positions[t]] = b->target[r];
    }
    s->micro_batches++;
    s->tokens += b->token_count;
    s->trained += b->trained_count;
}

static struct seen see_step(const struct fixture *f, const uint32_t *rows, size_t n,
                            size_t capacity, size_t bucket)
{
    struct seen s;
    struct error e = {0};
    struct packed_step step;
    struct micro_batch batch;
    size_t begin[9];
    memset(&s, 0xFF, sizeof s);
    s.micro_batches = s.tokens = s.trained = 0;
    assert_ok(pack_step(&f->tokens, rows, n, capacity, begin, &step, &e), &e);
    assert_ok(micro_batch_create(bucket, &batch, &e), &e);
    for (size_t m = 0; m < step.count; m++) {
        memset(batch.ids, 0x55, bucket * 7 * sizeof *batch.ids);
        pack_micro_batch(&step, m, &batch);
        assert_in_range(batch.token_count, 1, capacity);
        assert_int_equal(batch.documents, begin[m + 1] - begin[m]);
        see_micro_batch(&batch, &s);
        for (size_t t = batch.token_count; t < bucket; t++) { /* the rest: finite, untrained */
            assert_int_equal(batch.ids[t], 0);
            assert_int_equal(batch.first[t], t);
            assert_int_equal(batch.last[t], t);
            assert_int_equal(batch.positions[t], 0);
        }
        for (size_t r = batch.trained_count; r < bucket; r++)
            assert_int_equal(batch.target[r], LABEL_IGNORED);
    }
    assert_int_equal(s.tokens, step.token_count);
    assert_int_equal(s.trained, step.trained); /* N is known before the first micro-batch */
    micro_batch_destroy(&batch);
    return s;
}

static void test_packing_against_brute_force(void **state)
{
    const struct fixture *f = *state;
    static const uint32_t rows[8] = {3, 11, 36, 0, 5, 22, 11, 8}; /* one row twice */
    static const size_t capacities[] = {LONGEST, 64, 100, 128, 1000};
    for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++) {
        struct seen s = see_step(f, rows, 8, capacities[c], capacities[c]);
        for (size_t i = 0; i < 8; i++) {
            const struct data_sequence *row = &f->rows[rows[i]];
            for (size_t t = 0; t < row->length; t++) {
                assert_int_equal(s.id[i][t], row->ids[t]);
                bool trained = t + 1 < row->length && row->labels[t + 1] != LABEL_IGNORED;
                assert_int_equal(s.target[i][t], trained ? row->ids[t + 1] : LABEL_IGNORED);
            }
        }
    }
}

/* (8 rows in one micro-batch) = (8 micro-batches of one row). */
static void test_packing_changes_nothing(void **state)
{
    const struct fixture *f = *state;
    struct data_sequence equal[8];
    struct fixture same = *f;
    static const uint32_t rows[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    for (size_t i = 0; i < 8; i++) { /* eight rows of one length */
        equal[i] = f->rows[36];
        equal[i].ids = f->ids[i];
        equal[i].labels = f->labels[i];
        equal[i].length = 2;
        equal[i].trained = f->labels[i][1] != LABEL_IGNORED;
    }
    same.tokens = (struct data_tokens){.rows = equal, .count = 8};
    struct seen one = see_step(&same, rows, 8, 16, 128), eight = see_step(&same, rows, 8, 2, 128);
    assert_int_equal(one.micro_batches, 1);
    assert_int_equal(eight.micro_batches, 8);
    assert_int_equal(one.trained, eight.trained);
    assert_memory_equal(one.id, eight.id, sizeof one.id);
    assert_memory_equal(one.target, eight.target, sizeof one.target);
}

static void test_a_row_that_does_not_fit(void **state)
{
    const struct fixture *f = *state;
    struct packed_step step;
    struct error e = {0};
    size_t begin[2];
    uint32_t row = 0;
    while (f->rows[row].length < 30) row++;
    assert_int_equal(pack_step(&f->tokens, &row, 1, 29, begin, &step, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "train.micro_batch_tokens"));
}

static void test_buckets(void **state)
{
    static const size_t largest[] = {1, 128, 129, 512, 1000, 1024, 1536, 2048, 4096, 5000, 262144};
    (void)state;
    for (size_t i = 0; i < sizeof largest / sizeof *largest; i++) {
        size_t top = largest[i], before = 0, count = 0;
        for (; before < top; count++) {
            size_t size = bucket_for(before + 1, top);
            assert_int_equal(size % 128, 0);
            assert_true(size > before);
            assert_true((size - before) * 8 <= top + 127 || size - before == 128);
            assert_int_equal(bucket_for(size, top), size);
            before = size;
        }
        assert_true(before >= top && before - top < 128);
        assert_in_range(count, 1, 16);
    }
    assert_int_equal(bucket_for(0, 4096), 512);
    assert_int_equal(bucket_for(513, 4096), 1024);
}

static void test_refused_allocations(void **state)
{
    struct micro_batch batch;
    struct data_order order;
    struct error e = {0};
    struct data_order_options o = {.rows = 5, .batch_size = 1, .shuffle = true};
    (void)state;
    mem_fail_after(1);
    assert_int_equal(micro_batch_create(128, &batch, &e), GRAFT_E_MEMORY);
    assert_int_equal(data_order_create(&o, &order, &e), GRAFT_E_MEMORY);
    mem_fail_after(0);
    assert_int_equal(micro_batch_create((size_t)INT32_MAX + 1, &batch, &e), GRAFT_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_epoch_is_a_permutation),
        cmocka_unit_test(test_order_of_whole_epochs),
        cmocka_unit_test(test_order_without_shuffle),
        cmocka_unit_test(test_a_step_does_not_depend_on_those_before),
        cmocka_unit_test(test_batch_larger_than_the_data),
        cmocka_unit_test(test_order_refusals),
        cmocka_unit_test_setup(test_packing_against_brute_force, make_fixture),
        cmocka_unit_test_setup(test_packing_changes_nothing, make_fixture),
        cmocka_unit_test_setup(test_a_row_that_does_not_fit, make_fixture),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_refused_allocations),
    };
    return TEST_MAIN(tests);
}

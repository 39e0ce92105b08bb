/* SPDX-License-Identifier: Apache-2.0
 *
 * SmolLM2-135M-Instruct (Q4_1) against transformers on its dequantized weights: greedy
 * continuations, all at once and one by one, and the loss of every token of eight rows. The file is
 * the one named by GRAFT_SMOLLM2, or what the quick start keeps in the user's cache; without it the
 * test is skipped.
 */
#include "golden/training.h"

#include "base/json.h"
#include "file/paths.h"
#include "generate/generator.h"

enum { PROMPTS = 8, NEW_TOKENS = 32, TOKENS = 512, END = 2 };

static char model[512];

static bool find_model(void)
{
    const char *named = getenv("GRAFT_SMOLLM2"), *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME"), *name = "graft/SmolLM2-135M-Instruct.Q4_1.gguf";
    if (named != NULL && *named != '\0')
        snprintf(model, sizeof model, "%s", named);
    else if (cache != NULL && *cache != '\0')
        snprintf(model, sizeof model, "%s/%s", cache, name);
    else
        snprintf(model, sizeof model, "%s/.cache/%s", home != NULL ? home : "", name);
    return path_kind(model) == PATH_FILE;
}

struct smollm2 {
    json_t *expected;
    struct session *session;
    struct generator *generator;
    struct batch_slot slot;
    struct micro_batch batch;
    struct loss_program loss;
};

static int setup(void **state)
{
    static struct smollm2 s;
    struct error e = {0};
    struct session_request request = {.model = model, .quantize = "keep"};
    struct generator_size size = {.slots = PROMPTS, .length = 128, .tokens = TOKENS};
    struct device_request device = {.name = "cpu", .base_dir = "."};
    assert_ok(json_read_file(GOLDEN "smollm2/generate.json", 1 << 20, &s.expected, &e), &e);
    assert_ok(session_open(&request, &s.session, &e), &e);
    assert_ok(generator_plan(s.session, &size, &s.generator, &e), &e);
    assert_ok(batch_slot_create(s.session, TOKENS, &s.slot, &e), &e);
    assert_ok(micro_batch_create(TOKENS, &s.batch, &e), &e);
    assert_ok(loss_program_plan(s.session, &s.slot, false, false, &s.loss, &e), &e);
    assert_ok(session_start(s.session, &device, &e), &e);
    assert_ok(generator_compile(s.generator, &e), &e);
    assert_ok(loss_program_compile(s.session, &s.loss, &e), &e);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    struct smollm2 *s = *state;
    loss_program_destroy(&s->loss);
    micro_batch_destroy(&s->batch);
    batch_slot_destroy(&s->slot);
    generator_destroy(s->generator);
    session_close(s->session);
    json_decref(s->expected);
    return 0;
}

static size_t read_ids(const json_t *list, int32_t *ids, size_t most)
{
    size_t count = json_array_size(list);
    assert_true(count <= most);
    for (size_t i = 0; i < count; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return count;
}

/* ---- greedy continuations ---- */

static void check_answer(const json_t *c, const struct generate_answer *a)
{
    int32_t expected[NEW_TOKENS];
    size_t count = read_ids(json_object_get(c, "new_ids"), expected, NEW_TOKENS);
    bool ended = expected[count - 1] == END;
    const char *prompt = json_string_value(json_object_get(c, "prompt"));
    count -= ended;
    for (size_t i = 0; i < count && i < a->count; i++)
        if (a->ids[i] != expected[i])
            fail_msg("%s: token %zu is %d, expected %d", prompt, i, (int)a->ids[i],
                     (int)expected[i]);
    if (a->count != count || a->ended != ended)
        fail_msg("%s: %zu tokens, expected %zu", prompt, a->count, count);
}

static void generate(struct smollm2 *s, size_t first, size_t count)
{
    struct error e = {0};
    const json_t *cases = json_object_get(s->expected, "generate");
    int32_t ids[PROMPTS][128], made[PROMPTS][NEW_TOKENS];
    struct generate_prompt prompts[PROMPTS];
    struct generate_answer answers[PROMPTS];
    for (size_t i = 0; i < count; i++) {
        const json_t *c = json_array_get(cases, first + i);
        prompts[i].ids = ids[i];
        prompts[i].count = read_ids(json_object_get(c, "prompt_ids"), ids[i], 128 - NEW_TOKENS);
        answers[i] = (struct generate_answer){.ids = made[i]};
    }
    struct generate_request request = {.prompts = prompts,
                                       .answers = answers,
                                       .count = count,
                                       .max_new_tokens = NEW_TOKENS,
                                       .sample = {.top_p = 1.0}};
    assert_ok(generator_run(s->generator, &request, &e), &e);
    for (size_t i = 0; i < count; i++) check_answer(json_array_get(cases, first + i), &answers[i]);
}

static void test_all_at_once(void **state)
{
    struct smollm2 *s = *state;
    assert_int_equal(json_array_size(json_object_get(s->expected, "generate")), PROMPTS);
    generate(s, 0, PROMPTS);
}

static void test_one_by_one(void **state)
{
    for (size_t i = 0; i < PROMPTS; i++) generate(*state, i, 1);
}

/* ---- loss per token ---- */

static double check_row(struct smollm2 *s, const json_t *c)
{
    struct error e = {0};
    int32_t ids[TOKENS], labels[TOKENS];
    float nll[TOKENS], loss = 0;
    const json_t *expected = json_object_get(c, "nll");
    size_t first = (size_t)json_integer_value(json_object_get(c, "first_trained"));
    size_t trained = json_array_size(expected), row_begin[2] = {0, 1};
    uint32_t row_index = 0;
    double worst = 0;
    struct data_sequence row = {.ids = ids, .labels = labels, .trained = trained};
    row.length = read_ids(json_object_get(c, "ids"), ids, TOKENS);
    for (size_t i = 0; i < row.length; i++)
        labels[i] = i >= first && i < first + trained ? ids[i] : LABEL_IGNORED;
    struct data_tokens tokens = {.rows = &row, .count = 1};
    struct packed_step step = {.tokens = &tokens,
                               .rows = &row_index,
                               .row_count = 1,
                               .begin = row_begin,
                               .count = 1,
                               .token_count = row.length,
                               .trained = trained};
    pack_micro_batch(&step, 0, &s->batch);
    assert_int_equal(s->batch.trained_count, trained);
    assert_ok(loss_program_run(s->session, &s->loss, &s->batch, 1.0, 0, &loss, &e), &e);
    assert_ok(program_read(s->loss.program, s->loss.nll, nll, trained * sizeof *nll, &e), &e);
    for (size_t i = 0; i < trained; i++) {
        double d = fabs((double)nll[i] - json_number_value(json_array_get(expected, i)));
        if (!(d <= worst)) worst = d;
    }
    return worst;
}

static void test_loss(void **state)
{
    struct smollm2 *s = *state;
    const json_t *rows = json_object_get(s->expected, "nll");
    double worst = 0;
    assert_true(json_array_size(rows) == 8);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        double d = check_row(s, json_array_get(rows, i));
        if (!(d <= worst)) worst = d;
    }
    print_message("  a token's loss differs by %.1e\n", worst);
    if (!(worst <= 1e-3)) fail_msg("a token's loss differs by %g, at most 1e-3", worst);
}

int main(void)
{
    if (!find_model()) {
        print_message("skipped: no %s; examples/quickstart/fetch_model.sh gets it\n", model);
        return 77;
    }
    use_built_plugins();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_at_once),
        cmocka_unit_test(test_one_by_one),
        cmocka_unit_test(test_loss),
    };
    return cmocka_run_group_tests(tests, setup, teardown) != 0;
}

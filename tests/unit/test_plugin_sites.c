/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin: options that mean sites. A list matches names and their ends, a text the whole name, as
 * target_modules does (PEFT's check_target_module_exists).
 */
#include "unit/test.h"

#include "base/memory.h"
#include "plugin/options.h"

#include <stdlib.h>
#include <string.h>

struct filled {
    int64_t size;
    int32_t wide, deep;
};

static const struct graft_option options[] = {
    {.key = "size",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct filled, size),
     .fallback = "1",
     .help = "a number",
     .training = 1},
    {.key = "wide",
     .type = GRAFT_OPTION_SITES,
     .offset = offsetof(struct filled, wide),
     .fallback = "down_proj up_proj",
     .help = "sites"},
    {.key = "deep",
     .type = GRAFT_OPTION_SITES,
     .offset = offsetof(struct filled, deep),
     .fallback = "",
     .help = "other sites"},
};

static const struct plugin plugin = {.kind = GRAFT_PLUGIN_ADAPTER,
                                     .name = "sites",
                                     .version = "1.0.0",
                                     .license = "Apache-2.0",
                                     .summary = "for tests",
                                     .path = "/adapter-sites.so",
                                     .options = options,
                                     .option_count = 3,
                                     .options_size = sizeof(struct filled)};

static const char *const sites[] = {
    "model.layers.0.self_attn.q_proj",  "model.layers.0.mlp.up_proj",
    "model.layers.0.mlp.down_proj",     "model.layers.1.mlp.down_proj",
    "model.layers.1.mlp.not_down_proj", "down_proj"};
enum { SITES = sizeof sites / sizeof sites[0] };

static struct option_input text(const char *value)
{
    return (struct option_input){
        .key = "wide", .type = OPTION_INPUT_STRING, .s = value, .place = "recipe.yaml:4:6"};
}

static struct option_input list(const struct option_input *items, size_t count)
{
    return (struct option_input){.key = "wide",
                                 .type = OPTION_INPUT_LIST,
                                 .items = items,
                                 .count = count,
                                 .place = "recipe.yaml:4:6"};
}

static enum graft_status create(const struct option_input *input, struct option_values **values,
                                struct error *e)
{
    struct option_request request = {.plugin = &plugin,
                                     .path = "adapter",
                                     .place = "recipe.yaml:2:3",
                                     .inputs = input,
                                     .count = input != NULL};
    return option_values_create(&request, values, e);
}

/* `expected`: one digit for each site; `json`: the value as it is written. */
static void check(const struct option_input *input, const char *expected, const char *json)
{
    struct error e = {0};
    struct option_values *values = NULL;
    assert_ok(create(input, &values, &e), &e);
    for (size_t i = 0; i < SITES; i++) {
        struct filled filled;
        assert_ok(option_values_for_site(values, sites[i], &filled, &e), &e);
        if (filled.wide != expected[i] - '0') fail_msg("%s: %d", sites[i], filled.wide);
        assert_int_equal(filled.deep, 0);
        assert_int_equal(filled.size, 1);
    }
    assert_int_equal(((const struct filled *)option_values_get(values))->wide, 0);
    json_t *all = option_values_json(values, true);
    assert_null(json_object_get(all, "size")); /* of training alone */
    assert_true(json_is_array(json_object_get(all, "deep")));
    assert_int_equal(json_array_size(json_object_get(all, "deep")), 0);
    char *found = json_dumps(json_object_get(all, "wide"), JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(found, json);
    free(found);
    json_decref(all);
    all = option_values_json(values, false);
    assert_int_equal(json_integer_value(json_object_get(all, "size")), 1);
    json_decref(all);
    option_values_destroy(values);
}

static void test_names(void **state)
{
    const struct option_input one = text("down_proj"), two[] = {text("0.mlp.down_proj"), text("q")},
                              dots[] = {text("mlp?down_proj"), text("mlp.down.proj")};
    struct option_input input = list(&one, 1);
    (void)state;
    check(NULL, "011101", "[\"down_proj\",\"up_proj\"]");
    check(&input, "001101", "[\"down_proj\"]");
    input = list(two, 2);
    check(&input, "001000", "[\"0.mlp.down_proj\",\"q\"]");
    input = list(dots, 2); /* names are no expressions */
    check(&input, "000000", "[\"mlp?down_proj\",\"mlp.down.proj\"]");
    input = list(NULL, 0);
    check(&input, "000000", "[]");
}

static void test_expressions(void **state)
{
    struct option_input input = text("down_proj");
    (void)state;
    check(&input, "000001", "\"down_proj\""); /* the whole name */
    input = text(".*\\.1\\..*|.*q_proj");
    check(&input, "100110", "\".*\\\\.1\\\\..*|.*q_proj\"");
}

static void refused(struct option_input input, const char *expected)
{
    struct error e = {0};
    struct option_values *values = NULL;
    assert_int_equal(create(&input, &values, &e), GRAFT_E_INVALID);
    if (strstr(e.text, expected) == NULL) fail_msg("\"%s\" is not in: %s", expected, e.text);
}

static void test_mistakes(void **state)
{
    const struct option_input number = {.type = OPTION_INPUT_INT, .i = 3, .place = "p"};
    (void)state;
    refused(text("mlp.("), "recipe.yaml:4:6: adapter.wide: \"mlp.(\" is not a regular expression");
    refused(list(&number, 1),
            "p: adapter.wide: found 3, expected a list of names or a regular expression");
    struct option_input yes = text("");
    yes.type = OPTION_INPUT_BOOL;
    refused(yes, "adapter.wide: found false, expected a list of names or a regular expression");
}

/* A given name that means no site is most likely misspelt; a default may. */
static void test_idle(void **state)
{
    const struct option_input names[] = {text("down_proj"), text("dwn_proj")};
    struct option_input input = list(names, 2);
    struct option_values *values = NULL;
    struct error e = {0};
    (void)state;
    assert_ok(create(&input, &values, &e), &e);
    assert_int_equal(option_values_check_sites(values, sites, SITES, false, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "wide: \"dwn_proj\" matches none"));
    option_values_destroy(values);
    assert_ok(create(NULL, &values, &e), &e);
    assert_ok(option_values_check_sites(values, sites, 1, false, &e), &e);
    option_values_destroy(values);
}

static void test_described(void **state)
{
    struct str out = {0};
    (void)state;
    plugin_describe(&plugin, &out);
    assert_non_null(strstr(out.data, "wide  sites  down_proj up_proj  [NAME ...] or a pattern"));
    str_free(&out);
}

/* Every allocation may be refused. */
static void test_memory(void **state)
{
    const struct option_input names[] = {text("a"), text("b")};
    struct option_input input = list(names, 2);
    int64_t n = 0;
    (void)state;
    for (bool whole = false; !whole; n++) {
        struct error e = {0};
        struct option_values *values = NULL;
        int64_t before = mem_live_count();
        mem_fail_after(n + 1);
        enum graft_status status = create(&input, &values, &e);
        mem_fail_after(0);
        whole = status == GRAFT_OK;
        if (!whole) assert_int_equal(status, GRAFT_E_MEMORY);
        option_values_destroy(values);
        assert_int_equal(mem_live_count(), before);
    }
    assert_true(n > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),     cmocka_unit_test(test_expressions),
        cmocka_unit_test(test_mistakes),  cmocka_unit_test(test_idle),
        cmocka_unit_test(test_described), cmocka_unit_test(test_memory),
    };
    return TEST_MAIN(tests);
}

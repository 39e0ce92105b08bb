/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin: where files are looked for, what is listed, options from keys to the plugin's struct,
 * patterns per site, descriptions. The refusals of descriptors are in tests/abi.
 */
#include "unit/test.h"

#include "abi/full.h"
#include "base/log.h"
#include "base/memory.h"
#include "plugin/options.h"
#include "plugin/plugin.h"
#include "plugin/quote.h"
#include "plugin/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOOD GRAFT_BUILD_DIR "/tests/abi/good"
#define BAD GRAFT_BUILD_DIR "/tests/abi/bad"

static const struct plugin *full(void)
{
    static const struct plugin *plugin;
    struct error e = {0};
    assert_int_equal(setenv("GRAFT_PLUGIN_PATH", GOOD, 1), 0);
    if (plugin == NULL) assert_ok(plugin_load(GRAFT_PLUGIN_ADAPTER, "full", NULL, &plugin, &e), &e);
    return plugin;
}

static void test_search(void **state)
{
    struct error e = {0};
    const struct plugin *by_name = full(), *by_file = NULL;
    (void)state;
    assert_ok(plugin_load(GRAFT_PLUGIN_ADAPTER, "./adapter-full.so", GOOD, &by_file, &e), &e);
    assert_ptr_equal(by_name, by_file);
    assert_int_equal(plugin_load(GRAFT_PLUGIN_ADAPTER, "fulll", NULL, &by_file, &e),
                     GRAFT_E_INVALID);
    /* The build's own plugins may follow: they are searched after GRAFT_PLUGIN_PATH. */
    assert_non_null(strstr(e.text, "no adapter is named \"fulll\"; did you mean \"full\"? (known: "
                                   "full, minimal, newer, older"));
    assert_int_equal(plugin_load(GRAFT_PLUGIN_BACKEND, "nonesuch", NULL, &by_file, &e),
                     GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "no backend is named \"nonesuch\" ("));
    assert_int_equal(plugin_load(GRAFT_PLUGIN_ADAPTER, "./no/adapter-x.so", "/", &by_file, &e),
                     GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "No such file"));
}

/* A name never means the working directory, and a relative entry is refused. */
static void test_relative_path_refused(void **state)
{
    struct error e = {0};
    const struct plugin *plugin = NULL;
    (void)state;
    setenv("GRAFT_PLUGIN_PATH", "/nowhere:plugins", 1);
    assert_int_equal(plugin_load(GRAFT_PLUGIN_ADAPTER, "full", NULL, &plugin, &e), GRAFT_E_INVALID);
    assert_string_equal(e.text, "GRAFT_PLUGIN_PATH: \"plugins\" is not absolute: every entry must "
                                "start with /");
    setenv("GRAFT_PLUGIN_PATH", ":" GOOD ":", 1); /* empty entries are nothing */
    assert_ok(plugin_load(GRAFT_PLUGIN_ADAPTER, "full", NULL, &plugin, &e), &e);
}

static void test_list(void **state)
{
    struct error e = {0};
    struct plugin_list *list = NULL;
    size_t loaded = 0, refused = 0, hidden = 0;
    (void)state;
    setenv("GRAFT_PLUGIN_PATH", GOOD ":" BAD ":" GOOD "/../good", 1);
    assert_ok(plugin_list_create(&list, &e), &e);
    for (size_t i = 0; i < list->count; i++) {
        const struct plugin_found *item = &list->items[i];
        loaded += item->plugin != NULL;
        refused += item->refusal != NULL;
        /* a shipped plugin may bear a fixture's name */
        hidden += item->hidden_by != NULL && strstr(item->path, "/abi/") != NULL;
        assert_int_equal(
            (item->plugin != NULL) + (item->refusal != NULL) + (item->hidden_by != NULL), 1);
        if (item->hidden_by != NULL)
            assert_string_equal(path_base(item->hidden_by), path_base(item->path));
    }
    assert_true(loaded >= 5);
    assert_int_equal(refused, 31);
    assert_int_equal(hidden, 5);
    plugin_list_destroy(list);
}

static struct option_input integer(const char *key, int64_t value)
{
    return (struct option_input){.key = key,
                                 .type = OPTION_INPUT_INT,
                                 .i = value,
                                 .place = "recipe.yaml:3:6",
                                 .key_place = "recipe.yaml:3:3"};
}

static struct option_input text(const char *key, const char *value)
{
    return (struct option_input){.key = key,
                                 .type = OPTION_INPUT_STRING,
                                 .s = value,
                                 .place = "recipe.yaml:4:6",
                                 .key_place = "recipe.yaml:4:3"};
}

static enum graft_status create(const struct option_input *inputs, size_t count,
                                struct option_values **values, struct error *e)
{
    static const char *const also[] = {"method", "target_modules"};
    struct option_request request = {.plugin = full(),
                                     .path = "adapter",
                                     .place = "recipe.yaml:2:3",
                                     .inputs = inputs,
                                     .count = count,
                                     .also_known = also,
                                     .also_count = 2};
    return option_values_create(&request, values, e);
}

static void test_values(void **state)
{
    struct error e = {0};
    struct option_values *values = NULL;
    struct option_input inputs[] = {
        integer("steps", 5),
        integer("lora_alpha", 16),
        text("note", "hello"),
        {.key = "init_lora_weights", .type = OPTION_INPUT_BOOL, .b = false, .place = "x"},
        {.key = "use_rslora", .type = OPTION_INPUT_BOOL, .b = true, .place = "x"},
        {.key = "r", .type = OPTION_INPUT_NULL, .place = "x"}};
    (void)state;
    assert_ok(create(inputs, 6, &values, &e), &e);
    const struct full *o = option_values_get(values);
    assert_int_equal(o->r, 8); /* null is not given */
    assert_true(o->lora_alpha == 16.0);
    assert_int_equal(o->steps, 5);
    assert_int_equal(o->init, 1); /* "false" is the second choice */
    assert_int_equal(o->use_rslora, 1);
    assert_string_equal(o->note, "hello");
    assert_string_equal(option_values_place(values, "steps"), "recipe.yaml:3:6");
    assert_null(option_values_place(values, "r"));
    struct str out = {0};
    json_t *json = option_values_json(values, false);
    json_write(&out, json, 0, false);
    assert_string_equal(out.data,
                        "{\"r\":8,\"rank_pattern\":{},\"lora_alpha\":16.0,\"alpha_pattern\":{},"
                        "\"use_rslora\":true,\"init_lora_weights\":false,\"note\":\"hello\","
                        "\"steps\":5}");
    json_decref(json);
    str_free(&out);
    option_values_destroy(values);
}

static void refused(const struct option_input *inputs, size_t count, const char *expected)
{
    struct error e = {0};
    struct option_values *values = NULL;
    assert_int_equal(create(inputs, count, &values, &e), GRAFT_E_INVALID);
    assert_null(values);
    assert_string_equal(e.text, expected);
}

static void test_value_mistakes(void **state)
{
    struct option_input map = {
        .key = "rank_pattern", .type = OPTION_INPUT_MAP, .place = "p", .count = 1};
    struct option_input bad = integer("q_proj(", 4), big = integer("q_proj", 5000);
    (void)state;
    refused((struct option_input[]){integer("lora_alhpa", 1)}, 1,
            "recipe.yaml:3:3: adapter.lora_alhpa: unknown key; did you mean \"lora_alpha\"? "
            "(known: r, rank_pattern, lora_alpha, alpha_pattern, use_rslora, init_lora_weights, "
            "note, steps, method, target_modules)");
    refused((struct option_input[]){integer("target_module", 1)}, 1,
            "recipe.yaml:3:3: adapter.target_module: unknown key; did you mean "
            "\"target_modules\"? (known: r, rank_pattern, lora_alpha, alpha_pattern, use_rslora, "
            "init_lora_weights, note, steps, method, target_modules)");
    refused((struct option_input[]){integer("r", 0)}, 1,
            "recipe.yaml:3:6: adapter.r: found 0, expected an integer from 1 to 4096");
    refused((struct option_input[]){text("r", "8")}, 1,
            "recipe.yaml:4:6: adapter.r: found \"8\", expected an integer from 1 to 4096");
    refused((struct option_input[]){integer("note", 8)}, 1,
            "recipe.yaml:3:6: adapter.note: found 8, expected text");
    refused((struct option_input[]){text("init_lora_weights", "gausian")}, 1,
            "recipe.yaml:4:6: adapter.init_lora_weights: found \"gausian\", expected one of true, "
            "false, gaussian; did you mean \"gaussian\"?");
    refused((struct option_input[]){integer("use_rslora", 1)}, 1,
            "recipe.yaml:3:6: adapter.use_rslora: found 1, expected true or false");
    refused((struct option_input[]){integer("r", 4)}, 1,
            "recipe.yaml:2:3: adapter.steps: missing, adapter full needs it: how many; there is "
            "no default");
    map.items = &bad;
    refused(&map, 1,
            "recipe.yaml:3:3: adapter.rank_pattern: \"q_proj(\" is not a regular expression: "
            "missing closing parenthesis");
    map.items = &big;
    refused(&map, 1,
            "recipe.yaml:3:6: adapter.rank_pattern: found 5000, expected an integer from "
            "1 to 4096");
    refused((struct option_input[]){integer("rank_pattern", 4)}, 1,
            "recipe.yaml:3:6: adapter.rank_pattern: found 4, expected a mapping from site pattern "
            "to value");
}

/* The expected values are Python's: for each name the first pattern P of the list with
 * re.match(r"(.*\.)?(P)$", name). */
static void test_patterns(void **state)
{
    struct error e = {0};
    struct option_values *values = NULL;
    struct option_input ranks[] = {integer("q_proj", 4), integer("layers\\.0\\..*", 2),
                                   integer("^model.layers.1.mlp.up_proj", 16), integer("proj", 99)};
    struct option_input alphas[] = {integer("v_proj", 3)};
    struct option_input inputs[] = {
        integer("steps", 1),
        {.key = "rank_pattern", .type = OPTION_INPUT_MAP, .items = ranks, .count = 4, .place = "p"},
        {.key = "alpha_pattern",
         .type = OPTION_INPUT_MAP,
         .items = alphas,
         .count = 1,
         .place = "p"}};
    static const struct {
        const char *site;
        int64_t r;
        double alpha;
    } expected[] = {
        {"model.layers.0.self_attn.q_proj", 4, 8}, /* the first of two matches */
        {"model.layers.0.self_attn.v_proj", 2, 3},
        {"model.layers.1.self_attn.v_proj", 8, 3}, /* "proj" is not a whole part of the name */
        {"model.layers.1.mlp.up_proj", 16, 8},
        {"x.model.layers.1.mlp.up_proj", 8, 8}, /* "^" is the start of the name */
        {"q_proj", 4, 8},
        {"a.proj", 99, 8},
    };
    (void)state;
    assert_ok(create(inputs, 3, &values, &e), &e);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct full site;
        memset(&site, 0xAA, sizeof site);
        assert_ok(option_values_for_site(values, expected[i].site, &site, &e), &e);
        if (site.r != expected[i].r || site.lora_alpha < expected[i].alpha ||
            site.lora_alpha > expected[i].alpha)
            fail_msg("%s: r %d alpha %g", expected[i].site, (int)site.r, site.lora_alpha);
        assert_int_equal(site.steps, 1);
        assert_string_equal(site.note, "none: \"x\"");
    }
    assert_int_equal(((const struct full *)option_values_get(values))->r, 8);
    option_values_destroy(values);
}

static void test_memory(void **state)
{
    struct option_input rank = integer("q_proj", 4);
    struct option_input inputs[] = {integer("steps", 1),
                                    text("note", "hello"),
                                    {.key = "rank_pattern",
                                     .type = OPTION_INPUT_MAP,
                                     .items = &rank,
                                     .count = 1,
                                     .place = "p"}};
    int64_t n = 0;
    bool whole = false;
    (void)state;
    full();
    for (; !whole && n < 1000; n++) {
        struct error e = {0};
        struct option_values *values = NULL;
        int64_t before = mem_live_count();
        mem_fail_after(n + 1);
        enum graft_status status = create(inputs, 3, &values, &e);
        mem_fail_after(0);
        whole = status == GRAFT_OK;
        if (!whole) assert_int_equal(status, GRAFT_E_MEMORY);
        option_values_destroy(values);
        assert_int_equal(mem_live_count(), before);
    }
    assert_true(whole);
    assert_true(n > 5);
}

static void test_describe(void **state)
{
    struct str out = {0};
    (void)state;
    plugin_describe(full(), &out);
    assert_false(out.failed);
    assert_non_null(strstr(out.data, "adapter full 0.1.0: a plugin for tests\n"
                                     "license Apache-2.0, ABI 1.0, " GOOD "/adapter-full.so\n"));
    assert_non_null(strstr(out.data, "\nr                  int     8            1 to 4096"));
    assert_non_null(strstr(out.data, "\nrank_pattern       map     {}           pattern: r ..."));
    assert_non_null(strstr(out.data, "true|false|gaussian      first values\n"));
    assert_non_null(strstr(out.data, "(required)"));
    str_free(&out);
    json_t *json = plugin_json(full());
    assert_int_equal(json_array_size(json_object_get(json, "options")), 6);
    json_decref(json);
}

static void test_hash(void **state)
{
    struct error e = {0};
    char hex[HASH_HEX_SIZE], again[HASH_HEX_SIZE];
    (void)state;
    assert_ok(plugin_hash(full(), hex, &e), &e);
    assert_ok(hash_file_hex(GOOD "/adapter-full.so", again, &e), &e);
    assert_string_equal(hex, again);
}

static void test_quote(void **state)
{
    char out[QUOTE_SIZE], long_text[300];
    (void)state;
    assert_string_equal(quote_text("a\n\x1b\xff", out), "\"a\\x0a\\x1b\\xff\"");
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    assert_string_equal(quote_text(long_text, out) + strlen(out) - 4, "...\"");
    assert_true(strlen(out) < QUOTE_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_search),         cmocka_unit_test(test_relative_path_refused),
        cmocka_unit_test(test_list),           cmocka_unit_test(test_values),
        cmocka_unit_test(test_value_mistakes), cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_memory),         cmocka_unit_test(test_describe),
        cmocka_unit_test(test_hash),           cmocka_unit_test(test_quote),
    };
    return TEST_MAIN(tests);
}

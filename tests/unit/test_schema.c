/* SPDX-License-Identifier: Apache-2.0
 *
 * Parameter groups in recipes, and the JSON Schema: every key of the tables is there with its
 * bounds, a method's keys hang on its name. tests/e2e/schema.py has an outside validator judge it.
 */
#include "unit/test.h"

#include "recipe/json_schema.h"
#include "recipe/schema.h"
#include "recipe/settings.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER GRAFT_BUILD_DIR "/tests/schema"

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
    write_file("t.jsonl", "{}");
    return 0;
}

static enum graft_status load(const char *groups, struct settings **s, struct error *e)
{
    char text[1024];
    snprintf(text, sizeof text,
             "model: m.gguf\n"
             "data: {train: t.jsonl}\n"
             "adapter: {method: lora}\n"
             "optimizer:\n"
             "  groups: %s\n"
             "  method: sgd\n"
             "  lr: 0.1\n"
             "  weight_decay: 0.5\n",
             groups);
    write_file("r.yaml", text);
    return settings_load("r.yaml", NULL, 0, s, e);
}

static void test_groups(void **state)
{
    struct settings *s = NULL, *again = NULL;
    struct error e = {0};
    struct str text = {0};
    (void)state;
    assert_ok(
        load("[{match: 'lora_B', lr_scale: 16, weight_decay: 0.0}, {match: \"^0/.*A\"}]", &s, &e),
        &e);
    assert_int_equal(s->optimizer.group_count, 2);
    assert_string_equal(s->optimizer.groups[0].match, "lora_B");
    assert_true(s->optimizer.groups[0].lr_scale == 16.0);
    assert_true(s->optimizer.groups[0].weight_decay == 0.0);
    assert_true(s->optimizer.groups[1].lr_scale == 1.0);
    assert_true(s->optimizer.groups[1].weight_decay == 0.5); /* the recipe's */
    /* The effective recipe reads back to the same. */
    assert_ok(settings_write_yaml(s, NULL, false, &text, &e), &e);
    write_file("effective.yaml", text.data);
    assert_ok(settings_load("effective.yaml", NULL, 0, &again, &e), &e);
    assert_int_equal(again->optimizer.group_count, 2);
    assert_string_equal(again->optimizer.groups[1].match, "^0/.*A");
    assert_true(again->optimizer.groups[1].weight_decay == 0.5);
    str_free(&text);
    settings_free(again);
    settings_free(s);
}

static void refused(const char *groups, const char *text)
{
    struct settings *s = NULL;
    struct error e = {0};
    assert_int_equal(load(groups, &s, &e), GRAFT_E_INVALID);
    assert_string_equal(e.text, text);
}

static void test_bad_groups(void **state)
{
    (void)state;
    refused("lora_B",
            "r.yaml:5:11: optimizer.groups: found \"lora_B\", expected a list of mappings "
            "with a match");
    refused("[lora_B]", "r.yaml:5:12: optimizer.groups.0: expected a mapping with a match");
    refused("[{lr_scale: 2}]", "r.yaml:5:12: optimizer.groups.0.match: missing: a regular "
                               "expression that is found in the parameter's key");
    refused("[{match: a, lr: 2}]", "r.yaml:5:23: optimizer.groups.0: unknown key lr (known: match, "
                                   "lr_scale, weight_decay)");
    refused("[{match: a, lr_scale: -1}]", "r.yaml:5:33: optimizer.groups.0.lr_scale: found -1, "
                                          "expected a number from 0 to 1000000");
}

/* A property by its path of keys, through "anyOf: [it, null]". */
static const json_t *property(const json_t *object, const char *name)
{
    const json_t *list = json_object_get(object, "anyOf");
    size_t i;
    const json_t *item;
    const json_t *found = json_object_get(json_object_get(object, "properties"), name);
    if (found != NULL) return found;
    json_array_foreach(list, i, item)
    {
        if ((found = property(item, name)) != NULL) return found;
    }
    return NULL;
}

static void test_schema(void **state)
{
    const struct plugin *plugins[3] = {NULL};
    struct error e = {0};
    (void)state;
    assert_ok(plugin_load(GRAFT_PLUGIN_ADAPTER, "lora", NULL, &plugins[0], &e), &e);
    assert_ok(plugin_load(GRAFT_PLUGIN_OPTIMIZER, "sgd", NULL, &plugins[2], &e), &e);
    json_t *schema = recipe_json_schema(plugins, 3);
    assert_non_null(schema);
    assert_string_equal(json_string_value(json_object_get(schema, "$schema")),
                        "https://json-schema.org/draft/2020-12/schema");
    for (size_t i = 0; i < schema_core.count; i++) { /* every row of the table */
        const json_t *at = schema;
        char path[128], *rest = NULL;
        snprintf(path, sizeof path, "%s", schema_core.keys[i].path);
        for (char *part = strtok_r(path, ".", &rest); part != NULL;
             part = strtok_r(NULL, ".", &rest)) {
            at = property(at, part);
            if (at == NULL) break;
        }
        if (at == NULL && strcmp(schema_core.keys[i].path, "adapter") != 0)
            fail_msg("%s is not in the schema", schema_core.keys[i].path);
    }
    const json_t *defs = json_object_get(schema, "$defs");
    const json_t *sgd = json_object_get(defs, "optimizer-sgd");
    for (size_t i = 0; i < plugins[2]->option_count; i++)
        assert_non_null(property(sgd, plugins[2]->options[i].key));
    assert_true(json_is_false(json_object_get(sgd, "additionalProperties")));
    const json_t *momentum = json_array_get(json_object_get(property(sgd, "momentum"), "anyOf"), 0);
    assert_true(json_real_value(json_object_get(momentum, "maximum")) == 0.999999);
    assert_non_null(property(json_object_get(defs, "adapter-lora"), "target_modules"));
    assert_non_null(property(json_object_get(defs, "adapter-lora"), "rank_pattern"));
    json_decref(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_bad_groups),
        cmocka_unit_test(test_schema),
    };
    return cmocka_run_group_tests(tests, set_up, NULL) != 0;
}

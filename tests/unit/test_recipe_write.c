/* SPDX-License-Identifier: Apache-2.0
 *
 * recipe: --set; the effective recipe reads back to itself, and is explained; allocation failure
 * swept.
 */
#include "unit/test.h"

#define FOLDER GRAFT_BUILD_DIR "/tests/recipe_write"

#include "abi/full.h"
#include "base/log.h"
#include "unit/test_recipe.h"

static char last_log[1024];

static void keep_log(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    snprintf(last_log, sizeof last_log, "%s", line);
}

static void test_set(void **state)
{
    struct error e = {0};
    struct settings *s = NULL;
    static const char *const sets[] = {"optimizer.lr=1",
                                       "optimizer.lr=1e-3",
                                       "train.early_stopping.patience=7",
                                       "adapter.0.r=16",
                                       "adapter.target_modules=[q_proj, k_proj] # both",
                                       "model=other/m2.gguf",
                                       "model.compute=f32",
                                       "backend.threads=2",
                                       "data.valid=data/train.jsonl"};
    (void)state;
    assert_ok(load_sets(HEAD, strlen(HEAD), sets, 9, &s, &e), &e);
    assert_true(s->optimizer.lr == 1e-3);
    error_set(&e, GRAFT_E_INVALID, "optimizer.lr: too high");
    settings_locate(s, &e);
    assert_string_equal(e.text, "--set 2: optimizer.lr: too high");
    assert_int_equal(s->early_stopping.patience, 7);
    assert_int_equal(((const struct full *)option_values_get(s->adapters[0].options))->r, 16);
    assert_int_equal(s->adapters[0].target_modules.names.count, 2);
    assert_string_equal(s->model.path, "other/m2.gguf");
    assert_int_equal(s->model.compute, COMPUTE_F32);
    assert_int_equal(s->backend.threads, 2);
    assert_string_equal(s->backend.name, "auto");
    settings_free(s);
}

static void test_set_mistakes(void **state)
{
    (void)state;
    refused_set("adapter.r=0", "--set 1: adapter.r: found 0, expected an integer from 1 to 4096");
    refused_set("trian.seed=1", "--set 1: trian: unknown key; did you mean \"train\"?");
    refused_set("train.seed", "--set 1: found \"train.seed\", expected KEY.PATH=VALUE");
    refused_set("=1", "--set 1: found \"=1\", expected KEY.PATH=VALUE");
    refused_set("train..seed=1", "--set 1: train..seed: an empty part of a key");
    refused_set("train.seed=1, 2", "--set 1: train.seed: found 2 values, expected one");
    refused_set("train.seed=", "--set 1: train.seed: found 0 values, expected one");
    refused_set("train.seed=[1", "--set 1: train.seed: not valid YAML: ");
    refused_set("train.seed=.nan", "--set 1: train.seed: found \".nan\", only finite");
    refused_set("optimizer.lr.x=1", "--set 1: optimizer.lr.x: \"x\" would lie below a single "
                                    "value");
    refused_set("adapter.1.r=3", "--set 1: adapter.1.r: found 1, there is one adapter");
    static const char *const two[] = {"adapter=[{method: full, steps: 1}]", "adapter.3.r=2"};
    refused_bytes(HEAD, strlen(HEAD), two, 2,
                  "--set 2: adapter.3.r: found \"3\" below a list of 1, expected its number from 0 "
                  "to 0");
}

/* A new method drops the old one's keys and keeps the host's; the same method drops nothing. */
static void test_set_method(void **state)
{
    static const char yaml[] = NO_ADAPTER
        "adapter: {method: full, steps: 3, r: 9, lora_alpha: 2, target_modules: [q_proj]}\n";
    (void)state;
    last_log[0] = '\0';
    log_set_sink(keep_log, NULL);
    struct settings *s = load_set(yaml, "adapter.method=minimal");
    assert_string_equal(s->adapters[0].plugin->name, "minimal");
    assert_string_equal(s->adapters[0].target_modules.names.items[0], "q_proj");
    assert_string_equal(last_log, "--set 1: adapter.method: minimal instead of full: dropped "
                                  "steps, r, lora_alpha");
    settings_free(s);
    last_log[0] = '\0';
    s = load_set(yaml, "adapter.method=full");
    assert_string_equal(last_log, "");
    assert_int_equal(((const struct full *)option_values_get(s->adapters[0].options))->r, 9);
    settings_free(s);
    last_log[0] = '\0';
    refused_set("adapter.method=minimol", "--set 1: adapter.method: no adapter is named");
    assert_string_equal(last_log, ""); /* what is refused has dropped nothing */
    log_set_sink(NULL, NULL);
}

static char *effective(const struct settings *s, const char *relative_to, bool comments)
{
    struct error e = {0};
    struct str out = {0};
    assert_ok(settings_write_yaml(s, relative_to, comments, &out, &e), &e);
    return str_take(&out);
}

static const char odd[] =
    "model: {path: m.gguf, compute: f32}\n"
    "data: {train: [data/train.jsonl, data/valid.jsonl], valid: data/valid.jsonl}\n"
    "adapter:\n"
    "- {method: full, steps: 3, note: 'a \"b\" # c', target_modules: [q_proj],\n"
    "   rank_pattern: {'layers\\.0\\.': 4, \"12\": 2}, init_lora_weights: gaussian}\n"
    "- {method: minimal, target_modules: '.*\\.(q|v)_proj', layers_to_transform: 3}\n"
    "optimizer: {method: plain, lr: 1e-5}\n"
    "train: {max_steps: 10, schedule: cosine_with_min_lr, min_lr_rate: 0.1, warmup_steps: 2,\n"
    "        early_stopping: {}}\n"
    "output: run\n";

/* What is written reads back, and is then written the same. */
static void test_write_round_trip(void **state)
{
    static const char *const recipes[] = {
        HEAD,
        odd,
        HEAD "train: {schedule: constant}\n",
        NO_ADAPTER
        "adapter: {method: minimal, init_from: hf-model}\n"
        "train: {schedule: warmup_stable_decay, num_decay_steps: 5, decay_type: 1-sqrt}\n",
        HEAD "train: {schedule: polynomial}\neval: {every: 0}\n",
        HEAD "train: {schedule: inverse_sqrt, timescale: 7, micro_batch_tokens: 4096}\n",
        HEAD "train: {schedule: cosine_with_min_lr, min_lr: 1e-6}\n"};
    (void)state;
    for (size_t i = 0; i < sizeof recipes / sizeof recipes[0]; i++) {
        struct settings *s = load(recipes[i]);
        char *first = effective(s, ".", false);
        struct settings *again = load(first);
        char *second = effective(again, ".", false);
        assert_string_equal(first, second);
        assert_int_equal(s->adapter_count, again->adapter_count);
        for (size_t a = 0; a < s->adapter_count; a++) {
            json_t *one = option_values_json(s->adapters[a].options, false);
            json_t *two = option_values_json(again->adapters[a].options, false);
            assert_true(json_equal(one, two));
            json_decref(one);
            json_decref(two);
        }
        assert_null(strstr(first, "output"));
        mem_free(first);
        mem_free(second);
        settings_free(s);
        settings_free(again);
    }
}

static void test_write_moved(void **state)
{
    struct settings *s = load(odd);
    (void)state;
    mkdir("runs", 0777);
    mkdir("runs/a", 0777);
    char *text = effective(s, "runs/a", false);
    assert_non_null(strstr(text, "  path: ../../m.gguf\n"));
    assert_non_null(strstr(text, "  train: [../../data/train.jsonl, ../../data/valid.jsonl]\n"));
    write_file("runs/a/recipe.yaml", text, strlen(text));
    struct error e = {0};
    struct settings *moved = NULL;
    assert_ok(settings_load("runs/a/recipe.yaml", NULL, 0, &moved, &e), &e);
    char *again = effective(moved, "runs/a", false);
    assert_string_equal(text, again);
    settings_free(moved);
    settings_free(s);
    mem_free(text);
    mem_free(again);
}

/* A plugin given as a file stays one, wherever the recipe goes: beside it, the path needs a
 * slash, or it would be a name. */
static void test_plugin_file(void **state)
{
    struct settings *s = load(NO_ADAPTER "adapter: {method: ../abi/good/adapter-full.so, "
                                         "steps: 1}\n");
    (void)state;
    assert_string_equal(s->adapters[0].plugin->path, GOOD "/adapter-full.so");
    char *text = effective(s, "runs", false);
    assert_non_null(strstr(text, "  method: ../../abi/good/adapter-full.so\n"));
    mem_free(text);
    text = effective(s, GOOD, false);
    assert_non_null(strstr(text, "  method: ./adapter-full.so\n"));
    mem_free(text);
    settings_free(s);
}

static void test_explain(void **state)
{
    struct settings *s = load_set(odd, "train.seed=5");
    char *text = effective(s, NULL, true);
    (void)state;
    assert_non_null(strstr(text, "  path: m.gguf                                    "
                                 "# r.yaml:1:15\n"));
    assert_non_null(strstr(text, "  seed: 5                                         "
                                 "# --set 1\n"));
    assert_non_null(strstr(text, "  quantize: keep                                  "
                                 "# default\n"));
    assert_non_null(strstr(text, "  momentum: 0.9                                   "
                                 "# plugin default\n"));
    assert_non_null(strstr(text, "  - method: full "));
    assert_non_null(strstr(text, "    note: \"a \\\"b\\\" # c\" "));
    assert_non_null(strstr(text, "output: run "));
    /* What has no effect here is not there. */
    assert_null(strstr(text, "epochs"));
    assert_null(strstr(text, "power"));
    assert_null(strstr(text, "warmup_ratio"));
    mem_free(text);
    settings_free(s);
}

static void test_allocation_failure(void **state)
{
    const char *sets[] = {"train.seed=7", "model.path=other/m2.gguf"};
    bool whole = false;
    int64_t n = 0;
    (void)state;
    settings_free(load(odd)); /* plugins stay loaded */
    for (; !whole && n < 2000; n++) {
        struct error e = {0};
        struct settings *s = NULL;
        struct str out = {0};
        int64_t before = mem_live_count();
        mem_fail_after(n + 1);
        enum graft_status status = settings_load("r.yaml", sets, 2, &s, &e);
        if (status == GRAFT_OK) status = settings_write_yaml(s, "runs", false, &out, &e);
        mem_fail_after(0);
        whole = status == GRAFT_OK;
        if (!whole && status != GRAFT_E_MEMORY) fail_msg("allocation %d: %s", (int)n, e.text);
        settings_free(s);
        str_free(&out);
        assert_int_equal(mem_live_count(), before);
    }
    assert_true(whole);
    assert_true(n > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),         cmocka_unit_test(test_set_mistakes),
        cmocka_unit_test(test_set_method),  cmocka_unit_test(test_write_round_trip),
        cmocka_unit_test(test_write_moved), cmocka_unit_test(test_plugin_file),
        cmocka_unit_test(test_explain),     cmocka_unit_test(test_allocation_failure),
    };
    return cmocka_run_group_tests(tests, set_up, NULL) != 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * recipe: YAML to settings. Every mistake with its exact place and text; --set; the effective
 * recipe reads back to itself; allocation failure swept.
 */
#include "unit/test.h"

#include "abi/full.h"
#include "base/log.h"
#include "base/memory.h"
#include "recipe/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER GRAFT_BUILD_DIR "/tests/recipe"
#define GOOD GRAFT_BUILD_DIR "/tests/abi/good"

static void write_file(const char *name, const char *text, size_t length)
{
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* The tests work in a folder of their own, so that places read "r.yaml:3:6". */
static int set_up(void **state)
{
    (void)state;
    mkdir(FOLDER, 0777);
    if (chdir(FOLDER) != 0) return 1;
    mkdir("data", 0777);
    mkdir("other", 0777);
    mkdir("hf-model", 0777);
    write_file("m.gguf", "x", 1);
    write_file("data/train.jsonl", "{}", 2);
    write_file("data/valid.jsonl", "{}", 2);
    write_file("other/m2.gguf", "x", 1);
    return setenv("GRAFT_PLUGIN_PATH", GOOD, 1);
}

#define HEAD                                                                                       \
    "model: m.gguf\n"                                                                              \
    "data: {train: data/train.jsonl, valid: data/valid.jsonl}\n"                                   \
    "adapter: {method: full, steps: 3}\n"                                                          \
    "optimizer: {method: plain, lr: 2e-4}\n"

static enum graft_status load_sets(const char *yaml, size_t length, const char *const *sets,
                                   size_t set_count, struct settings **s, struct error *e)
{
    write_file("r.yaml", yaml, length);
    return settings_load("r.yaml", sets, set_count, s, e);
}

static struct settings *load(const char *yaml)
{
    struct error e = {0};
    struct settings *s = NULL;
    assert_ok(load_sets(yaml, strlen(yaml), NULL, 0, &s, &e), &e);
    return s;
}

static struct settings *load_set(const char *yaml, const char *set)
{
    struct error e = {0};
    struct settings *s = NULL;
    assert_ok(load_sets(yaml, strlen(yaml), &set, 1, &s, &e), &e);
    return s;
}

static void refused_bytes(const char *yaml, size_t length, const char *const *sets,
                          size_t set_count, const char *expected)
{
    struct error e = {0};
    struct settings *s = NULL;
    int64_t before = mem_live_count();
    enum graft_status status = load_sets(yaml, length, sets, set_count, &s, &e);
    if (status != GRAFT_E_INVALID) fail_msg("accepted, expected: %s", expected);
    assert_null(s);
    assert_int_equal(mem_live_count(), before);
    if (strncmp(e.text, expected, strlen(expected)) != 0)
        fail_msg("\n  found    %s\n  expected %s", e.text, expected);
}

static void refused(const char *yaml, const char *expected)
{
    refused_bytes(yaml, strlen(yaml), NULL, 0, expected);
}

static void refused_set(const char *set, const char *expected)
{
    refused_bytes(HEAD, strlen(HEAD), &set, 1, expected);
}

/* The recipe of interface.md, section 2. */
static void test_whole(void **state)
{
    struct settings *s = load("model: m.gguf   # a comment\n"
                              "data:\n"
                              "  train: [data/train.jsonl, data/valid.jsonl]\n"
                              "  valid: data/valid.jsonl\n"
                              "  train_on: all\n"
                              "  max_length: 512\n"
                              "  too_long: drop\n"
                              "  shuffle: false\n"
                              "adapter:\n"
                              "  method: full\n"
                              "  r: 4\n"
                              "  lora_alpha: 16\n"
                              "  steps: 7\n"
                              "  target_modules: [q_proj, v_proj]\n"
                              "  layers_to_transform: [0, 2]\n"
                              "optimizer:\n"
                              "  method: plain\n"
                              "  lr: 2.0e-4\n"
                              "  weight_decay: 0.1\n"
                              "  momentum: 0.5\n"
                              "train:\n"
                              "  max_steps: 200\n"
                              "  batch_size: 8\n"
                              "  micro_batch_tokens: auto\n"
                              "  schedule: cosine\n"
                              "  warmup_ratio: 0.03\n"
                              "  max_grad_norm: 1.0\n"
                              "  gradient_checkpointing: true\n"
                              "  early_stopping: {patience: 3, min_delta: 0.0}\n"
                              "  seed: 43\n"
                              "eval: {every: 50, rows: 100, max_new_tokens: 96, metrics: [loss, "
                              "perplexity]}\n"
                              "checkpoint: {every: 50, keep: 3}\n"
                              "backend: auto\n"
                              "output: runs/support-lora\n");
    (void)state;
    assert_string_equal(s->model.path, "m.gguf");
    assert_int_equal(s->data.train.count, 2);
    assert_string_equal(s->data.train.items[1], "data/valid.jsonl");
    assert_null(s->data.test);
    assert_int_equal(s->data.train_on, TRAIN_ON_ALL);
    assert_int_equal(s->data.too_long, TOO_LONG_DROP);
    assert_int_equal(s->data.shuffle, 0);
    assert_int_equal(s->data.max_length, 512);
    assert_string_equal(s->data.template_name, "auto");
    assert_int_equal(s->adapter_count, 1);
    assert_string_equal(s->adapters[0].target_modules.names.items[1], "v_proj");
    assert_int_equal(s->adapters[0].layers_to_transform.items[1], 2);
    const struct full *o = option_values_get(s->adapters[0].options);
    assert_int_equal(o->r, 4);
    assert_true(o->lora_alpha == 16.0);
    assert_true(s->optimizer.lr == 2e-4 && s->optimizer.weight_decay == 0.1);
    assert_true(*(const double *)option_values_get(s->optimizer.options) == 0.5);
    assert_int_equal(s->train.max_steps, 200);
    assert_true(s->train.epochs == 0.0);
    assert_int_equal(s->train.micro_batch_tokens, SETTINGS_AUTO);
    assert_int_equal(s->train.schedule.kind, SCHEDULE_COSINE);
    assert_true(s->train.schedule.num_cycles == 0.5);
    assert_int_equal(s->train.gradient_checkpointing, AUTO_TRUE);
    assert_true(s->early_stopping.enabled);
    assert_int_equal(s->train.seed, 43);
    assert_int_equal(s->eval.metrics, 1 << METRIC_LOSS | 1 << METRIC_PERPLEXITY);
    assert_int_equal(s->checkpoint.keep, 3);
    assert_string_equal(s->backend.name, "auto");
    assert_string_equal(s->output, "runs/support-lora");
    assert_string_equal(settings_place(s, "train.seed"), "r.yaml:30:9");
    assert_null(settings_place(s, "backend.threads"));
    struct error late = {0};
    error_set(&late, GRAFT_E_INVALID, "train.seed: is odd");
    settings_locate(s, &late);
    assert_string_equal(late.text, "r.yaml:30:9: train.seed: is odd");
    error_set(&late, GRAFT_E_INVALID, "backend.threads: too many");
    settings_locate(s, &late);
    assert_string_equal(late.text, "backend.threads: too many"); /* a default has no place */
    settings_free(s);
}

static void test_defaults(void **state)
{
    struct settings *s = load(HEAD);
    (void)state;
    assert_true(s->train.epochs == 3.0);
    assert_int_equal(s->train.schedule.kind, SCHEDULE_LINEAR);
    assert_int_equal(s->train.batch_size, 8);
    assert_int_equal(s->train.schedule.num_stable_steps, SETTINGS_AUTO);
    assert_true(s->train.schedule.lr_end == 1e-7);
    assert_false(s->early_stopping.enabled);
    assert_int_equal(s->eval.metrics,
                     1 << METRIC_LOSS | 1 << METRIC_PERPLEXITY | 1 << METRIC_EXACT_MATCH);
    assert_int_equal(s->train.seed, 42);
    assert_null(s->output);
    settings_free(s);
    s = load(HEAD "train: {schedule: cosine_with_restarts}\n");
    assert_true(s->train.schedule.num_cycles == 1.0);
    settings_free(s);
}

/* Relative to the recipe's folder in the file, to the working directory in --set. */
static void test_paths(void **state)
{
    static const char yaml[] = "model: m2.gguf\ndata: {train: ../data/train.jsonl}\n"
                               "adapter: {method: full, steps: 3}\n"
                               "optimizer: {method: plain, lr: 1}\noutput: run\n";
    struct error e = {0};
    struct settings *s = NULL;
    const char *set = "output=elsewhere";
    (void)state;
    write_file("other/r2.yaml", yaml, strlen(yaml));
    assert_ok(settings_load("other/r2.yaml", NULL, 0, &s, &e), &e);
    assert_string_equal(s->model.path, "other/m2.gguf");
    assert_string_equal(s->data.train.items[0], "data/train.jsonl");
    assert_string_equal(s->output, "other/run");
    settings_free(s);
    assert_ok(settings_load("other/r2.yaml", &set, 1, &s, &e), &e);
    assert_string_equal(s->output, "elsewhere");
    settings_free(s);
    set = "model=hf-model"; /* a folder is a model, too */
    assert_ok(settings_load("other/r2.yaml", &set, 1, &s, &e), &e);
    settings_free(s);
}

static void test_yaml_mistakes(void **state)
{
    (void)state;
    refused("model: [m.gguf\nx: y\n", "r.yaml:2:2: not valid YAML: ");
    refused("model: m\n\tdata: x\n", "r.yaml:2:1: not valid YAML: a tab: indent with spaces");
    refused("model: m\ndata:\n \ttrain: x\n", "r.yaml:3:2: not valid YAML: a tab: indent");
    refused("a: \"b\nc: d\n",
            "r.yaml:3:1: not valid YAML: while scanning a quoted scalar from line 1 on, found");
    refused("\xFF\xFEm", "r.yaml: is UTF-16: save it as UTF-8");
    refused("model: m.gguf\nmodel: n.gguf\n",
            "r.yaml:2:1: key \"model\" stands twice, first in line 1: keep one");
    refused("a: {b: 1, c: 2, b: 3}\n", "r.yaml:1:17: key \"b\" stands twice");
    refused("model: !!str x\n", "r.yaml:1:8: tags are not allowed");
    refused("model: !x {a: 1}\n", "r.yaml:1:8: tags are not allowed");
    refused("a: &x {b: 1}\nc:\n  <<: *x\n", "r.yaml:3:3: merge keys are not allowed");
    refused("a: 1\n---\nb: 2\n", "r.yaml:2:1: a second document is not allowed");
    refused("a: *x\n", "r.yaml:1:4: alias \"x\" has no anchor before it");
    refused("a: &x [*x]\n", "r.yaml:1:8: an alias inside its own anchor");
    refused("? [a]\n: 1\n", "r.yaml:1:3: a key must be a word");
    refused("\"\": 1\n", "r.yaml:1:1: a key is empty");
    refused("a: .nan\n", "r.yaml:1:4: found \".nan\", only finite numbers are allowed");
    refused("a: -.inf\n", "r.yaml:1:4: found \"-.inf\", only finite");
    refused("a: 1e999\n", "r.yaml:1:4: found \"1e999\", numbers are at most");
    refused("a: 9223372036854775808\n", "r.yaml:1:4: found \"9223372036854775808\", integers are");
    refused("a: \"x\\0y\"\n", "r.yaml:1:4: a NUL byte is not allowed");
    refused("", "r.yaml: is empty");
    refused("# nothing\n", "r.yaml: is empty");
    refused("- a\n", "r.yaml:1:1: recipe: found a list, expected a mapping of keys");
    refused("hello\n", "r.yaml:1:1: recipe: found \"hello\", expected a mapping");
}

static void test_bytes(void **state)
{
    char *large = mem_alloc(1024 * 1024 + 1);
    struct error e = {0};
    struct settings *s = NULL;
    (void)state;
    refused_bytes("a: b\nc: \xff\n", 10, NULL, 0, "r.yaml:2:4: not UTF-8");
    refused_bytes("a: \0b\n", 6, NULL, 0, "r.yaml:1:4: a NUL byte is not allowed");
    /* Columns count characters, not bytes, and the byte order mark is none. */
    refused("\xEF\xBB\xBF\xC3\xA9: {\xC3\xA9: !x 1}\n", "r.yaml:1:8: tags are not allowed");
    memset(large, '#', 1024 * 1024 + 1);
    refused_bytes(large, 1024 * 1024 + 1, NULL, 0, "r.yaml: larger than 1 MiB");
    mem_free(large);
    assert_int_equal(settings_load("none.yaml", NULL, 0, &s, &e), GRAFT_E_INVALID);
    assert_string_equal(e.text, "none.yaml: No such file or directory");
    assert_int_equal(settings_load("data", NULL, 0, &s, &e), GRAFT_E_INVALID);
    assert_string_equal(e.text, "data: is a folder, expected a recipe");
}

static void nested(char *out, size_t depth)
{
    memset(out, '[', depth);
    memset(out + depth, ']', depth);
    out[2 * depth] = '\0';
}

static void test_limits(void **state)
{
    struct str yaml = {0};
    char brackets[256];
    (void)state;
    nested(brackets, 31); /* 32 with the mapping around: read, then the key is unknown */
    str_printf(&yaml, "zz: %s\n", brackets);
    refused(yaml.data, "r.yaml:1:1: zz: unknown key");
    str_clear(&yaml);
    nested(brackets, 32);
    str_printf(&yaml, "zz: %s\n", brackets);
    refused(yaml.data, "r.yaml:1:36: nested deeper than 32 levels");
    str_clear(&yaml);
    /* 10 * 11 nodes, then 111 for each "*b": the ninth goes past 1000. */
    str_puts(&yaml, "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
                    "b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
                    "c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\n");
    refused(yaml.data, "r.yaml:3:40: aliases add more than 1000 nodes");
    str_free(&yaml);
}

static void test_aliases(void **state)
{
    struct settings *s = load_set("model: m.gguf\n"
                                  "data: {train: &rows data/train.jsonl, valid: *rows}\n"
                                  "adapter: [&a {method: full, steps: 3}, *a]\n"
                                  "optimizer: {method: plain, lr: 1}\n",
                                  "adapter.1.steps=9");
    (void)state;
    assert_string_equal(s->data.valid, "data/train.jsonl");
    assert_int_equal(s->adapter_count, 2); /* a change of one use leaves the other */
    assert_int_equal(((const struct full *)option_values_get(s->adapters[0].options))->steps, 3);
    assert_int_equal(((const struct full *)option_values_get(s->adapters[1].options))->steps, 9);
    settings_free(s);
}

static void test_key_mistakes(void **state)
{
    (void)state;
    refused(HEAD "trian: {seed: 1}\n",
            "r.yaml:5:1: trian: unknown key; did you mean \"train\"? (known: model, data, adapter, "
            "optimizer, train, eval, checkpoint, backend, output)");
    refused(HEAD "train:\n  max_step: 3\n",
            "r.yaml:6:3: train.max_step: unknown key; did you mean \"max_steps\"? (known: ");
    refused(HEAD "train: 3\n", "r.yaml:5:8: train: found 3, expected a mapping of keys");
    refused(HEAD "train: {batch_size: 0}\n",
            "r.yaml:5:21: train.batch_size: found 0, expected an integer from 1 to 65536");
    refused(HEAD "train: {batch_size: \"8\"}\n",
            "r.yaml:5:21: train.batch_size: found \"8\", expected an integer from 1 to 65536 "
            "without quotes");
    refused(HEAD "train: {batch_size: 8.0}\n", "r.yaml:5:21: train.batch_size: found 8.0, ");
    refused(HEAD "train: {warmup_ratio: 1.5}\n",
            "r.yaml:5:23: train.warmup_ratio: found 1.5, expected a number from 0 to 1");
    refused(HEAD "train: {schedule: cosin}\n",
            "r.yaml:5:19: train.schedule: found \"cosin\"; did you mean \"cosine\"?, expected one "
            "of constant, constant_with_warmup, linear, cosine, ");
    refused(HEAD "train: {gradient_checkpointing: yes}\n",
            "r.yaml:5:33: train.gradient_checkpointing: found \"yes\", expected one of auto, true, "
            "false");
    refused(HEAD "train: {micro_batch_tokens: automatic}\n",
            "r.yaml:5:29: train.micro_batch_tokens: found \"automatic\", expected auto or an "
            "integer from 128");
    refused(HEAD "eval: {metrics: [loss, loss]}\n", "r.yaml:5:24: eval.metrics: loss stands twice");
    refused(
        HEAD "eval: {metrics: [loss, blue]}\n",
        "r.yaml:5:24: eval.metrics: found \"blue\"; did you mean \"bleu\"?, expected a list of");
    refused(HEAD "eval: {metrics: []}\n", "r.yaml:5:17: eval.metrics: found a list, expected a "
                                          "list of loss, perplexity, exact_match, "
                                          "exact_match_normalized");
    refused(HEAD "output: 3\n",
            "r.yaml:5:9: output: found 3, expected a path (quote it if it is text)");
    refused(HEAD "compare: {seeds: [1]}\n",
            "r.yaml:5:1: compare: this recipe compares methods: run it with graft compare");
    refused(HEAD "train: {\"a.b\": 1}\n", "r.yaml:5:9: train.a.b: unknown key");
    refused("data: {train: data/train.jsonl}\n",
            "r.yaml:1:1: model.path: missing: a GGUF file or a Hugging Face folder");
    refused("model: m.gguf\n", "r.yaml:1:1: data.train: missing");
    refused("model: {quantize: keep}\n", "r.yaml:1:8: model.path: missing");
}

static void test_file_mistakes(void **state)
{
    (void)state;
    refused("model: x.gguf\n", "r.yaml:1:8: model.path: \"x.gguf\": No such file or directory "
                               "(relative paths start from the recipe's folder)");
    refused("model: m.gguf\ndata: {train: [data/train.jsonl, data]}\n",
            "r.yaml:2:34: data.train: \"data\" is a folder, expected a file");
    refused(
        "model: m.gguf\ndata: {train: []}\n",
        "r.yaml:2:15: data.train: found a list, expected a path or a list of one or more paths");
    refused("model: \"\"\n", "r.yaml:1:8: model.path: found \"\", expected a path");
    refused_set("data.test=none.jsonl", "--set 1: data.test: \"none.jsonl\": No such file or "
                                        "directory (relative paths start from the working "
                                        "directory)");
}

static void test_combinations(void **state)
{
    (void)state;
    refused(HEAD "train: {max_steps: 3, epochs: 1}\n",
            "r.yaml:5:23: train.epochs: has no effect beside train.max_steps: keep one");
    refused(HEAD "train:\n  schedule: constant\n  warmup_steps: 3\n",
            "r.yaml:7:3: train.warmup_steps: has no effect with schedule constant");
    refused(HEAD "train:\n  schedule: linear\n  num_cycles: 3\n",
            "r.yaml:7:3: train.num_cycles: has an effect with the cosine schedules only");
    refused(HEAD "train: {warmup_steps: 3, warmup_ratio: 0.1}\n",
            "r.yaml:5:26: train.warmup_ratio: has no effect beside train.warmup_steps");
    refused(HEAD "train: {power: 2}\n", "r.yaml:5:9: train.power: has an effect with schedule "
                                        "polynomial only");
    refused(HEAD "train: {schedule: cosine_with_min_lr}\n",
            "r.yaml:5:8: train.min_lr_rate: missing: schedule cosine_with_min_lr needs it");
    refused(HEAD "train: {schedule: cosine_with_min_lr, min_lr: 1e-5, min_lr_rate: 0.1}\n",
            "r.yaml:5:53: train.min_lr_rate: has no effect beside train.min_lr");
    refused(HEAD "train: {schedule: cosine_with_min_lr, min_lr: 1}\n",
            "r.yaml:5:47: train.min_lr: found 1, more than optimizer.lr 0.0002");
    refused(HEAD "train: {schedule: warmup_stable_decay}\n",
            "r.yaml:5:8: train.num_decay_steps: missing");
    refused(HEAD "train: {early_stopping: {patience: 2}}\neval: {every: 0}\n",
            "r.yaml:5:9: train.early_stopping: has no effect with eval.every 0");
    refused("model: m.gguf\ndata: {train: data/train.jsonl}\n"
            "adapter: {method: full, steps: 3}\noptimizer: {method: plain, lr: 1}\n"
            "train: {early_stopping: {}}\n",
            "r.yaml:5:9: train.early_stopping: has no effect without data.valid");
    refused("model: m.gguf\ndata: {train: data/train.jsonl}\n"
            "adapter: {method: full, steps: 3}\noptimizer: {method: plain, lr: 1}\n"
            "eval: {rows: 3}\n",
            "r.yaml:5:8: eval.rows: has no effect without data.valid or data.test");
    refused(HEAD "backend: {name: auto, device: 1}\n",
            "r.yaml:5:23: backend.device: has no effect with backend auto");
}

#define NO_ADAPTER                                                                                 \
    "model: m.gguf\ndata: {train: data/train.jsonl}\noptimizer: {method: plain, lr: 1}\n"

static void test_methods(void **state)
{
    (void)state;
    refused(NO_ADAPTER, "r.yaml:1:1: adapter: missing");
    refused(NO_ADAPTER "adapter: []\n", "r.yaml:4:10: adapter: found a list of 0");
    refused(NO_ADAPTER "adapter: {r: 8}\n", "r.yaml:4:10: adapter.method: missing");
    refused(NO_ADAPTER "adapter: full\n", "r.yaml:4:10: adapter: expected a mapping");
    refused(NO_ADAPTER "adapter: {method: fulll}\n",
            "r.yaml:4:19: adapter.method: no adapter is named \"fulll\"; did you mean \"full\"?");
    refused(NO_ADAPTER "adapter:\n  method: full\n  steps: 1\n  lora_alhpa: 3\n",
            "r.yaml:7:3: adapter.lora_alhpa: unknown key; did you mean \"lora_alpha\"?");
    refused(NO_ADAPTER "adapter:\n- method: full\n  steps: 1\n- method: full\n  r: 0\n",
            "r.yaml:8:6: adapter.1.r: found 0, expected an integer from 1 to 4096");
    refused(NO_ADAPTER "adapter: {method: full}\n", "r.yaml:4:10: adapter.steps: missing");
    refused(NO_ADAPTER "adapter: {method: full, steps: 1, bias: all}\n",
            "r.yaml:4:35: adapter.bias: full has no place in its file for the model's own numbers");
    refused(NO_ADAPTER "adapter: {method: full, steps: 1, bias: some}\n",
            "r.yaml:4:41: adapter.bias: found \"some\"; did you mean \"none\"?, expected one of "
            "none, all");
    refused(NO_ADAPTER "adapter: {method: full, steps: 1, modules_to_save: [lm_head]}\n",
            "r.yaml:4:35: adapter.modules_to_save: full has no place in its file");
    refused(NO_ADAPTER "adapter: {method: full, steps: 1, layers_pattern: h}\n",
            "r.yaml:4:35: adapter.layers_pattern: has no effect without layers_to_transform");
    refused(NO_ADAPTER "adapter: {method: full, steps: 1, target_modules: 3}\n",
            "r.yaml:4:51: adapter.target_modules: found 3, expected text or a list of texts");
    refused_set("optimizer.momentun=1",
                "--set 1: optimizer.momentun: unknown key; did you mean \"momentum\"? (known: "
                "momentum, method, lr, weight_decay, groups)");
    refused_set("optimizer.lr=null", "r.yaml:4:12: optimizer.lr: missing: peak learning rate");
    refused_set("backend=nonesuch", "--set 1: backend.name: no backend is named \"nonesuch\"");
    refused_set("adapter.method=./adapter-none.so",
                "--set 1: adapter.method: ./adapter-none.so: No such file");
}

static void test_null_is_not_given(void **state)
{
    struct settings *s = load(NO_ADAPTER "adapter: {method: full, steps: 1, modules_to_save: null, "
                                         "target_modules: null, bias: none, r: ~}\n"
                                         "train: {early_stopping: null, max_steps: null}\neval:\n");
    (void)state;
    assert_false(s->early_stopping.enabled);
    assert_true(s->train.epochs == 3.0);
    assert_int_equal(((const struct full *)option_values_get(s->adapters[0].options))->r, 8);
    settings_free(s);
}

static void test_scalars(void **state)
{
    struct settings *s = load(NO_ADAPTER "adapter: {method: full, steps: +5, note: \"12\", "
                                         "lora_alpha: 1e-3, target_modules: all-linear}\n"
                                         "output: 'true'\n");
    (void)state;
    const struct full *o = option_values_get(s->adapters[0].options);
    assert_int_equal(o->steps, 5);
    assert_string_equal(o->note, "12");
    assert_true(o->lora_alpha == 1e-3);
    assert_string_equal(s->adapters[0].target_modules.pattern, "all-linear");
    assert_string_equal(s->output, "true");
    settings_free(s);
}

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
    assert_string_equal(settings_place(s, "optimizer.lr"), "--set 2");
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
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_yaml_mistakes),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_key_mistakes),
        cmocka_unit_test(test_file_mistakes),
        cmocka_unit_test(test_combinations),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_null_is_not_given),
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_set_mistakes),
        cmocka_unit_test(test_set_method),
        cmocka_unit_test(test_write_round_trip),
        cmocka_unit_test(test_write_moved),
        cmocka_unit_test(test_plugin_file),
        cmocka_unit_test(test_explain),
        cmocka_unit_test(test_allocation_failure),
    };
    return cmocka_run_group_tests(tests, set_up, NULL) != 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * recipe: YAML to settings. Every mistake with its exact place and text.
 */
#include "unit/test.h"

#define FOLDER GRAFT_BUILD_DIR "/tests/recipe"

#include "abi/full.h"
#include "unit/test_recipe.h"

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

#define NOT_A_RATE(value, end)                                                                     \
    refused("model: m.gguf\ndata: {train: data/train.jsonl}\nadapter: {method: full, steps: 1}\n"  \
            "optimizer:\n  method: plain\n  lr: " value "\n",                                      \
            "r.yaml:6:7: optimizer.lr: found \"" value                                             \
            "\", expected a number from 0 to 1000000" end)

/* What ends the number is named. */
static void test_number_mistakes(void **state)
{
    static const char comma[] = "--set 1: optimizer.lr: found 2 values, expected one: a number's "
                                "decimal sign is a point, a list stands in brackets";
    (void)state;
    NOT_A_RATE("1,0e-3", "; no comma: a number's decimal sign is a point");
    NOT_A_RATE("1e-3x", "; \"x\" does not belong to a number");
    NOT_A_RATE("1.0 e-3", "; \" \" does not belong to a number");
    NOT_A_RATE(".5%", "; \"%\" does not belong to a number");
    NOT_A_RATE("2e-4,", "; \",\" does not belong to a number");
    NOT_A_RATE("5\xC3\x97", "; \"\xC3\x97\" does not belong to a number");
    NOT_A_RATE("small", "");
    refused(HEAD "train: {max_steps: 1_000}\n", "r.yaml:5:20: train.max_steps: found \"1_000\", "
                                                "expected an integer from 1 to 9007199254740991; "
                                                "\"_\" does not belong to a number");
    refused(HEAD "train: {warmup_ratio: 0,1}\n",
            "r.yaml:5:25: train.1: unknown key; a comma begins a new key: a decimal sign is a "
            "point (known: ");
    refused(NO_ADAPTER "adapter: {method: full, steps: 1, lora_alpha: 1,5}\n",
            "r.yaml:4:49: adapter.5: unknown key; a comma begins a new key: a decimal sign");
    refused(NO_ADAPTER "adapter:\n  method: full\n  steps: 1\n  r: 1,5\n",
            "r.yaml:7:6: adapter.r: found \"1,5\", expected an integer from 1 to 4096; no comma: ");
    refused_set("optimizer.lr=1,0e-3", comma);
    refused_set("optimizer.lr=a, b", "--set 1: optimizer.lr: found 2 values, expected one: quote a "
                                     "text with a comma, put a list in brackets");
}

static void test_key_mistakes(void **state)
{
    (void)state;
    refused(HEAD "trian: {seed: 1}\n",
            "r.yaml:5:1: trian: unknown key; did you mean \"train\"? (known: model, data, adapter, "
            "optimizer, train, eval, checkpoint, backend, output)");
    refused(HEAD "train:\n  max_step: 3\n",
            "r.yaml:6:3: train.max_step: unknown key; did you mean \"max_steps\"? (known: ");
    refused(HEAD "learning_rate: 1\n",
            "r.yaml:5:1: learning_rate: unknown key; did you mean \"optimizer.lr\"? (known: ");
    refused(HEAD "train: {every: 3}\n",
            "r.yaml:5:9: train.every: unknown key; did you mean \"eval.every\"? (known: ");
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
    refused("model: x.gguf\n",
            "r.yaml:1:8: model.path: \"x.gguf\": No such file or directory "
            "(relative paths start from the recipe's folder; nothing is downloaded)");
    refused("model: m.gguf\ndata: {train: [data/train.jsonl, data]}\n",
            "r.yaml:2:34: data.train: \"data\" is a folder, expected a file");
    refused(
        "model: m.gguf\ndata: {train: []}\n",
        "r.yaml:2:15: data.train: found a list, expected a path or a list of one or more paths");
    refused("model: ~/x.gguf\n",
            "r.yaml:1:8: model.path: \"~/x.gguf\": No such file or directory (relative paths start "
            "from the recipe's folder; ~ and $ stand for themselves; nothing is downloaded)");
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

static void test_methods(void **state)
{
    (void)state;
    refused(NO_ADAPTER, "r.yaml:1:1: adapter: missing");
    refused(NO_ADAPTER "adapter: []\n", "r.yaml:4:10: adapter: found a list of 0");
    refused(NO_ADAPTER "adapter: {r: 8}\n", "r.yaml:4:10: adapter.method: missing");
    refused(NO_ADAPTER "adapter: full\n", "r.yaml:4:10: adapter: found \"full\", expected a "
                                          "mapping with a method, as {method: NAME}");
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
        cmocka_unit_test(test_number_mistakes),
        cmocka_unit_test(test_key_mistakes),
        cmocka_unit_test(test_file_mistakes),
        cmocka_unit_test(test_combinations),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_null_is_not_given),
        cmocka_unit_test(test_scalars),
    };
    return cmocka_run_group_tests(tests, set_up, NULL) != 0;
}

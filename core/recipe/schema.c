/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of the core's keys. The order is the order of the effective recipe.
 */
#include "recipe/schema.h"

#include "base/text.h"
#include "recipe/compare.h"

#include <stdio.h>
#include <string.h>

static const char *const quantize_choices[] = {"keep", "nf4", NULL};
static const char *const compute_choices[] = {"auto", "f32", "bf16", "f16", NULL};
static const char *const train_on_choices[] = {"answers", "all", NULL};
static const char *const too_long_choices[] = {"error", "drop", NULL};
static const char *const schedule_choices[] = {"constant",
                                               "constant_with_warmup",
                                               "linear",
                                               "cosine",
                                               "cosine_with_restarts",
                                               "polynomial",
                                               "inverse_sqrt",
                                               "cosine_with_min_lr",
                                               "warmup_stable_decay",
                                               NULL};
static const char *const curve_choices[] = {"linear", "cosine", "1-sqrt", NULL};
static const char *const auto_choices[] = {"auto", "true", "false", NULL};
const char *const settings_metric_names[METRIC_KINDS + 1] = {
    [METRIC_LOSS] = "loss",
    [METRIC_PERPLEXITY] = "perplexity",
    [METRIC_EXACT_MATCH] = "exact_match",
    [METRIC_EXACT_MATCH_NORMALIZED] = "exact_match_normalized",
    [METRIC_TOKEN_F1] = "token_f1",
    [METRIC_ROUGE_L] = "rouge_l",
    [METRIC_BLEU] = "bleu",
    [METRIC_CHRF] = "chrf",
    [METRIC_NUMBER_MATCH] = "number_match",
    [METRIC_ACCURACY] = "accuracy",
    [METRIC_MACRO_F1] = "macro_f1",
    [METRIC_JSON_VALID] = "json_valid",
    [METRIC_ANSWER_LENGTH] = "answer_length",
    [METRIC_LENGTH_RATIO] = "length_ratio",
    [METRIC_SAME_SCRIPT] = "same_script",
    [METRIC_CUT_OFF] = "cut_off",
    [METRIC_STYLE] = "style",
};
static const char *const select_choices[] = {"valid", NULL};
static const char *const bias_choices[] = {"none", "all", "lora_only", NULL};

#define MOST 9007199254740991.0 /* 2^53 - 1: exact as a double */
#define AT(member) offsetof(struct settings, member)
#define MAP(path, help)                                                                            \
    {                                                                                              \
        path, SCHEMA_MAP, 0, NULL, false, 0, 0, NULL, help                                         \
    }
#define KEY(path, type, member, fallback, help)                                                    \
    {                                                                                              \
        path, type, AT(member), fallback, false, 0, 0, NULL, help                                  \
    }
#define NEEDED(path, type, member, help)                                                           \
    {                                                                                              \
        path, type, AT(member), NULL, true, 0, 0, NULL, help                                       \
    }
#define NUMBER(path, type, member, fallback, min, max, help)                                       \
    {                                                                                              \
        path, type, AT(member), fallback, false, min, max, NULL, help                              \
    }
#define CHOICE(path, member, fallback, choices, help)                                              \
    {                                                                                              \
        path, SCHEMA_CHOICE, AT(member), fallback, false, 0, 0, choices, help                      \
    }

/* clang-format off */
static const struct schema_key core_keys[] = {
    MAP("model", "the frozen base model; a path alone stands for {path: ...}"),
    NEEDED("model.path", SCHEMA_ENTRY, model.path, "a GGUF file or a Hugging Face folder"),
    CHOICE("model.quantize", model.quantize, "keep", quantize_choices, "storage of frozen weights: as in the file, or quantized on load"),
    CHOICE("model.compute", model.compute, "auto", compute_choices, "type of activations; auto: what the device multiplies fast"),

    MAP("data", "rows to train on and to measure with"),
    NEEDED("data.train", SCHEMA_FILES, data.train, "a file or a list; the format is found by its keys"),
    KEY("data.valid", SCHEMA_FILE, data.valid, NULL, "measured during training"),
    KEY("data.test", SCHEMA_FILE, data.test, NULL, "measured before and after"),
    CHOICE("data.train_on", data.train_on, "answers", train_on_choices, "which tokens are trained"),
    NUMBER("data.max_length", SCHEMA_INT, data.max_length, "1024", 8, 262144, "tokens; longer rows are left out and listed"),
    CHOICE("data.too_long", data.too_long, "error", too_long_choices, "when more than 5 % of the rows are longer"),
    KEY("data.shuffle", SCHEMA_BOOL, data.shuffle, "true", "false: rows in file order"),
    KEY("data.template", SCHEMA_TEXT, data.template_name, "auto", "name of the chat template; auto: recognized from the model"),

    MAP("adapter", "what is trained: one mapping, or a list that is stacked in order"),

    MAP("optimizer", "how; the other keys are the method's own"),
    NEEDED("optimizer.method", SCHEMA_METHOD, optimizer.method, "name or file of an optimizer plugin"),
    {"optimizer.lr", SCHEMA_FLOAT, AT(optimizer.lr), NULL, true, 0, 1e6, NULL, "peak learning rate"},
    NUMBER("optimizer.weight_decay", SCHEMA_FLOAT, optimizer.weight_decay, "0.0", 0, 1e6, "decay of the parameters"),
    {"optimizer.groups", SCHEMA_GROUPS, 0, NULL, false, 0, 0, NULL, "parameters with rates of their own, by their keys; the first that matches"},

    MAP("train", "the loop"),
    NUMBER("train.max_steps", SCHEMA_INT, train.max_steps, NULL, 1, MOST, "optimizer steps; instead of epochs"),
    NUMBER("train.epochs", SCHEMA_FLOAT, train.epochs, NULL, 1e-6, 1e6, "passes over the rows (3 when max_steps is not given either)"),
    NUMBER("train.batch_size", SCHEMA_INT, train.batch_size, "8", 1, 65536, "rows per optimizer step, however they are split"),
    NUMBER("train.micro_batch_tokens", SCHEMA_AUTO_INT, train.micro_batch_tokens, "auto", 128, 16777216, "tokens that are computed at once"),
    CHOICE("train.schedule", train.schedule.kind, "linear", schedule_choices, "learning rate over the steps"),
    NUMBER("train.warmup_ratio", SCHEMA_FLOAT, train.schedule.warmup_ratio, "0.0", 0, 1, "share of the steps with a rising learning rate"),
    NUMBER("train.warmup_steps", SCHEMA_INT, train.schedule.warmup_steps, "0", 0, MOST, "the same as a number of steps"),
    NUMBER("train.num_cycles", SCHEMA_FLOAT, train.schedule.num_cycles, NULL, 0, 1e6, "cosine schedules: waves (0.5; with restarts 1)"),
    NUMBER("train.lr_end", SCHEMA_FLOAT, train.schedule.lr_end, "1e-7", 0, 1e6, "polynomial: last learning rate"),
    NUMBER("train.power", SCHEMA_FLOAT, train.schedule.power, "1.0", 0, 1e3, "polynomial: exponent"),
    NUMBER("train.timescale", SCHEMA_AUTO_INT, train.schedule.timescale, "auto", 1, MOST, "inverse_sqrt: auto is the warm-up steps, or 10000"),
    NUMBER("train.min_lr", SCHEMA_FLOAT, train.schedule.min_lr, NULL, 0, 1e6, "cosine_with_min_lr: last learning rate"),
    NUMBER("train.min_lr_rate", SCHEMA_FLOAT, train.schedule.min_lr_rate, NULL, 0, 1, "cosine_with_min_lr: the same as a share of lr"),
    NUMBER("train.num_stable_steps", SCHEMA_AUTO_INT, train.schedule.num_stable_steps, "auto", 0, MOST, "warmup_stable_decay: auto is what is left"),
    NUMBER("train.num_decay_steps", SCHEMA_INT, train.schedule.num_decay_steps, NULL, 1, MOST, "warmup_stable_decay: steps of falling"),
    NUMBER("train.min_lr_ratio", SCHEMA_FLOAT, train.schedule.min_lr_ratio, "0.0", 0, 1, "warmup_stable_decay: last share of lr"),
    CHOICE("train.warmup_type", train.schedule.warmup_type, "linear", curve_choices, "warmup_stable_decay: curve of rising"),
    CHOICE("train.decay_type", train.schedule.decay_type, "cosine", curve_choices, "warmup_stable_decay: curve of falling"),
    NUMBER("train.max_grad_norm", SCHEMA_FLOAT, train.max_grad_norm, "1.0", 0, 1e6, "gradients are clipped to this norm; 0: never"),
    CHOICE("train.gradient_checkpointing", train.gradient_checkpointing, "auto", auto_choices, "recompute activations to save memory"),
    MAP("train.early_stopping", "stop when the loss on data.valid no longer falls; null: never"),
    NUMBER("train.early_stopping.patience", SCHEMA_INT, early_stopping.patience, "3", 1, 1e6, "evaluations without a better one"),
    NUMBER("train.early_stopping.min_delta", SCHEMA_FLOAT, early_stopping.min_delta, "0.0", 0, 1e6, "by how much a better one must be better"),
    NUMBER("train.seed", SCHEMA_INT, train.seed, "42", 0, MOST, "of every random number"),

    MAP("eval", "measuring"),
    NUMBER("eval.every", SCHEMA_INT, eval.every, "50", 0, MOST, "steps between evaluations on data.valid; 0: only before and after"),
    NUMBER("eval.rows", SCHEMA_INT, eval.rows, "200", 0, MOST, "at most so many rows; 0: all"),
    NUMBER("eval.max_new_tokens", SCHEMA_INT, eval.max_new_tokens, "96", 1, 262144, "length of generated answers"),
    {"eval.metrics", SCHEMA_CHOICES, AT(eval.metrics), "[loss, perplexity, exact_match]", false, 0, 0, settings_metric_names, "what is measured"},

    MAP("checkpoint", "what a killed run goes on from"),
    NUMBER("checkpoint.every", SCHEMA_INT, checkpoint.every, "50", 0, MOST, "steps; 0: only at the end"),
    NUMBER("checkpoint.keep", SCHEMA_INT, checkpoint.keep, "2", 1, 1e6, "newest ones that stay"),

    MAP("backend", "where; a name alone stands for {name: ...}"),
    KEY("backend.name", SCHEMA_METHOD, backend.name, "auto", "name of a backend plugin; auto: the best that passes its self-test"),
    NUMBER("backend.device", SCHEMA_INT, backend.device, "0", 0, 1023, "number of the device"),
    NUMBER("backend.threads", SCHEMA_INT, backend.threads, "0", 0, 4096, "of the host's pool; 0: one per processor"),

    KEY("output", SCHEMA_OUTPUT, output, NULL, "folder of the run"),
};

#undef AT
#define AT(member) offsetof(struct settings_adapter, member)
static const struct schema_key adapter_keys[] = {
    NEEDED("method", SCHEMA_METHOD, method, "name or file of an adapter plugin; the other keys are the method's own"),
    KEY("target_modules", SCHEMA_TARGETS, target_modules, NULL, "names, or a regular expression, or all-linear; null: the family's default"),
    KEY("exclude_modules", SCHEMA_TARGETS, exclude_modules, NULL, "names, or a regular expression, that are left out"),
    NUMBER("layers_to_transform", SCHEMA_NUMBERS, layers_to_transform, NULL, 0, 1e6, "numbers of the layers; null: all"),
    KEY("layers_pattern", SCHEMA_NAMES, layers_pattern, NULL, "name of the list of layers, for layers_to_transform"),
    KEY("init_from", SCHEMA_ENTRY, init_from, NULL, "folder of an adapter to start from"),
    CHOICE("bias", bias, "none", bias_choices, "which of the model's own biases are trained: all, or those of the layers that the method acts on"),
    KEY("modules_to_save", SCHEMA_NAMES, modules_to_save, NULL, "ends of the names of linear layers, norms and the embedding that are trained whole"),
};

#undef AT
#define AT(member) offsetof(struct settings_group, member)
static const struct schema_key group_keys[] = {
    NEEDED("match", SCHEMA_TEXT, match, "a regular expression that is found in the parameter's key"),
    NUMBER("lr_scale", SCHEMA_FLOAT, lr_scale, "1.0", 0, 1e6, "learning rate, as a factor on optimizer.lr"),
    NUMBER("weight_decay", SCHEMA_FLOAT, weight_decay, NULL, 0, 1e6, "instead of optimizer.weight_decay"),
};

#undef AT
#define AT(member) offsetof(struct settings_compare, member)
static const struct schema_key compare_keys[] = {
    {"methods", SCHEMA_METHODS, 0, NULL, true, 0, 0, NULL, "what is compared: fragments over the common part of the recipe"},
    NUMBER("seeds", SCHEMA_NUMBERS, seeds, "[1, 2, 3]", 0, MOST, "every method is trained once with each; the first one chooses the rates"),
    CHOICE("select_on", select_on, "valid", select_choices, "the rows that choose the learning rate; the figures are of data.test"),
    KEY("halving", SCHEMA_BOOL, halving, "true", "a sweep stops the worse half of its rates early; false: every rate to the end"),
    KEY("allow_test_in_train", SCHEMA_BOOL, allow_test_in_train, "false", "go on where test rows stand in data.train, and count them"),
};

#undef AT
#define AT(member) offsetof(struct settings_method, member)
static const struct schema_key method_keys[] = {
    NEEDED("name", SCHEMA_TEXT, name, "of the method in tables and folders: letters, digits, . _ -"),
    MAP("adapter", "instead of the common adapter"),
    MAP("optimizer", "with a method: instead of the common optimizer, else keys over it"),
    MAP("train", "keys over the common ones: schedule and clipping, never rows or steps"),
    {"lr", SCHEMA_RATES, AT(rates), NULL, false, 0, 1e6, NULL, "optimizer.lr: one rate, or several that data.valid chooses from"},
};
/* clang-format on */

const struct schema schema_core = {core_keys, sizeof core_keys / sizeof core_keys[0]};
const struct schema schema_adapter = {adapter_keys, sizeof adapter_keys / sizeof adapter_keys[0]};
const struct schema schema_group = {group_keys, sizeof group_keys / sizeof group_keys[0]};
const struct schema schema_compare = {compare_keys, sizeof compare_keys / sizeof compare_keys[0]};
const struct schema schema_method = {method_keys, sizeof method_keys / sizeof method_keys[0]};

const struct schema_key *schema_find(const struct schema *schema, const char *path, size_t length)
{
    for (size_t i = 0; i < schema->count; i++)
        if (strncmp(schema->keys[i].path, path, length) == 0 &&
            schema->keys[i].path[length] == '\0')
            return &schema->keys[i];
    return NULL;
}

bool schema_below(const struct schema_key *key, const char *prefix, const char **name)
{
    size_t length = strlen(prefix);
    const char *rest = key->path + length;
    if (strncmp(key->path, prefix, length) != 0) return false;
    if (length != 0 && *rest++ != '.') return false;
    if (strchr(rest, '.') != NULL) return false;
    *name = rest;
    return true;
}

char *schema_allowed(const struct schema_key *key, char *out)
{
    static const char *const words[] = {"a mapping",
                                        "true or false",
                                        "an integer",
                                        "auto or an integer",
                                        "a number",
                                        "one of",
                                        "a list of",
                                        "text",
                                        "a path",
                                        "a path or a list of one or more paths",
                                        "a path",
                                        "a path",
                                        "the name or file of a plugin",
                                        "text or a list of texts",
                                        "text or a list of texts",
                                        "an integer or a list of integers",
                                        "a number or a list of numbers",
                                        "a list of mappings with a match",
                                        "a list of mappings with a name"};
    char low[32], high[32];
    size_t at = (size_t)snprintf(out, 256, "%s", words[key->type]);
    if (key->choices != NULL) {
        for (size_t i = 0; key->choices[i] != NULL && at < 256; i++)
            at += (size_t)snprintf(out + at, 256 - at, "%s %s", i != 0 ? "," : "", key->choices[i]);
    } else if (key->min < 0 || key->max > 0) {
        snprintf(out + at, 256 - at, " from %s to %s", format_plain(key->min, low),
                 format_plain(key->max, high));
    }
    return out;
}

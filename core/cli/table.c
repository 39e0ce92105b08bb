/* SPDX-License-Identifier: Apache-2.0
 *
 * Every command and option of the program. Adding a command: its file, its row here.
 */
#include "cli/cli.h"

const struct cli_option cli_global_options[] = {
    {"help", NULL, false, "say what a command does and takes"},
    {"version", NULL, false, "version, ABI and commit"},
    {NULL, NULL, false, NULL},
};

#define SET_OPTION                                                                                 \
    {                                                                                              \
        "set", "KEY.PATH=VALUE", true,                                                             \
            "replace a value of the recipe; in order, the last one wins; numbers index lists"      \
    }
#define JSON_OPTION                                                                                \
    {                                                                                              \
        "json", NULL, false, "print the result as JSON"                                            \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, NULL, false, NULL                                                                    \
    }

#define MODEL_OPTION                                                                               \
    {                                                                                              \
        "model", "MODEL", false, "the model of a PEFT folder, or of a run whose model has moved"   \
    }
#define BACKEND_OPTION                                                                             \
    {                                                                                              \
        "backend", "NAME", false, "compute there instead of where the run did"                     \
    }
#define ANSWER_OPTIONS                                                                             \
    {"max-new-tokens", "N", false, "longest answer, in tokens (256)"},                             \
        {"temperature", "T", false, "0: the most likely token (default); else sample"},            \
        {"top-p", "P", false, "sample from the likeliest tokens of this share (1)"},               \
    {                                                                                              \
        "seed", "N", false, "seed of the samples (0)"                                              \
    }

static const struct cli_option recipe_options[] = {SET_OPTION, END};
static const struct cli_option result_options[] = {JSON_OPTION, END};
static const struct cli_option plan_options[] = {SET_OPTION, JSON_OPTION, END};
static const struct cli_option bench_options[] = {
    SET_OPTION,
    {"passes", "N", false, "time each op N times and take the fastest (3)"},
    JSON_OPTION,
    END};
static const struct cli_option train_options[] = {
    SET_OPTION,
    {"resume", NULL, false, "go on from the newest whole checkpoint of the output folder"},
    {"overwrite", NULL, false, "remove the run that the output folder holds"},
    END};
static const struct cli_option compare_options[] = {
    SET_OPTION,
    {"resume", NULL, false, "go on where it stopped; what failed is tried again"},
    {"overwrite", NULL, false, "remove the comparison that the output folder holds"},
    END};
static const struct cli_option eval_options[] = {
    {"data", "FILE", false, "rows to measure instead of the run's own"},
    {"split", "NAME", false, "train, valid or test of the run"},
    {"rows", "N", false, "measure the first N rows (0: all)"},
    {"max-new-tokens", "N", false, "longest answer, in tokens"},
    {"metrics", "NAMES", false, "what is measured, as eval.metrics: loss,rouge_l,bleu"},
    MODEL_OPTION,
    BACKEND_OPTION,
    JSON_OPTION,
    END};
static const struct cli_option generate_options[] = {
    {"prompt", "TEXT", false, "what to answer"},
    {"raw", NULL, false, "go on with the text as it is, without the chat template"},
    ANSWER_OPTIONS,
    MODEL_OPTION,
    BACKEND_OPTION,
    JSON_OPTION,
    END};
static const struct cli_option chat_options[] = {ANSWER_OPTIONS, MODEL_OPTION, BACKEND_OPTION, END};
static const struct cli_option merge_options[] = {
    {"output", "DIR", false, "the new folder (needed)"},
    {"dtype", "TYPE", false,
     "bf16, f16 or f32 of the merged layers (the model's own; GGUF: f16; quantized: bf16)"},
    MODEL_OPTION,
    END};
static const struct cli_option show_options[] = {
    SET_OPTION,
    {"row", "N", false, "first row to show, from 1"},
    {"rows", "N", false, "how many (3)"},
    {"model", "MODEL", false, "whose tokenizer and template a data file is shown by"},
    {"template", "NAME", false, "another chat template"},
    END};
static const struct cli_option check_options[] = {
    SET_OPTION,
    {"model", "MODEL", false, "whose tokenizer and template count the tokens of a data file"},
    {"template", "NAME", false, "another chat template"},
    JSON_OPTION,
    END};
static const struct cli_option clean_options[] = {
    {"output", "FILE", false, "the cleaned rows, as JSONL (needed)"},
    {"dropped", "FILE", false, "list every record dropped or repaired there, with its reason"},
    {"near-duplicates", NULL, false,
     "also drop rows that repeat another but for letter case and punctuation at the ends"},
    {"longest", "N", false, "drop rows with a text of more characters (2000; 0: any)"},
    {"keep", "RULE", true, "leave what this rule finds as it is; docs/data.md has the rules"},
    {"overwrite", NULL, false, "replace the files that are there"},
    JSON_OPTION,
    END};
static const struct cli_option test_options[] = {{"device", "N", false, "which of its devices (0)"},
                                                 {"seed", "N", false, "of the random inputs (1)"},
                                                 END};

static const struct cli_option plugin_test_options[] = {
    JSON_OPTION,
    {"check", "NAME", false, "one check alone, in this process"},
    {"limit", "SECONDS", false, "a check that takes longer hangs (each has its own limit)"},
    END};

const struct cli_command cli_commands[] = {
    {"train", "RECIPE", 1, 1, "train as the recipe says", train_options, command_train, false},
    {"compare", "RECIPE", 1, 1, "train several methods on the same rows and report which is best",
     compare_options, command_compare, false},
    {"plan", "RECIPE", 1, 1, "memory per class and size of the run, before anything runs",
     plan_options, command_plan, false},
    {"bench", "RECIPE", 1, 1,
     "time each op of a step and of decoding beside the machine's limit; trains nothing",
     bench_options, command_bench, false},
    {"explain", "RECIPE", 1, 1,
     "print the effective recipe: every default, and where each value came from", recipe_options,
     command_explain, false},
    {"data show", "RECIPE|FILE", 1, 1,
     "print the exact tokens of rows: trained, masked and special ones told apart", show_options,
     command_data_show, false},
    {"data check", "RECIPE|FILE", 1, 1,
     "look for what is wrong with rows: bad, empty, repeated, leaked, cut or too long",
     check_options, command_data_check, false},
    {"data clean", "FILE", 1, 1,
     "write what can be trained on of a raw export, and list what was dropped or repaired",
     clean_options, command_data_clean, false},
    {"eval", "RUN|MODEL", 1, 1, "loss, exact match and other metrics on a file of rows",
     eval_options, command_eval, false},
    {"generate", "RUN|MODEL", 1, 1, "answer one prompt", generate_options, command_generate, false},
    {"chat", "RUN|MODEL", 1, 1, "talk with it, line by line", chat_options, command_chat, false},
    {"merge", "RUN|PEFT", 1, 1, "write the model with its adapters as a model of its own",
     merge_options, command_merge, false},
    {"backend list", "", 0, 0, "list the devices of every backend that is found", result_options,
     command_backend_list, false},
    {"backend test", "NAME", 1, 1,
     "compare every op of a backend, forward and backward, with the reference", test_options,
     command_backend_test, false},
    {"plugin list", "", 0, 0, "list the plugins that are found, and why others are refused",
     result_options, command_plugin_list, false},
    {"plugin show", "NAME", 1, 1,
     "show a plugin and its keys (adapter NAME, else optimizer, else backend; or KIND-NAME, or a "
     "file)",
     result_options, command_plugin_show, false},
    {"plugin test", "FILE", 1, 1,
     "check a plugin: its table, its gradients, its files, what it does without memory",
     plugin_test_options, command_plugin_test, false},
    {"schema", "", 0, 0, "print a JSON Schema of recipes, for editors", NULL, command_schema,
     false},
    {"completion", "bash", 1, 1, "print what bash needs to complete commands and options", NULL,
     command_completion, false},
    {"man", "", 0, 0, "print the man page", NULL, command_man, true},
    {NULL, NULL, 0, 0, NULL, NULL, NULL, false},
};

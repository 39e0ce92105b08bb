/* SPDX-License-Identifier: Apache-2.0
 *
 * Recipes for tests: written to a folder of the program's own (FOLDER, defined before this),
 * loaded, or refused with an expected text.
 */
#ifndef TESTS_UNIT_TEST_RECIPE_H
#define TESTS_UNIT_TEST_RECIPE_H

#include "base/memory.h"
#include "recipe/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GOOD GRAFT_BUILD_DIR "/tests/abi/good"

static inline void write_file(const char *name, const char *text, size_t length)
{
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* The tests work in a folder of their own, so that places read "r.yaml:3:6". */
static inline int set_up(void **state)
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

#define NO_ADAPTER                                                                                 \
    "model: m.gguf\ndata: {train: data/train.jsonl}\noptimizer: {method: plain, lr: 1}\n"

static inline enum graft_status load_sets(const char *yaml, size_t length, const char *const *sets,
                                          size_t set_count, struct settings **s, struct error *e)
{
    write_file("r.yaml", yaml, length);
    return settings_load("r.yaml", sets, set_count, s, e);
}

static inline struct settings *load(const char *yaml)
{
    struct error e = {0};
    struct settings *s = NULL;
    assert_ok(load_sets(yaml, strlen(yaml), NULL, 0, &s, &e), &e);
    return s;
}

static inline struct settings *load_set(const char *yaml, const char *set)
{
    struct error e = {0};
    struct settings *s = NULL;
    assert_ok(load_sets(yaml, strlen(yaml), &set, 1, &s, &e), &e);
    return s;
}

static inline void refused_bytes(const char *yaml, size_t length, const char *const *sets,
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

static inline void refused(const char *yaml, const char *expected)
{
    refused_bytes(yaml, strlen(yaml), NULL, 0, expected);
}

static inline void refused_set(const char *set, const char *expected)
{
    refused_bytes(HEAD, strlen(HEAD), &set, 1, expected);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokenizers for tests: files in a temporary folder, loaded, refused, or encoding to expected ids.
 */
#ifndef TESTS_UNIT_TEST_TEXT_H
#define TESTS_UNIT_TEST_TEXT_H

#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLANK "\xC4\xA0"    /* GPT-2's byte 0x20 */
#define MARK "\xE2\x96\x81" /* SentencePiece's blank */
#define TOKENIZERS GRAFT_TEST_DIR "/golden/data/tokenizers/"

static char folder[64];

static inline int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/graft-text-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static inline int remove_folder(void **state)
{
    static const char *const names[] = {
        "tokenizer.json",      "tokenizer_config.json",  "special_tokens_map.json",
        "chat_template.jinja", "generation_config.json", "config.json",
        "model.gguf"};
    char path[128];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static inline const char *write_file(const char *name, const void *bytes, size_t length)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    return path;
}

static inline void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

static inline struct tokenizer *load(const char *path)
{
    struct error e = {0};
    struct tokenizer *t = NULL;
    assert_ok(tokenizer_from_folder(path, &t, &e), &e);
    return t;
}

static inline void refused(const char *part)
{
    struct error e = {0};
    struct tokenizer *t = NULL;
    assert_int_equal(tokenizer_from_folder(folder, &t, &e), GRAFT_E_INVALID);
    assert_null(t);
    if (strstr(e.text, part) == NULL) fail_msg("\"%s\" does not say \"%s\"", e.text, part);
    assert_null(strchr(e.text, '\n'));
}

static inline void encodes_to(const struct tokenizer *t, const char *text, const int32_t *ids,
                              size_t count)
{
    struct error e = {0};
    struct token_list list = {0};
    assert_ok(tokenizer_encode(t, text, strlen(text), false, &list, &e), &e);
    if (list.count != count || memcmp(list.ids, ids, count * sizeof *ids) != 0) {
        for (size_t i = 0; i < list.count; i++) print_error("%d ", list.ids[i]);
        fail_msg("other ids for \"%s\"", text);
    }
    token_list_free(&list);
}

#define ENCODES_TO(t, text, ...)                                                                   \
    encodes_to(t, text, (const int32_t[]){__VA_ARGS__},                                            \
               sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Characters: their class, and the walk over a text.
 */
#include "eval/parts.h"

#include <string.h>
#include <utf8proc.h>

static utf8proc_category_t category(uint32_t code)
{
    return utf8proc_category((utf8proc_int32_t)code);
}

bool is_mark(uint32_t code)
{
    utf8proc_category_t c = category(code);
    return c >= UTF8PROC_CATEGORY_MN && c <= UTF8PROC_CATEGORY_ME;
}

bool is_digit(uint32_t code)
{
    utf8proc_category_t c = category(code);
    return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
}

bool is_space(uint32_t code)
{
    if (code < 0x80) return (code >= 9 && code <= 13) || (code >= 28 && code <= 32);
    utf8proc_category_t c = category(code);
    return code == 0x85 || (c >= UTF8PROC_CATEGORY_ZS && c <= UTF8PROC_CATEGORY_ZP);
}

uint32_t lower(uint32_t code)
{
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
}

enum script script_most(const char *text)
{
    size_t letters[SCRIPTS] = {0};
    enum script most = SCRIPT_NONE;
    for (uint32_t code; (code = next_code(&text)) != 0;) letters[script_of(code)]++;
    letters[SCRIPT_NONE] = 0;
    if (letters[SCRIPT_KANA] != 0) {
        letters[SCRIPT_KANA] += letters[SCRIPT_HAN];
        letters[SCRIPT_HAN] = 0;
    }
    for (enum script i = 0; i < SCRIPTS; i++)
        if (letters[i] > letters[most]) most = i;
    return most;
}

uint32_t next_code(const char **text)
{
    if (**text == '\0') return 0;
    size_t length = utf8_length(*text, strnlen(*text, 4));
    uint32_t code = length != 0 ? utf8_decode(*text, length) : 0xFFFD;
    *text += length != 0 ? length : 1;
    return code;
}

size_t text_characters(const char *text)
{
    size_t count = 0;
    while (next_code(&text) != 0) count++;
    return count;
}

const char *text_trim(const char *text, size_t *length)
{
    const char *begin = NULL, *end = NULL;
    for (const char *at = text;;) {
        const char *here = at;
        uint32_t code = next_code(&at);
        if (code == 0) break;
        if (is_space(code)) continue;
        if (begin == NULL) begin = here;
        end = at;
    }
    *length = begin != NULL ? (size_t)(end - begin) : 0;
    return begin != NULL ? begin : text;
}

bool text_codes(const char *text, bool spaces, uint32_t **codes, size_t *count)
{
    uint32_t *made = mem_zalloc(strlen(text), sizeof *made);
    size_t n = 0;
    if (made == NULL) return false;
    for (uint32_t code; (code = next_code(&text)) != 0;)
        if (spaces || !is_space(code)) made[n++] = code;
    *codes = made;
    *count = n;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Scripts by their letters, mojibake by its byte patterns, ends by their last character.
 */
#include "audit/language.h"

#include "audit/encoding.h"

#include <string.h>

enum { LEAST_LETTERS = 4, SENTENCE_CHARACTERS = 40 };

enum script text_script(const char *text, size_t length)
{
    size_t letters[SCRIPTS] = {0}, all = 0;
    enum script most = SCRIPT_NONE;
    for (size_t i = 0, n; i < length; i += n) {
        n = utf8_length(text + i, length - i);
        uint32_t c = utf8_decode(text + i, n);
        if (!code_is_letter(c)) continue;
        letters[script_of(c)]++;
        all++;
    }
    /* a Chinese character says as much as several letters */
    if (all < LEAST_LETTERS && letters[SCRIPT_HAN] < 2) return SCRIPT_NONE;
    letters[SCRIPT_HAN] *= 3;
    letters[SCRIPT_NONE] = 0;
    for (enum script s = SCRIPT_LATIN; s < SCRIPTS; s++)
        if (letters[s] > letters[most]) most = s;
    bool japanese = letters[SCRIPT_KANA] * 10 >= letters[SCRIPT_HAN] && letters[SCRIPT_KANA] != 0;
    return most == SCRIPT_HAN && japanese ? SCRIPT_KANA : most;
}

/* The byte that the character was decoded from, by Latin-1 or Windows-1252; -1: none. */
static int byte_of(uint32_t c)
{
    if (c < 0x100) return (int)c;
    for (int byte = 0x80; byte < 0xA0; byte++)
        if (windows_1252((unsigned char)byte) == c) return byte;
    return -1;
}

/* Do the characters at p have the bytes of one UTF-8 sequence? Of two bytes only those that begin
 * with C2 and C3: É» and the like stand in real texts. */
static bool is_sequence(const char *p, const char *end)
{
    size_t n = utf8_length(p, (size_t)(end - p)), need;
    int first = byte_of(utf8_decode(p, n));
    const char *at = p + n;
    if (first == 0xC2 || first == 0xC3)
        need = 1;
    else if (first >= 0xE0 && first < 0xF5)
        need = first < 0xF0 ? 2 : 3;
    else
        return false;
    for (size_t i = 0; i < need; i++) {
        if (at >= end) return false;
        n = utf8_length(at, (size_t)(end - at));
        int next = byte_of(utf8_decode(at, n));
        if (next < 0x80 || next >= 0xC0) return false;
        at += n;
    }
    return true;
}

bool text_is_mojibake(const char *text, size_t length)
{
    const char *end = text + length;
    for (const char *p = text; p < end; p++) /* C3 begins every one of U+00C0 to U+00FF */
        if ((unsigned char)*p == 0xC3 && is_sequence(p, end)) return true;
    return false;
}

static uint32_t last_of(const char *text, size_t length)
{
    size_t n = 1;
    while (n < length && ((unsigned char)text[length - n] & 0xC0) == 0x80) n++;
    return utf8_decode(text + length - n, n);
}

static bool has_open_fence(const char *text, size_t length)
{
    size_t fences = 0;
    for (size_t i = 0; i + 3 <= length; i++)
        if (memcmp(text + i, "```", 3) == 0) {
            fences++;
            i += 2;
        }
    return fences % 2 != 0;
}

enum text_end text_end(const char *text, size_t length)
{
    while (length != 0 && (unsigned char)text[length - 1] <= ' ') length--;
    size_t characters = 0;
    for (size_t i = 0; i < length; i++) characters += ((unsigned char)text[i] & 0xC0) != 0x80;
    if (length == 0) return END_SHORT;
    if (has_open_fence(text, length)) return END_OPEN;
    uint32_t last = last_of(text, length);
    bool cjk = script_of(last) == SCRIPT_HAN || script_of(last) == SCRIPT_KANA;
    if (characters < (cjk ? SENTENCE_CHARACTERS / 2 : SENTENCE_CHARACTERS)) return END_SHORT;
    if (code_is_letter(last) || last == ',' || last == '(' || last == '[' || last == '-' ||
        last == 0xFF0C || last == 0x3001)
        return END_OPEN;
    static const uint32_t marks[] = {'.', '!', '?', 0x2026, 0x3002, 0xFF01, 0xFF1F, 0x0964, 0x061F};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (last == marks[i]) return END_SENTENCE;
    return END_OTHER;
}

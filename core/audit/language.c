/* SPDX-License-Identifier: Apache-2.0
 *
 * Scripts by Unicode blocks, mojibake by its byte patterns, ends by their last character.
 */
#include "audit/language.h"

#include "audit/encoding.h"

#include <string.h>
#include <utf8proc.h>

enum { LEAST_LETTERS = 4, SENTENCE_CHARACTERS = 40 };

const char *script_name(enum script script)
{
    static const char *const names[SCRIPTS] = {
        "none",  "Latin",  "Chinese", "Japanese", "Korean", "Cyrillic",
        "Greek", "Arabic", "Hebrew",  "Indic",    "Thai",   "other",
    };
    return names[script];
}

static bool is_letter(uint32_t c)
{
    if (c < 0x80) return (c | 32) >= 'a' && (c | 32) <= 'z';
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

static enum script script_of(uint32_t c)
{
    static const struct {
        uint32_t first, last;
        enum script script;
    } blocks[] = {
        {0x0000, 0x024F, SCRIPT_LATIN},    {0x0370, 0x03FF, SCRIPT_GREEK},
        {0x0400, 0x052F, SCRIPT_CYRILLIC}, {0x0590, 0x05FF, SCRIPT_HEBREW},
        {0x0600, 0x08FF, SCRIPT_ARABIC},   {0x0900, 0x0DFF, SCRIPT_INDIC},
        {0x0E00, 0x0E7F, SCRIPT_THAI},     {0x1100, 0x11FF, SCRIPT_HANGUL},
        {0x1E00, 0x1EFF, SCRIPT_LATIN},    {0x1F00, 0x1FFF, SCRIPT_GREEK},
        {0x3005, 0x3007, SCRIPT_HAN},      {0x3040, 0x30FF, SCRIPT_KANA},
        {0x3130, 0x318F, SCRIPT_HANGUL},   {0x3400, 0x9FFF, SCRIPT_HAN},
        {0xAC00, 0xD7AF, SCRIPT_HANGUL},   {0xF900, 0xFAFF, SCRIPT_HAN},
        {0xFB50, 0xFDFF, SCRIPT_ARABIC},   {0x20000, 0x3FFFF, SCRIPT_HAN},
    };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (c >= blocks[i].first && c <= blocks[i].last) return blocks[i].script;
    return SCRIPT_OTHER;
}

enum script text_script(const char *text, size_t length)
{
    size_t letters[SCRIPTS] = {0}, all = 0;
    enum script most = SCRIPT_NONE;
    for (size_t i = 0, n; i < length; i += n) {
        n = utf8_length(text + i, length - i);
        uint32_t c = utf8_decode(text + i, n);
        if (!is_letter(c)) continue;
        letters[script_of(c)]++;
        all++;
    }
    /* a Chinese character says as much as several letters */
    if (all < LEAST_LETTERS && letters[SCRIPT_HAN] < 2) return SCRIPT_NONE;
    letters[SCRIPT_HAN] *= 3;
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
    if (is_letter(last) || last == ',' || last == '(' || last == '[' || last == '-' ||
        last == 0xFF0C || last == 0x3001)
        return END_OPEN;
    static const uint32_t marks[] = {'.', '!', '?', 0x2026, 0x3002, 0xFF01, 0xFF1F, 0x0964, 0x061F};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (last == marks[i]) return END_SENTENCE;
    return END_OTHER;
}

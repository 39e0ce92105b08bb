/* SPDX-License-Identifier: Apache-2.0
 *
 * Text in a page: escaped, and with its differences from the expected answer marked.
 */
#include "report/parts.h"

#include "base/memory.h"

#include <string.h>

void add_escaped_bytes(struct str *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        switch (c) {
        case '&': str_puts(out, "&amp;"); break;
        case '<': str_puts(out, "&lt;"); break;
        case '>': str_puts(out, "&gt;"); break;
        case '"': str_puts(out, "&quot;"); break;
        case '\'': str_puts(out, "&#39;"); break;
        case '\n':
        case '\t': str_putc(out, (char)c); break;
        default:
            if (c >= 0x20 && c != 0x7F) str_putc(out, (char)c);
        }
    }
}

void add_escaped(struct str *out, const char *text)
{
    if (text != NULL) add_escaped_bytes(out, text, strlen(text));
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void trim(const char **text, size_t *length)
{
    while (*length != 0 && is_space((*text)[*length - 1])) --*length;
    while (*length != 0 && is_space(**text)) {
        ++*text;
        --*length;
    }
}

bool same_answer(const char *a, const char *b)
{
    if (a == NULL || b == NULL) return false;
    size_t n = strlen(a), m = strlen(b);
    trim(&a, &n);
    trim(&b, &m);
    return n == m && memcmp(a, b, n) == 0;
}

/* Past this many words marking costs more than it shows. */
enum { MOST_WORDS = 1500 };

struct word {
    const char *text;
    size_t length;
};

/* A run without blanks; a character that is not Latin script is a word of its own, as Chinese has
 * no blanks. */
static size_t word_length(const char *p, const char *end)
{
    size_t n = 0;
    while (p + n < end && !is_space(p[n])) {
        size_t step = utf8_length(p + n, (size_t)(end - p) - n);
        if (step >= 3) return n == 0 ? step : n;
        n += step == 0 ? 1 : step;
    }
    return n;
}

static size_t split_words(const char *text, struct word *words)
{
    const char *p = text, *end = text + strlen(text);
    size_t count = 0;
    while (count < MOST_WORDS) {
        while (p < end && is_space(*p)) p++;
        if (p == end) break;
        size_t n = word_length(p, end);
        words[count++] = (struct word){p, n};
        p += n;
    }
    return count;
}

static bool same_word(struct word a, struct word b)
{
    return a.length == b.length && memcmp(a.text, b.text, a.length) == 0;
}

/* common[i * (m + 1) + j]: length of the longest common subsequence of a[i..] and b[j..]. */
static void fill_common(const struct word *a, size_t n, const struct word *b, size_t m,
                        uint16_t *common)
{
    size_t width = m + 1;
    for (size_t i = n; i-- > 0;)
        for (size_t j = m; j-- > 0;) {
            uint16_t down = common[(i + 1) * width + j], right = common[i * width + j + 1];
            common[i * width + j] = same_word(a[i], b[j])
                                        ? (uint16_t)(common[(i + 1) * width + j + 1] + 1)
                                        : (down > right ? down : right);
        }
}

/* Writes the text; neighbouring words that are not in the common part share one mark. */
static void write_marked(struct str *out, const char *text, const struct word *a, size_t n,
                         const struct word *b, size_t m, const uint16_t *common)
{
    const char *at = text;
    bool open = false;
    for (size_t i = 0, j = 0; i < n; i++) {
        while (j < m && !same_word(a[i], b[j]) &&
               common[i * (m + 1) + j + 1] >= common[(i + 1) * (m + 1) + j])
            j++;
        bool common_word = j < m && same_word(a[i], b[j]);
        if (common_word) j++;
        if (open && common_word) str_puts(out, "</mark>");
        add_escaped_bytes(out, at, (size_t)(a[i].text - at));
        if (!open && !common_word) str_puts(out, "<mark>");
        open = !common_word;
        add_escaped_bytes(out, a[i].text, a[i].length);
        at = a[i].text + a[i].length;
    }
    if (open) str_puts(out, "</mark>");
    add_escaped(out, at);
}

void add_marked(struct str *out, const char *text, const char *expected)
{
    if (text == NULL) return;
    if (expected == NULL) {
        add_escaped(out, text);
        return;
    }
    struct word *words = mem_zalloc(2 * (size_t)MOST_WORDS, sizeof *words);
    size_t n = words == NULL ? 0 : split_words(text, words);
    size_t m = words == NULL ? 0 : split_words(expected, words + MOST_WORDS);
    uint16_t *common = words == NULL ? NULL : mem_zalloc((n + 1) * (m + 1), sizeof *common);
    if (common == NULL) {
        out->failed = true;
    } else {
        fill_common(words, n, words + MOST_WORDS, m, common);
        write_marked(out, text, words, n, words + MOST_WORDS, m, common);
    }
    mem_free(common);
    mem_free(words);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts cut into words as the reference of each metric cuts them.
 */
#include "eval/parts.h"

#include <stdlib.h>
#include <string.h>

static void add_code(struct str *out, uint32_t code)
{
    char bytes[4];
    str_add(out, bytes, utf8_encode(code, bytes));
}

/* One space between words, none at the ends. */
static void fold_spaces(struct str *out, const char *text)
{
    bool word = false;
    for (uint32_t code; (code = next_code(&text)) != 0;) {
        if (is_space(code)) {
            word = false;
            continue;
        }
        if (!word && out->length != 0) str_putc(out, ' ');
        word = true;
        add_code(out, code);
    }
}

/* Spaces around each letter, with its marks, of a script without spaces. */
static void spread_letters(struct str *out, const char *text)
{
    bool inside = false;
    for (uint32_t code; (code = next_code(&text)) != 0;) {
        if (inside && is_mark(code)) {
            add_code(out, code);
            continue;
        }
        if (inside) str_putc(out, ' ');
        inside = script_unspaced(script_of(code));
        if (inside) str_putc(out, ' ');
        add_code(out, code);
    }
}

static bool ascii_punctuation(uint32_t code)
{
    return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') ||
           (code >= '[' && code <= '`') || (code >= '{' && code <= '~');
}

static bool is_article(const char *word, size_t length)
{
    return (length == 1 && *word == 'a') || (length == 2 && memcmp(word, "an", 2) == 0) ||
           (length == 3 && memcmp(word, "the", 3) == 0);
}

/* An article is a whole run of letters and digits; Python's \b does not count marks. */
static void drop_articles(struct str *out, const char *text)
{
    const char *run = text;
    for (const char *at = text;;) {
        const char *here = at;
        uint32_t code = next_code(&at);
        if (code != 0 && (code_is_letter(code) || is_digit(code))) continue;
        if (is_article(run, (size_t)(here - run)))
            str_putc(out, ' ');
        else
            str_add(out, run, (size_t)(here - run));
        if (code == 0) return;
        str_add(out, here, (size_t)(at - here));
        run = at;
    }
}

static const char *text_of(const struct str *s)
{
    return s->data != NULL ? s->data : "";
}

void words_squad(struct str *out, const char *text, bool apart)
{
    struct str spread = {0}, plain = {0}, words = {0};
    if (apart) {
        spread_letters(&spread, text);
        text = text_of(&spread);
    }
    for (uint32_t code; (code = next_code(&text)) != 0;)
        if (!ascii_punctuation(code)) add_code(&plain, lower(code));
    drop_articles(&words, text_of(&plain));
    fold_spaces(out, text_of(&words));
    out->failed |= spread.failed || plain.failed || words.failed;
    str_free(&spread);
    str_free(&plain);
    str_free(&words);
}

void words_rouge(struct str *out, const char *text)
{
    struct str spread = {0}, words = {0};
    spread_letters(&spread, text);
    text = text_of(&spread);
    for (uint32_t code; (code = next_code(&text)) != 0;) {
        bool part = code_is_letter(code) || is_mark(code) || is_digit(code);
        add_code(&words, part ? lower(code) : ' ');
    }
    fold_spaces(out, text_of(&words));
    out->failed |= spread.failed || words.failed;
    str_free(&spread);
    str_free(&words);
}

/* sacrebleu, tokenizers/tokenizer_zh.py. Its two ranges past U+FFFF are written as texts of two
 * characters, so that the first of them is in fact U+2001 to U+2A6D: kept, since scores must agree.
 */
static bool chinese_character(uint32_t code)
{
    static const uint32_t ranges[][2] = {
        {0x2001, 0x2A6D}, {0x2E80, 0x2EFF}, {0x2F00, 0x2FFF}, {0x3000, 0x303F},
        {0x3100, 0x312F}, {0x31A0, 0x31BF}, {0x31C0, 0x31EF}, {0x3200, 0x33FF},
        {0x3400, 0x4DB5}, {0x4E00, 0x9FBB}, {0xF900, 0xFA2D}, {0xFA30, 0xFA6A},
        {0xFA70, 0xFAD9}, {0xFE10, 0xFE1F}, {0xFE30, 0xFE4F}, {0xFF00, 0xFFEF}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (code >= ranges[i][0] && code <= ranges[i][1]) return true;
    return false;
}

static void spread_chinese(struct str *out, const char *text)
{
    size_t length;
    const char *at = text_trim(text, &length), *end = at + length;
    while (at < end) {
        uint32_t code = next_code(&at);
        bool alone = chinese_character(code);
        if (alone) str_putc(out, ' ');
        add_code(out, code);
        if (alone) str_putc(out, ' ');
    }
}

static void replace(struct str *text, const char *from, const char *to)
{
    struct str out = {0};
    const char *at = text_of(text);
    for (const char *hit; (hit = strstr(at, from)) != NULL; at = hit + strlen(from)) {
        str_add(&out, at, (size_t)(hit - at));
        str_puts(&out, to);
    }
    str_puts(&out, at);
    out.failed |= text->failed;
    str_free(text);
    *text = out;
}

/* mteval-v13a's texts of other kinds of files. */
static void unescape(struct str *out, const char *text)
{
    size_t length;
    const char *begin = text_trim(text, &length);
    str_putc(out, ' ');
    str_add(out, text, (size_t)(begin - text) + length);
    str_putc(out, ' ');
    replace(out, "<skipped>", "");
    replace(out, "-\n", "");
    replace(out, "\n", " ");
    replace(out, "&quot;", "\"");
    replace(out, "&amp;", "&");
    replace(out, "&lt;", "<");
    replace(out, "&gt;", ">");
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool point(char c)
{
    return c == '.' || c == ',';
}

static bool symbol(char c) /* [\{-\~\[-\` -\&\(-\+\:-\@\/] */
{
    return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') ||
           (c >= '(' && c <= '+') || (c >= ':' && c <= '@') || c == '/';
}

static bool before_point(char a, char b) /* ([^0-9])([\.,]) */
{
    return !digit(a) && point(b);
}

static bool after_point(char a, char b) /* ([\.,])([^0-9]) */
{
    return point(a) && !digit(b);
}

static bool before_dash(char a, char b) /* ([0-9])(-) */
{
    return digit(a) && b == '-';
}

/* One substitution of tokenizer_re.py over pairs of bytes, from left to right: a pair that matches
 * is used up. What is not ASCII is no digit and no point, so bytes do as characters do. */
static void split_pairs(struct str *text, bool (*match)(char, char), const char *first,
                        const char *between, const char *last)
{
    struct str out = {0};
    for (size_t i = 0; i < text->length; i++) {
        bool hit = i + 1 < text->length && match(text->data[i], text->data[i + 1]);
        if (hit) str_puts(&out, first);
        str_putc(&out, text->data[i]);
        if (!hit) continue;
        str_puts(&out, between);
        str_putc(&out, text->data[++i]);
        str_puts(&out, last);
    }
    out.failed |= text->failed;
    str_free(text);
    *text = out;
}

static void split_symbols(struct str *out, const struct str *text)
{
    for (size_t i = 0; i < text->length; i++) {
        bool alone = symbol(text->data[i]);
        if (alone) str_putc(out, ' ');
        str_putc(out, text->data[i]);
        if (alone) str_putc(out, ' ');
    }
}

void words_bleu(struct str *out, const char *text, bool chinese)
{
    struct str raw = {0}, words = {0};
    if (chinese)
        spread_chinese(&raw, text);
    else
        unescape(&raw, text);
    split_symbols(&words, &raw);
    split_pairs(&words, before_point, "", " ", " ");
    split_pairs(&words, after_point, " ", " ", "");
    split_pairs(&words, before_dash, "", " ", " ");
    fold_spaces(out, text_of(&words));
    out->failed |= raw.failed || words.failed;
    str_free(&raw);
    str_free(&words);
}

/* Words to numbers */

struct word {
    const char *at;
    size_t length;
    uint32_t *number;
};

static int word_compare(const void *a, const void *b)
{
    const struct word *x = a, *y = b;
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    return memcmp(x->at, y->at, x->length);
}

static size_t count_words(const struct str *text)
{
    size_t count = text->length != 0;
    for (size_t i = 0; i < text->length; i++) count += text->data[i] == ' ';
    return count;
}

static struct word *cut(const struct str *text, struct word *words, uint32_t *numbers)
{
    const char *at = text_of(text);
    while (*at != '\0') {
        size_t length = strcspn(at, " ");
        *words++ = (struct word){at, length, numbers++};
        at += length + (at[length] == ' ');
    }
    return words;
}

bool word_pair_make(const struct str *a, const struct str *b, struct word_pair *out)
{
    size_t a_count = count_words(a), b_count = count_words(b), all = a_count + b_count;
    struct word *words = mem_zalloc(all, sizeof *words);
    uint32_t *numbers = mem_zalloc(all, sizeof *numbers);
    bool good = words != NULL && numbers != NULL && !a->failed && !b->failed;
    if (good) {
        cut(b, cut(a, words, numbers), numbers + a_count);
        qsort(words, all, sizeof *words, word_compare);
        uint32_t number = 0;
        for (size_t i = 0; i < all; i++) {
            if (i == 0 || word_compare(&words[i - 1], &words[i]) != 0) number++;
            *words[i].number = number;
        }
        *out = (struct word_pair){numbers, numbers + a_count, a_count, b_count};
    } else {
        mem_free(numbers);
    }
    mem_free(words);
    return good;
}

void word_pair_free(struct word_pair *pair)
{
    mem_free(pair->a);
    *pair = (struct word_pair){0};
}

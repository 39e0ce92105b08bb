/* SPDX-License-Identifier: Apache-2.0
 *
 * Control characters, blanks and the form in which texts are compared.
 */
#include "audit/repair.h"

#include "audit/html.h"

#include <string.h>
#include <utf8proc.h>

/* Length of a blank at p: space, tab, CR, LF, no-break space; 0: none. */
static size_t blank_at(const char *p, const char *end)
{
    if (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n') return 1;
    return end - p >= 2 && memcmp(p, "\xC2\xA0", 2) == 0 ? 2 : 0;
}

static bool is_blank_code(uint32_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == 0xA0 || c == 0x85 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

/* ---- control characters ---- */

static bool is_control_code(uint32_t c)
{
    if (c < 0x20) return c != '\t' && c != '\n' && c != '\r';
    return (c >= 0x7F && c < 0xA0) || (c >= 0x200B && c <= 0x200D) || c == 0xFEFF;
}

/* Scripts whose letters joiners shape, and pictures that they put together. */
static bool takes_joiner(uint32_t c)
{
    return (c >= 0x0600 && c < 0x0870) || (c >= 0x08A0 && c < 0x0E00) ||
           (c >= 0x1000 && c < 0x10A0) || (c >= 0x1780 && c < 0x18B0) ||
           (c >= 0x2190 && c < 0x2C00) || c == 0xFE0F || (c >= 0xFB50 && c < 0xFE00) ||
           (c >= 0x1F000 && c < 0x1FB00);
}

/* Length of the control character at p; 0: none, or a joiner at work. */
static size_t control_at(const char *text, const char *p, const char *end)
{
    unsigned char first = (unsigned char)*p;
    if (first >= 0x20 && first != 0x7F && first != 0xC2 && first != 0xE2 && first != 0xEF) return 0;
    size_t n = utf8_length(p, (size_t)(end - p));
    uint32_t c = utf8_decode(p, n);
    if (!is_control_code(c)) return 0;
    if ((c == 0x200C || c == 0x200D) && p > text && p + n < end) {
        const char *before = p - 1, *after = p + n;
        while (before > text && ((unsigned char)*before & 0xC0) == 0x80) before--;
        if (takes_joiner(utf8_decode(before, (size_t)(p - before))) &&
            takes_joiner(utf8_decode(after, utf8_length(after, (size_t)(end - after)))))
            return 0;
    }
    return n;
}

static void strip_controls(const char *text, size_t length, struct str *out)
{
    const char *end = text + length, *from = text;
    for (const char *p = text; p < end;) {
        size_t n = control_at(text, p, end);
        if (n != 0) {
            str_add(out, from, (size_t)(p - from));
            from = p + n;
        }
        p += n != 0 ? n : 1;
    }
    str_add(out, from, (size_t)(end - from));
}

/* ---- blanks ---- */

/* What a run of blanks becomes: nothing around the text; line breaks where it holds some (at most
 * one empty line), with the indentation that follows the last; else one blank. */
static void add_blanks(const char *run, const char *end, struct str *out)
{
    size_t lines = 0;
    const char *indent = run;
    for (const char *p = run; p < end; p++)
        if (*p == '\n' || (*p == '\r' && (p + 1 == end || p[1] != '\n'))) {
            lines++;
            indent = p + 1;
        }
    if (lines == 0) {
        if (end - run == 2 && memcmp(run, "\xC2\xA0", 2) == 0)
            str_add(out, run, 2); /* a lone no-break space is meant */
        else
            str_putc(out, ' ');
        return;
    }
    str_puts(out, lines > 1 ? "\n\n" : "\n");
    str_add(out, indent, (size_t)(end - indent));
}

static void tidy_blanks(const char *text, size_t length, struct str *out)
{
    const char *end = text + length;
    for (const char *p = text; p < end;) {
        const char *run = p;
        size_t n;
        while (p < end && (n = blank_at(p, end)) != 0) p += n;
        if (run > text && p > run && p < end) add_blanks(run, p, out);
        run = p;
        while (p < end && blank_at(p, end) == 0) p++;
        str_add(out, run, (size_t)(p - run));
    }
}

/* Would tidy_blanks change this run? */
static bool is_untidy(const char *text, const char *run, const char *stop, const char *end)
{
    static const char *const tidy[] = {" ", "\n", "\n\n", "\t", "\xC2\xA0"};
    if (run == text || stop == end) return true;
    for (size_t i = 0; i < sizeof tidy / sizeof *tidy; i++)
        if ((size_t)(stop - run) == strlen(tidy[i]) && memcmp(run, tidy[i], strlen(tidy[i])) == 0)
            return false;
    /* one or two line breaks and the indentation of a line */
    if (*run != '\n') return true;
    run += run + 1 < stop && run[1] == '\n' ? 2 : 1;
    for (; run < stop; run++)
        if (*run == '\n' || *run == '\r') return true;
    return false;
}

/* ---- all of them ---- */

/* Bytes that a fault can begin with. */
static bool is_interesting(unsigned char c)
{
    return c <= ' ' || c == '<' || c == '&' || c == 0x7F || c == 0xC2 || c == 0xE2 || c == 0xEF;
}

unsigned text_faults(const char *text, size_t length)
{
    const char *end = text + length;
    unsigned faults = 0;
    bool markup = false;
    for (const char *p = text; p < end;) {
        const char *run = p;
        size_t n;
        if (!is_interesting((unsigned char)*p)) {
            p++;
            continue;
        }
        while (p < end && (n = blank_at(p, end)) != 0) p += n;
        if (p > run) {
            if (is_untidy(text, run, p, end)) faults |= RULE_BIT(RULE_WHITESPACE);
            continue;
        }
        markup = markup || *p == '<' || *p == '&';
        if ((n = control_at(text, p, end)) != 0) faults |= RULE_BIT(RULE_CONTROL_CHARS);
        if (end - p >= 3 && memcmp(p, "\xEF\xBF\xBD", 3) == 0)
            faults |= RULE_BIT(RULE_REPLACEMENT_CHAR);
        p += n != 0 ? n : 1;
    }
    if (markup && html_find(text, length)) faults |= RULE_BIT(RULE_HTML);
    return faults;
}

void text_repair(const char *text, size_t length, unsigned faults, struct str *scratch,
                 struct str *out)
{
    str_clear(out);
    str_add(out, text, length);
    static const struct {
        enum rule rule;
        void (*repair)(const char *, size_t, struct str *);
    } steps[] = {
        {RULE_HTML, html_strip},
        {RULE_CONTROL_CHARS, strip_controls},
        {RULE_WHITESPACE, tidy_blanks},
    };
    if (faults != 0) faults |= RULE_BIT(RULE_WHITESPACE);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if ((faults & RULE_BIT(steps[i].rule)) == 0) continue;
        str_clear(scratch);
        str_puts(scratch, "");
        if (!out->failed) steps[i].repair(out->data, out->length, scratch);
        struct str done = *scratch;
        *scratch = *out;
        *out = done;
    }
}

bool text_is_blank(const char *text, size_t length)
{
    for (size_t i = 0, n; i < length; i += n) {
        n = utf8_length(text + i, length - i);
        if (!is_blank_code(utf8_decode(text + i, n))) return false;
    }
    return true;
}

size_t text_count(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

/* ---- the form that is compared ---- */

static bool ends_sentence(uint32_t c)
{
    static const uint32_t marks[] = {'.',    '?',    '!',    ',',    ';',    ':',
                                     0x2026, 0x3001, 0x3002, 0xFF0C, 0xFF0E, 0xFF01,
                                     0xFF1F, 0xFF1A, 0xFF1B, 0xFF61};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (c == marks[i]) return true;
    return false;
}

/* Cuts blanks and sentence punctuation off both ends. */
static void cut_ends(const char **text, size_t *length)
{
    const char *p = *text, *end = p + *length;
    while (p < end) {
        size_t n = utf8_length(p, (size_t)(end - p));
        uint32_t c = utf8_decode(p, n);
        if (!is_blank_code(c) && !ends_sentence(c)) break;
        p += n;
    }
    while (end > p) {
        const char *last = end - 1;
        while (last > p && ((unsigned char)*last & 0xC0) == 0x80) last--;
        uint32_t c = utf8_decode(last, (size_t)(end - last));
        if (!is_blank_code(c) && !ends_sentence(c)) break;
        end = last;
    }
    *text = p;
    *length = (size_t)(end - p);
}

/* Bytes that a blank can begin with. */
static bool may_be_blank(unsigned char c)
{
    return c <= ' ' || c == 0xC2 || (c >= 0xE1 && c <= 0xE3);
}

void text_squeeze(const char *text, size_t length, struct str *out)
{
    const char *end = text + length;
    size_t before = out->length;
    bool blank = false;
    for (const char *p = text, *run; p < end; p++) {
        for (run = p; p < end && !may_be_blank((unsigned char)*p);) p++;
        size_t n = p < end ? utf8_length(p, (size_t)(end - p)) : 0;
        bool found = n != 0 && is_blank_code(utf8_decode(p, n));
        if (n != 0) p += n - 1;
        const char *stop = n == 0 ? end : found ? p + 1 - n : p + 1;
        if (stop > run) {
            if (blank && out->length != before) str_putc(out, ' ');
            str_add(out, run, (size_t)(stop - run));
            blank = false;
        }
        blank = blank || found;
    }
}

/* The scripts from U+2E80 to U+A63F have no case. */
static bool has_case(uint32_t c)
{
    return c < 0x2E80 || c > 0xA63F;
}

static void add_lower_ascii(const char *text, size_t length, struct str *out)
{
    size_t at = out->length;
    str_add(out, text, length);
    if (out->failed) return;
    for (char *p = out->data + at; p < out->data + out->length; p++)
        if (*p >= 'A' && *p <= 'Z') *p = (char)(*p + 32);
}

void text_loosen(const char *text, size_t length, struct str *out)
{
    cut_ends(&text, &length);
    for (size_t i = 0, n; i < length; i += n) {
        for (n = 0; i + n < length && (unsigned char)text[i + n] < 0x80;) n++;
        if (n != 0) {
            add_lower_ascii(text + i, n, out);
            continue;
        }
        n = utf8_length(text + i, length - i);
        uint32_t c = utf8_decode(text + i, n);
        char code[4];
        if (has_case(c)) c = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
        str_add(out, code, utf8_encode(c, code));
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Strings and numbers. The only place that turns text into numbers and back.
 */
#include "base/text.h"

#include "base/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool str_reserve(struct str *s, size_t extra)
{
    if (s->failed || extra >= SIZE_MAX - s->length - 1 ||
        !array_reserve(&s->data, &s->capacity, s->length + extra + 1, 1))
        s->failed = true;
    return !s->failed;
}

void str_add(struct str *s, const char *bytes, size_t length)
{
    if (!str_reserve(s, length)) return;
    if (length != 0) memcpy(s->data + s->length, bytes, length);
    s->length += length;
    s->data[s->length] = '\0';
}

void str_puts(struct str *s, const char *text)
{
    str_add(s, text, strlen(text));
}

void str_putc(struct str *s, char c)
{
    str_add(s, &c, 1);
}

void str_count(struct str *s, uint64_t count)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, count);
    for (int i = 0; i < length; i++) {
        if (i != 0 && (length - i) % 3 == 0) str_putc(s, ',');
        str_putc(s, digits[i]);
    }
}

void str_printf(struct str *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0 || !str_reserve(s, (size_t)length)) return;
    va_start(args, format);
    vsnprintf(s->data + s->length, (size_t)length + 1, format, args);
    va_end(args);
    s->length += (size_t)length;
}

void str_clear(struct str *s)
{
    s->length = 0;
    s->failed = false;
    if (s->data != NULL) s->data[0] = '\0';
}

void str_free(struct str *s)
{
    mem_free(s->data);
    *s = (struct str){0};
}

char *str_take(struct str *s)
{
    str_add(s, "", 0);
    char *data = s->failed ? NULL : s->data;
    if (data == NULL) mem_free(s->data);
    *s = (struct str){0};
    return data;
}

bool text_ends(const char *text, const char *end)
{
    size_t length = strlen(text), n = strlen(end);
    return length >= n && strcmp(text + length - n, end) == 0;
}

bool text_is_integer(const char *text)
{
    const char *digits = text + (*text == '-' || *text == '+');
    return *digits != '\0' && strspn(digits, "0123456789") == strlen(digits);
}

bool parse_int64(const char *text, int64_t *value)
{
    if (!text_is_integer(text)) return false;
    errno = 0;
    long long parsed = strtoll(text, NULL, 10);
    if (errno == ERANGE) return false;
    *value = parsed;
    return true;
}

/* [+-] digits [. digits] [e [+-] digits], with a digit somewhere before the exponent */
bool text_is_decimal(const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    size_t before = strspn(p, "0123456789");
    p += before;
    size_t after = 0;
    if (*p == '.') {
        after = strspn(p + 1, "0123456789");
        p += 1 + after;
    }
    if (before + after == 0) return false;
    if (*p == 'e' || *p == 'E') {
        p += 1 + (p[1] == '-' || p[1] == '+');
        size_t exponent = strspn(p, "0123456789");
        if (exponent == 0) return false;
        p += exponent;
    }
    return *p == '\0';
}

static locale_t c_locale(void)
{
    static locale_t locale; /* made once; equal whoever wins a race */
    if (locale == (locale_t)0) locale = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    return locale;
}

bool parse_double(const char *text, double *value)
{
    if (!text_is_decimal(text)) return false;
    locale_t before = uselocale(c_locale());
    double parsed = strtod(text, NULL);
    uselocale(before);
    if (!isfinite(parsed)) return false;
    *value = parsed;
    return true;
}

static char *format_number(double value, bool single, int most, char *out)
{
    if (!isfinite(value)) return memcpy(out, "null", 5);
    locale_t before = uselocale(c_locale());
    for (int digits = 1; digits <= most; digits++) {
        snprintf(out, 32, "%.*g", digits, value);
        double back = strtod(out, NULL);
        if (single ? (float)back == (float)value : back == value) break;
    }
    uselocale(before);
    return out;
}

char *format_f32(float value, char *out)
{
    return format_number((double)value, true, 9, out);
}

char *format_f64(double value, char *out)
{
    return format_number(value, false, 17, out);
}

char *format_plain(double value, char *out)
{
    if (fabs(value) >= 1e16 || value != floor(value)) return format_f64(value, out);
    snprintf(out, 32, "%.0f", value);
    return out;
}

char *format_bytes(uint64_t bytes, char *out)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double amount = (double)bytes;
    size_t unit = 0;
    while (amount >= 1024 && unit < 4) {
        amount /= 1024;
        unit++;
    }
    snprintf(out, 32, unit == 0 || amount >= 100 ? "%.0f %s" : "%.1f %s", amount, units[unit]);
    return out;
}

size_t utf8_length(const char *text, size_t left)
{
    const unsigned char *p = (const unsigned char *)text;
    if (left == 0) return 0;
    if (p[0] < 0x80) return 1;
    size_t n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || left < n) return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F)) return 0;
    if ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F)) return 0;
    return n;
}

size_t utf8_check(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        size_t n = utf8_length(text + at, length - at);
        if (n == 0) return at;
        at += n;
    }
    return length;
}

uint32_t utf8_decode(const char *text, size_t length)
{
    const unsigned char *p = (const unsigned char *)text;
    if (length == 1) return p[0];
    uint32_t code = p[0] & (0xFFu >> (length + 1));
    for (size_t i = 1; i < length; i++) code = code << 6 | (p[i] & 0x3Fu);
    return code;
}

size_t utf8_encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    out[0] = (char)(lead[n] | code);
    return n;
}

enum { LONGEST_WORD = 63 };

/* Insertions, deletions, changes and swaps of neighbours (optimal string alignment). */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][LONGEST_WORD + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2], n = strlen(b);
    if (n > LONGEST_WORD) return SIZE_MAX;
    for (size_t j = 0; j <= n; j++) last[j] = before[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t least = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < least) least = last[j] + 1;
            if (row[j - 1] + 1 < least) least = row[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && before[j - 2] + 1 < least) least = before[j - 2] + 1;
            row[j] = least;
        }
        size_t *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[n];
}

static size_t length_difference(const char *a, const char *b)
{
    size_t x = strlen(a), y = strlen(b);
    return x > y ? x - y : y - x;
}

const char *nearest_word(const char *word, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        size_t d = edit_distance(word, candidates[i]);
        if (d > strlen(candidates[i]) / 3 + 1 || d > best_distance) continue;
        if (d == best_distance &&
            length_difference(word, candidates[i]) >= length_difference(word, best))
            continue;
        best = candidates[i];
        best_distance = d;
    }
    return best;
}

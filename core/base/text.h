/* SPDX-License-Identifier: Apache-2.0
 *
 * Strings and numbers: a growing buffer, locale-free reading and writing of numbers, UTF-8, and
 * the nearest known word for messages.
 */
#ifndef CORE_BASE_TEXT_H
#define CORE_BASE_TEXT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing byte string, zero-initialized, always NUL-terminated once used (NULs may be inside).
 * The first refused allocation sets `failed`; later calls do nothing; check once at the end. */
struct str {
    char *data;
    size_t length, capacity;
    bool failed;
};

void str_add(struct str *s, const char *bytes, size_t length);
void str_puts(struct str *s, const char *text);
void str_putc(struct str *s, char c);
void str_printf(struct str *s, const char *format, ...) GRAFT_PRINTF(2, 3);
void str_count(struct str *s, uint64_t count); /* "4,038" */
void str_clear(struct str *s);                 /* keeps the memory */
void str_free(struct str *s);
char *str_take(struct str *s); /* the caller frees with mem_free; NULL if failed */

/* Whole-text numbers, decimal, "." whatever the locale. False: not such a number or out of range.
 * Floats take "1e-3", "2", ".5"; not nan, inf or hex. */
bool parse_int64(const char *text, int64_t *value);
bool parse_double(const char *text, double *value);

/* Is a text written as one, whatever its size? Signs are allowed. */
bool text_is_integer(const char *text);
bool text_is_decimal(const char *text);
bool text_ends(const char *text, const char *end);

/* Shortest exact texts whatever the locale: f32 in 9, f64 in 17 significant digits at most.
 * `out` has 32 bytes. Not-finite numbers give "null" (JSON). Returns `out`. */
char *format_f32(float value, char *out);
char *format_f64(double value, char *out);
/* The same for people: "100", where format_f64 writes "1e+02". */
char *format_plain(double value, char *out);

/* "1.5 GiB", "23 kB"-like; `out` has 32 bytes. */
char *format_bytes(uint64_t bytes, char *out);

/* Length of the UTF-8 sequence at `p` (1-4), or 0 when it is not one (overlong, surrogate, cut). */
size_t utf8_length(const char *p, size_t left);
/* Offset of the first byte that is not UTF-8, or `length` when all is. */
size_t utf8_check(const char *text, size_t length);
/* Decodes one valid sequence. */
uint32_t utf8_decode(const char *p, size_t length);
/* Writes 1-4 bytes, returns their number. */
size_t utf8_encode(uint32_t code, char out[4]);

/* The candidate with the smallest edit distance (at most a third of its length + 1; of equals the
 * one of the nearest length, then the first), or NULL. */
const char *nearest_word(const char *word, const char *const *candidates, size_t count);

#endif

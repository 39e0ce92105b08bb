/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids to text. Bytes are gathered until a character is complete; what can never become one is
 * U+FFFD, one for each maximal part as Unicode recommends (byte tokens: one for each byte).
 */
#include "text/parts.h"

#include <string.h>

static const char REPLACEMENT[] = "\xEF\xBF\xBD";

void detokenizer_begin(struct detokenizer *d, const struct tokenizer *t, bool skip_special)
{
    *d = (struct detokenizer){
        .tokenizer = t, .skip_special = skip_special, .front_left = t->decode.strip_start};
}

/* Complete text, past the rule that drops blanks at the front and at the end. */
static void put(struct detokenizer *d, const char *bytes, size_t length, struct str *out)
{
    const struct decode_rules *rules = &d->tokenizer->decode;
    size_t n = rules->strip_length, at = 0;
    if (rules->strip_start == 0 && rules->strip_stop == 0) {
        str_add(out, bytes, length);
        return;
    }
    while (at < length) {
        bool blank = length - at >= n && memcmp(bytes + at, rules->strip, n) == 0;
        if (blank && d->front_left > 0) {
            d->front_left--;
            at += n;
            continue;
        }
        d->front_left = 0;
        if (blank && d->tail_held < rules->strip_stop) {
            d->tail_held++;
            at += n;
            continue;
        }
        if (!blank)
            for (; d->tail_held > 0; d->tail_held--) str_add(out, rules->strip, n);
        size_t step = utf8_length(bytes + at, length - at);
        str_add(out, bytes + at, step);
        at += step;
    }
}

static bool is_continuation(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

/* How many bytes at the front are one broken part; 0: they may still become a character. */
static size_t broken_length(const char *text, size_t left)
{
    const unsigned char *p = (const unsigned char *)text;
    if (p[0] < 0xC2 || p[0] > 0xF4) return 1;
    size_t need = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    unsigned char low = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : 0xBF;
    for (size_t i = 1; i < need; i++) {
        if (i == left) return 0;
        if (i == 1 ? p[1] < low || p[1] > high : !is_continuation(p[i])) return i;
    }
    return 0;
}

static void put_broken(struct detokenizer *d, size_t bytes, struct str *out)
{
    size_t marks = d->tokenizer->decode.byte_fallback ? bytes : 1;
    for (size_t i = 0; i < marks; i++) put(d, REPLACEMENT, 3, out);
}

static void push_byte(struct detokenizer *d, char byte, struct str *out)
{
    d->held[d->held_count++] = byte;
    while (d->held_count > 0) {
        size_t n = utf8_length(d->held, d->held_count);
        if (n != 0) {
            put(d, d->held, n, out);
        } else {
            n = broken_length(d->held, d->held_count);
            if (n == 0) return;
            put_broken(d, n, out);
        }
        memmove(d->held, d->held + n, d->held_count - n);
        d->held_count = (unsigned char)(d->held_count - n);
    }
}

static void flush(struct detokenizer *d, struct str *out)
{
    if (d->held_count == 0) return;
    put_broken(d, d->held_count, out);
    d->held_count = 0;
}

/* Text of a token that has whole characters: the decoder's replacements, then out. */
static void push_text(struct detokenizer *d, const struct token *token, struct str *out)
{
    const struct decode_rules *rules = &d->tokenizer->decode;
    size_t at = 0;
    while (at < token->length) {
        const char *p = token->bytes + at;
        size_t left = token->length - at, i = 0;
        if (rules->metaspace && left >= rules->mark_length &&
            memcmp(p, rules->mark, rules->mark_length) == 0) {
            if (d->started || !rules->drop_first_mark) put(d, " ", 1, out);
            at += rules->mark_length;
            continue;
        }
        while (i < rules->replace_count &&
               (left < rules->replace[i].from_length ||
                memcmp(p, rules->replace[i].from, rules->replace[i].from_length) != 0))
            i++;
        if (i < rules->replace_count) {
            put(d, rules->replace[i].to, rules->replace[i].to_length, out);
            at += rules->replace[i].from_length;
        } else {
            size_t n = utf8_length(p, left);
            put(d, p, n, out);
            at += n;
        }
    }
}

static const struct token *visible(const struct tokenizer *t, int32_t id, bool skip_special)
{
    if (id < 0 || (size_t)id >= t->count || t->tokens[id].bytes == NULL) return NULL;
    return skip_special && (t->tokens[id].flags & TOKEN_SPECIAL) != 0 ? NULL : &t->tokens[id];
}

void detokenizer_push(struct detokenizer *d, int32_t id, struct str *out)
{
    const struct tokenizer *t = d->tokenizer;
    const struct token *token = visible(t, id, d->skip_special);
    if (token == NULL) return;
    if ((token->flags & TOKEN_BYTE) != 0) {
        push_byte(d, (char)token->byte, out);
    } else if (t->byte_level && (token->flags & TOKEN_ADDED) == 0) {
        for (uint32_t i = 0; i < token->length; i++) push_byte(d, token->bytes[i], out);
    } else {
        flush(d, out);
        push_text(d, token, out);
    }
    d->started = true;
}

void detokenizer_finish(struct detokenizer *d, struct str *out)
{
    flush(d, out);
    d->tail_held = 0;
}

/* A run of byte tokens is text as a whole or one U+FFFD for each byte. Returns where it ends. */
static size_t decode_run(struct detokenizer *d, const int32_t *ids, size_t count, struct str *run,
                         struct str *out)
{
    size_t i = 0;
    str_clear(run);
    for (; i < count; i++) {
        const struct token *token = visible(d->tokenizer, ids[i], d->skip_special);
        if (token == NULL) continue;
        if ((token->flags & TOKEN_BYTE) == 0) break;
        str_putc(run, (char)token->byte);
    }
    if (run->failed)
        out->failed = true;
    else if (utf8_check(run->data, run->length) == run->length)
        put(d, run->data, run->length, out);
    else
        put_broken(d, run->length, out);
    d->started = true;
    return i;
}

void tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t count,
                      bool skip_special, struct str *out)
{
    struct detokenizer d;
    struct str run = {0};
    detokenizer_begin(&d, t, skip_special);
    for (size_t i = 0; i < count;) {
        const struct token *token = visible(t, ids[i], skip_special);
        if (token != NULL && (token->flags & TOKEN_BYTE) != 0) {
            i += decode_run(&d, ids + i, count - i, &run, out);
        } else {
            detokenizer_push(&d, ids[i], out);
            i++;
        }
    }
    detokenizer_finish(&d, out);
    str_free(&run);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Normalizers, each a rewrite of a piece that keeps for every byte where it came from. Unicode
 * forms by utf8proc, stretch by stretch, so that unchanged text keeps exact places.
 */
#include "text/parts.h"

#include <string.h>
#include <utf8proc.h>

struct piece piece_part(const struct piece *p, size_t begin, size_t end)
{
    struct piece part = {p->bytes + begin, end - begin, NULL, p->base + (uint32_t)begin};
    if (p->origin != NULL) part.origin = p->origin + begin;
    return part;
}

uint32_t piece_origin(const struct piece *p, size_t at)
{
    if (p->origin == NULL) return p->base + (uint32_t)at;
    return p->length == 0 ? p->base : p->origin[at < p->length ? at : p->length - 1];
}

static bool rewrite_reserve(struct rewrite *r, size_t extra)
{
    size_t need = r->length + extra;
    if (r->failed || extra > TOKENIZER_LONGEST_TEXT ||
        !array_reserve(&r->bytes, &r->capacity, need, 1) ||
        !array_reserve(&r->origin, &r->origin_capacity, need, sizeof *r->origin))
        r->failed = true;
    return !r->failed;
}

void rewrite_add(struct rewrite *r, const char *bytes, size_t length, uint32_t origin)
{
    if (length == 0 || !rewrite_reserve(r, length)) return;
    memcpy(r->bytes + r->length, bytes, length);
    for (size_t i = 0; i < length; i++) r->origin[r->length + i] = origin;
    r->length += length;
}

void rewrite_copy(struct rewrite *r, const struct piece *from, size_t begin, size_t end)
{
    if (begin == end || !rewrite_reserve(r, end - begin)) return;
    memcpy(r->bytes + r->length, from->bytes + begin, end - begin);
    for (size_t i = begin; i < end; i++) r->origin[r->length + i - begin] = piece_origin(from, i);
    r->length += end - begin;
}

struct piece rewrite_piece(const struct rewrite *r)
{
    return (struct piece){r->bytes != NULL ? r->bytes : "", r->length, r->origin, 0};
}

void rewrite_free(struct rewrite *r)
{
    mem_free(r->bytes);
    mem_free(r->origin);
    *r = (struct rewrite){0};
}

/* Nothing composes across the front of such a character: it is no mark, no vowel or final of
 * Hangul and no halfwidth sound mark of Katakana. */
static bool is_border(uint32_t code)
{
    if (code < 0x300) return true;
    if ((code >= 0x1160 && code <= 0x11FF) || (code >= 0xD7B0 && code <= 0xD7FF) ||
        code == 0xFF9E || code == 0xFF9F)
        return false;
    const utf8proc_property_t *p = utf8proc_get_property((utf8proc_int32_t)code);
    return p->combining_class == 0 && p->category != UTF8PROC_CATEGORY_MN &&
           p->category != UTF8PROC_CATEGORY_MC && p->category != UTF8PROC_CATEGORY_ME;
}

static utf8proc_option_t form_options(enum normalizer_kind kind)
{
    utf8proc_option_t options = UTF8PROC_STABLE;
    options |=
        kind == NORMALIZE_NFC || kind == NORMALIZE_NFKC ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
    if (kind == NORMALIZE_NFKC || kind == NORMALIZE_NFKD) options |= UTF8PROC_COMPAT;
    return options;
}

static int mark_class(utf8proc_int32_t code)
{
    return utf8proc_get_property(code)->combining_class;
}

/* Canonical order of marks: a stable sort by class, by counting, so that no run is too long.
 * `room` holds as many codes. (utf8proc's own sort takes quadratic time.) */
static void order_marks(utf8proc_int32_t *codes, size_t count, utf8proc_int32_t *room)
{
    for (size_t begin = 0, end; begin < count; begin = end) {
        size_t places[256] = {0};
        end = begin + 1;
        if (mark_class(codes[begin]) == 0) continue;
        while (end < count && mark_class(codes[end]) != 0) end++;
        if (end - begin == 1) continue;
        for (size_t i = begin; i < end; i++) places[mark_class(codes[i])]++;
        for (size_t c = 0, at = 0; c < 256; c++) {
            size_t here = places[c];
            places[c] = at;
            at += here;
        }
        for (size_t i = begin; i < end; i++) room[places[mark_class(codes[i])]++] = codes[i];
        memcpy(codes + begin, room, (end - begin) * sizeof *codes);
    }
}

enum { MOST_DECOMPOSED = 18 }; /* of one character, U+FDFA under compatibility */

/* The stretch decomposed and ordered; at most MOST_DECOMPOSED codes for each byte. */
static bool decompose(const struct piece *p, size_t begin, size_t end, utf8proc_option_t options,
                      utf8proc_int32_t *codes, size_t *count)
{
    size_t n = 0;
    int last_class = 0;
    for (size_t at = begin, step; at < end; at += step) {
        step = utf8_length(p->bytes + at, end - at);
        utf8proc_int32_t code = (utf8proc_int32_t)utf8_decode(p->bytes + at, step);
        utf8proc_ssize_t made =
            utf8proc_decompose_char(code, codes + n, MOST_DECOMPOSED, options, &last_class);
        if (made < 0 || made > MOST_DECOMPOSED) return false;
        n += (size_t)made;
    }
    *count = n;
    return true;
}

static bool form_stretch(enum normalizer_kind kind, const struct piece *p, size_t begin, size_t end,
                         struct rewrite *out)
{
    utf8proc_option_t options = form_options(kind);
    size_t room = (end - begin + 1) * MOST_DECOMPOSED, count = 0;
    utf8proc_int32_t *codes = mem_zalloc(2 * room, sizeof *codes);
    if (codes == NULL) return false;
    utf8proc_ssize_t n = -1;
    if (decompose(p, begin, end, options, codes, &count)) {
        order_marks(codes, count, codes + room);
        n = utf8proc_reencode(codes, (utf8proc_ssize_t)count, options);
    }
    if (n >= 0 && (size_t)n == end - begin && memcmp(codes, p->bytes + begin, (size_t)n) == 0)
        rewrite_copy(out, p, begin, end);
    else if (n >= 0)
        rewrite_add(out, (const char *)codes, (size_t)n, piece_origin(p, begin));
    mem_free(codes);
    return n >= 0 && !out->failed;
}

static bool unicode_form(enum normalizer_kind kind, const struct piece *p, struct rewrite *out)
{
    size_t plain = 0, at = 0; /* plain..at: single ASCII characters not yet copied */
    while (at < p->length) {
        size_t begin = at;
        do {
            at += utf8_length(p->bytes + at, p->length - at);
        } while (at < p->length && !is_border(utf8_decode(
                                       p->bytes + at, utf8_length(p->bytes + at, p->length - at))));
        if (at - begin == 1) continue;
        rewrite_copy(out, p, plain, begin);
        if (!form_stretch(kind, p, begin, at, out)) return false;
        plain = at;
    }
    rewrite_copy(out, p, plain, at);
    return !out->failed;
}

static void lowercase(const struct piece *p, struct rewrite *out)
{
    for (size_t at = 0; at < p->length;) {
        char bytes[4];
        size_t n = utf8_length(p->bytes + at, p->length - at);
        uint32_t code = utf8_decode(p->bytes + at, n);
        if (code == 0x130) { /* the one letter whose lower case is two characters */
            rewrite_add(out, "i\xCC\x87", 3, piece_origin(p, at));
        } else {
            code = (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
            rewrite_add(out, bytes, utf8_encode(code, bytes), piece_origin(p, at));
        }
        at += n;
    }
}

static void strip(const struct normalizer *n, const struct piece *p, struct rewrite *out)
{
    size_t begin = 0, end = p->length;
    while (n->left && begin < end) {
        size_t step = utf8_length(p->bytes + begin, end - begin);
        if (!is_white_space(utf8_decode(p->bytes + begin, step))) break;
        begin += step;
    }
    while (n->right && end > begin) {
        size_t before = end - 1;
        while (before > begin && ((unsigned char)p->bytes[before] & 0xC0) == 0x80) before--;
        if (!is_white_space(utf8_decode(p->bytes + before, end - before))) break;
        end = before;
    }
    rewrite_copy(out, p, begin, end);
}

static enum graft_status replace(struct encoder *x, const struct normalizer *n,
                                 const struct piece *p, struct rewrite *out)
{
    size_t at = 0, search = 0, begin = 0, end = 0;
    while (search <= p->length) {
        bool found;
        enum graft_status status =
            regex_next(&n->regex, x->match, p, search, &found, &begin, &end, x->e);
        if (status != GRAFT_OK) return status;
        if (!found) break;
        rewrite_copy(out, p, at, begin);
        rewrite_add(out, n->content, n->content_length, piece_origin(p, begin));
        at = end;
        search = end;
        if (begin == end) { /* an empty match: go on after the next character */
            size_t step = at < p->length ? utf8_length(p->bytes + at, p->length - at) : 0;
            rewrite_copy(out, p, at, at + step);
            at += step;
            search = at + (step == 0);
        }
    }
    rewrite_copy(out, p, at, p->length);
    return GRAFT_OK;
}

static enum graft_status apply(struct encoder *x, const struct normalizer *n, const struct piece *p,
                               struct rewrite *out)
{
    enum graft_status status = GRAFT_OK;
    switch (n->kind) {
    case NORMALIZE_NFC:
    case NORMALIZE_NFD:
    case NORMALIZE_NFKC:
    case NORMALIZE_NFKD:
        if (!unicode_form(n->kind, p, out)) out->failed = true;
        break;
    case NORMALIZE_LOWERCASE: lowercase(p, out); break;
    case NORMALIZE_STRIP: strip(n, p, out); break;
    case NORMALIZE_PREPEND:
        if (p->length == 0) break;
        rewrite_add(out, n->content, n->content_length, piece_origin(p, 0));
        rewrite_copy(out, p, 0, p->length);
        break;
    case NORMALIZE_REPLACE: status = replace(x, n, p, out); break;
    }
    if (status == GRAFT_OK && out->failed)
        status = error_memory(x->e, "normalizing a text", p->length);
    return status;
}

enum graft_status normalize(struct encoder *x, struct piece *p)
{
    for (size_t i = 0; i < x->t->normalizer_count; i++) {
        struct rewrite *out = &x->normal[i % 2];
        out->length = 0;
        out->failed = false;
        enum graft_status status = apply(x, &x->t->normalizers[i], p, out);
        if (status != GRAFT_OK) return status;
        *p = rewrite_piece(out);
    }
    return GRAFT_OK;
}

enum graft_status normalize_added(struct tokenizer *t, const char *bytes, size_t length,
                                  const char **result, size_t *result_length, struct error *e)
{
    struct encoder x = {.t = t, .e = e, .match = regex_match_data_create()};
    struct piece p = {bytes, length, NULL, 0};
    enum graft_status status =
        x.match != NULL ? normalize(&x, &p) : error_memory(e, "normalizing a token", length);
    if (status == GRAFT_OK) {
        char *copy = arena_alloc(&t->arena, p.length + 1, 1);
        if (copy == NULL)
            status = error_memory(e, "an added token", p.length);
        else {
            memcpy(copy, p.bytes, p.length);
            *result = copy;
            *result_length = p.length;
        }
    }
    encoder_free(&x);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Encodings by their structure; GBK's characters by iconv, which every libc brings.
 */
#include "audit/encoding.h"

#include "base/memory.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>

struct decoder {
    iconv_t gbk;
    bool has_gbk;
    struct str scratch;
};

const char *encoding_name(enum encoding encoding)
{
    static const char *const names[] = {"mixed", "UTF-8", "GBK", "Latin-1"};
    return names[encoding];
}

enum graft_status decoder_create(struct decoder **decoder, struct error *e)
{
    struct decoder *d = mem_zalloc(1, sizeof *d);
    if (d == NULL) return error_memory(e, "a decoder", sizeof *d);
    *decoder = d;
    return GRAFT_OK;
}

void decoder_destroy(struct decoder *d)
{
    if (d == NULL) return;
    if (d->has_gbk) iconv_close(d->gbk);
    str_free(&d->scratch);
    mem_free(d);
}

static bool is_high(char c)
{
    return (unsigned char)c >= 0x80;
}

/* Counts GBK's characters of two bytes: lead 81 to FE, second 40 to FE but 7F. */
static bool gbk_structure(const char *bytes, size_t length, uint64_t *whole, uint64_t *half)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char lead = (unsigned char)bytes[i];
        if (lead < 0x80) continue;
        unsigned char next = i + 1 < length ? (unsigned char)bytes[i + 1] : 0;
        if (lead == 0x80 || lead == 0xFF || next < 0x40 || next == 0x7F || next == 0xFF)
            return false;
        *(next < 0x80 ? half : whole) += 1;
        i++;
    }
    return true;
}

static enum graft_status open_gbk(struct decoder *d, struct error *e)
{
    if (d->has_gbk) return GRAFT_OK;
    d->gbk = iconv_open("UTF-8", "GBK");
    if (d->gbk == (iconv_t)-1) /* NOLINT: POSIX defines the failure so */
        return error_set(e, GRAFT_E_UNSUPPORTED,
                         "text that seems to be GBK, which this system's iconv cannot read (%s)",
                         strerror(errno));
    d->has_gbk = true;
    return GRAFT_OK;
}

/* *valid: every character is assigned; then `out` holds the text. */
static enum graft_status read_gbk(struct decoder *d, const char *bytes, size_t length,
                                  struct str *out, bool *valid, struct error *e)
{
    char *in = (char *)(uintptr_t)bytes, piece[4096];
    enum graft_status status = open_gbk(d, e);
    if (status != GRAFT_OK) return status;
    iconv(d->gbk, NULL, NULL, NULL, NULL);
    str_clear(out);
    *valid = true;
    while (length != 0 && *valid) {
        char *to = piece;
        size_t room = sizeof piece, done = iconv(d->gbk, &in, &length, &to, &room);
        if (done == (size_t)-1 && errno != E2BIG) *valid = false;
        str_add(out, piece, (size_t)(to - piece));
    }
    return out->failed ? error_memory(e, "a record", out->length) : GRAFT_OK;
}

static enum graft_status is_gbk(struct decoder *d, const char *bytes, size_t length, bool *valid,
                                uint64_t *whole, uint64_t *half, struct error *e)
{
    *valid = false;
    if (!gbk_structure(bytes, length, whole, half)) return GRAFT_OK;
    return read_gbk(d, bytes, length, &d->scratch, valid, e);
}

static bool has_c1(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (is_high(bytes[i]) && (unsigned char)bytes[i] < 0xA0) return true;
    return false;
}

/* Chinese is written with the characters of GB 2312, whose bytes are both high; accented letters of
 * Latin-1 before a letter are valid GBK too, but their second byte is in ASCII. */
static bool reads_as_chinese(uint64_t whole, uint64_t half)
{
    return whole > half;
}

enum graft_status decoder_find(struct decoder *d, const char *bytes, size_t length,
                               enum encoding *encoding, struct error *e)
{
    uint64_t whole = 0, half = 0;
    bool gbk = false;
    if (utf8_check(bytes, length) == length) {
        *encoding = ENCODING_UTF8;
        return GRAFT_OK;
    }
    enum graft_status status = is_gbk(d, bytes, length, &gbk, &whole, &half, e);
    if (status != GRAFT_OK) return status;
    if (gbk && reads_as_chinese(whole, half))
        *encoding = ENCODING_GBK;
    else
        *encoding = has_c1(bytes, length) ? ENCODING_NONE : ENCODING_LATIN1;
    return GRAFT_OK;
}

enum graft_status decoder_read(struct decoder *d, enum encoding encoding, const char *bytes,
                               size_t length, struct str *out, struct error *e)
{
    char code[4];
    bool valid;
    if (encoding == ENCODING_GBK) return read_gbk(d, bytes, length, out, &valid, e);
    str_clear(out);
    if (encoding == ENCODING_UTF8)
        str_add(out, bytes, length);
    else
        for (size_t i = 0; i < length; i++)
            str_add(out, code, utf8_encode((unsigned char)bytes[i], code));
    return out->failed ? error_memory(e, "a record", out->length) : GRAFT_OK;
}

static void count_sequences(const char *bytes, size_t length, struct encoding_evidence *v)
{
    for (size_t i = 0; i < length;) {
        size_t n = utf8_length(bytes + i, length - i);
        if (n == 0)
            v->stray++;
        else if (n > 1)
            v->sequences += n;
        i += n == 0 ? 1 : n;
    }
}

static bool is_ascii(const char *bytes, size_t length)
{
    unsigned char all = 0;
    for (size_t i = 0; i < length; i++) all |= (unsigned char)bytes[i];
    return all < 0x80;
}

enum graft_status decoder_look(struct decoder *d, const char *bytes, size_t length,
                               struct encoding_evidence *v, struct error *e)
{
    bool valid = true;
    if (is_ascii(bytes, length)) return GRAFT_OK;
    uint64_t stray = v->stray;
    count_sequences(bytes, length, v);
    v->not_utf8 = v->not_utf8 || v->stray != stray;
    v->controls = v->controls || has_c1(bytes, length);
    if (v->not_gbk) return GRAFT_OK;
    enum graft_status status = is_gbk(d, bytes, length, &valid, &v->whole, &v->half, e);
    v->not_gbk = !valid;
    /* UTF-8 that looks like GBK too is no reason to fail where there is no GBK */
    if (status == GRAFT_E_UNSUPPORTED && !v->not_utf8) {
        v->not_gbk = true;
        return GRAFT_OK;
    }
    return status;
}

enum encoding encoding_of(const struct encoding_evidence *v)
{
    if (!v->not_utf8) return ENCODING_UTF8;
    if (!v->not_gbk && reads_as_chinese(v->whole, v->half)) return ENCODING_GBK;
    return !v->controls && v->stray > v->sequences ? ENCODING_LATIN1 : ENCODING_NONE;
}

uint32_t windows_1252(unsigned char byte)
{
    static const uint16_t codes[] = {
        0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
        0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
        0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178,
    };
    return byte >= 0x80 && byte <= 0x9F ? codes[byte - 0x80] : byte;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of the encodings of raw exports bytes are in: UTF-8 where they are valid UTF-8, else GBK
 * where they are valid GBK and read as Chinese, else Latin-1 where it gives no control characters.
 * A file is judged as a whole first, so that a short line of a GBK file is not mistaken; only a
 * file that holds several is judged record by record.
 */
#ifndef CORE_AUDIT_ENCODING_H
#define CORE_AUDIT_ENCODING_H

#include "base/error.h"
#include "base/text.h"

enum encoding { ENCODING_NONE, ENCODING_UTF8, ENCODING_GBK, ENCODING_LATIN1 };

/* "UTF-8", ...; "mixed" for ENCODING_NONE. */
const char *encoding_name(enum encoding encoding);

struct decoder;

GRAFT_MUST_USE enum graft_status decoder_create(struct decoder **decoder, struct error *e);
void decoder_destroy(struct decoder *decoder); /* NULL does nothing */

/* ENCODING_NONE: none of them. Bytes in ASCII are UTF-8. */
GRAFT_MUST_USE enum graft_status decoder_find(struct decoder *d, const char *bytes, size_t length,
                                              enum encoding *encoding, struct error *e);
/* Replaces `out` by the bytes in UTF-8. The encoding is one that decoder_find has given. */
GRAFT_MUST_USE enum graft_status decoder_read(struct decoder *d, enum encoding encoding,
                                              const char *bytes, size_t length, struct str *out,
                                              struct error *e);

/* What the lines of a file say together, zero-initialized. */
struct encoding_evidence {
    bool not_utf8, not_gbk, controls;
    uint64_t whole, half;      /* characters of GBK: both bytes high, the second one in ASCII */
    uint64_t sequences, stray; /* high bytes inside and outside of UTF-8 sequences */
};

GRAFT_MUST_USE enum graft_status decoder_look(struct decoder *d, const char *bytes, size_t length,
                                              struct encoding_evidence *v, struct error *e);
/* ENCODING_NONE: several. */
enum encoding encoding_of(const struct encoding_evidence *v);

/* The character that Windows-1252 has for 0x80 to 0x9F; the byte itself where it has none. */
uint32_t windows_1252(unsigned char byte);

#endif

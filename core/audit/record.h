/* SPDX-License-Identifier: Apache-2.0
 *
 * A file of raw records: each is decoded and parsed, and its texts are found, whatever its format;
 * what is no record says why. One record at a time; forgiving where data_read is strict.
 */
#ifndef CORE_AUDIT_RECORD_H
#define CORE_AUDIT_RECORD_H

#include "audit/encoding.h"
#include "audit/rules.h"
#include "audit/stream.h"
#include "base/json.h"

enum text_role { TEXT_QUESTION, TEXT_EXTRA, TEXT_ANSWER };

struct record_text {
    json_t *value;   /* a JSON string; NULL: absent or null. Borrowed. */
    const char *key; /* "output"; of a message its role */
    enum text_role role;
};

enum { RECORD_DETAIL = 160 };

struct record {
    uint32_t line;     /* where it begins */
    uint32_t number;   /* from 1; blank lines and a CSV's first line do not count */
    const char *bytes; /* as it stands in the file */
    size_t length;
    enum encoding encoding;
    struct str text;            /* the same in UTF-8; empty for RULE_BAD_ENCODING */
    bool mark;                  /* begins with a byte order mark: files laid end to end */
    enum rule fault;            /* RULE_BAD_ENCODING, RULE_BAD_RECORD or RULES: none */
    char detail[RECORD_DETAIL]; /* of the fault */
    json_t *object;             /* NULL where there is none */
    struct record_text *texts;
    size_t text_count, text_capacity;
};

struct raw {
    const char *path;
    struct stream *stream;
    struct decoder *decoder;
    enum encoding encoding; /* of the whole file; ENCODING_NONE: judged record by record */
    json_t *names;          /* of the columns of a CSV */
    struct record record;   /* the one that was read last */
};

/* Reads the file once to find its encoding. */
GRAFT_MUST_USE enum graft_status raw_open(const char *path, struct raw *raw, struct error *e);
void raw_close(struct raw *raw); /* a zeroed one too */
/* *more false: the end of the file; else raw->record is the next one. */
GRAFT_MUST_USE enum graft_status raw_next(struct raw *raw, bool *more, struct error *e);

/* Finds the texts of an object; a format that is not known, or a text that is none, is a fault. */
GRAFT_MUST_USE enum graft_status record_find_texts(struct record *record, struct error *e);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What is wrong with data, found before a minute is spent on it: each finding with its places, how
 * bad it is and what to do. Reads on after a fault where the trainer stops at the first.
 */
#ifndef CORE_AUDIT_AUDIT_H
#define CORE_AUDIT_AUDIT_H

#include "audit/encoding.h"
#include "audit/language.h"
#include "base/json.h"
#include "data/tokenize.h"

/* NOTE: good to know. WARNING: it will be trained on, and hurts. ERROR: training is refused. */
enum audit_severity { AUDIT_NOTE, AUDIT_WARNING, AUDIT_ERROR };

enum audit_kind {
    AUDIT_ENCODING,
    AUDIT_BAD_ROW,
    AUDIT_EMPTY_ANSWER,
    AUDIT_EMPTY_QUESTION,
    AUDIT_CUT_ANSWER,
    AUDIT_REPLACEMENT_CHAR,
    AUDIT_MOJIBAKE,
    AUDIT_CONTROL_CHARS,
    AUDIT_HTML,
    AUDIT_WHITESPACE,
    AUDIT_BYTE_ORDER_MARK,
    AUDIT_LEADING_ANSWER,
    AUDIT_DUPLICATE,
    AUDIT_CONFLICT,
    AUDIT_NEAR_DUPLICATE,
    AUDIT_LEAK,
    AUDIT_LEAK_QUESTION,
    AUDIT_LANGUAGE,
    AUDIT_TEMPLATE,
    AUDIT_TEMPLATE_UNUSED,
    AUDIT_SPECIAL_TOKEN,
    AUDIT_TOO_LONG,
    AUDIT_UNTRAINED,
    AUDIT_KINDS
};

struct audit_entry {
    const char *name;
    enum audit_severity severity;
    const char *what, *todo;
};
extern const struct audit_entry audit_entries[AUDIT_KINDS];
const char *audit_severity_name(enum audit_severity severity);

struct audit_place {
    const char *file; /* NULL: none */
    uint32_t line;
};

enum { AUDIT_LISTED = 5, AUDIT_DETAIL = 320, AUDIT_BINS = 16 };

struct audit_finding {
    size_t count;
    enum audit_severity severity;
    struct audit_place places[AUDIT_LISTED], others[AUDIT_LISTED]; /* other: what it repeats */
    char detail[AUDIT_DETAIL];                                     /* of the first */
};

/* Lengths of rows, in tokens with a model and in characters without. */
struct audit_lengths {
    size_t rows, longest, total, trained; /* trained: tokens */
    size_t width; /* bin i counts lengths i * width + 1 to (i + 1) * width */
    size_t bins[AUDIT_BINS], bin_count, beyond;
};

struct audit_split {
    const char *name; /* "train", "valid", "test"; "data" for a file alone */
    const char *const *files;
    size_t file_count;
    enum encoding encoding; /* of the first file */
    struct data_rows rows;
    size_t records;
    size_t scripts[SCRIPTS]; /* of the answers */
    struct audit_finding findings[AUDIT_KINDS];
    struct audit_lengths lengths;
};

enum { AUDIT_SPLITS = 3 };

struct audit {
    struct audit_split splits[AUDIT_SPLITS]; /* train first */
    size_t split_count;
    const struct data_tokenize_options *options; /* NULL: no model is known */
    bool (*stop)(void *);                        /* polled; NULL: never */
};

/* The caller has filled names, files and the options. GRAFT_E_INVALID where a file cannot be read
 * as data at all. */
GRAFT_MUST_USE enum graft_status audit_run(struct audit *audit, struct error *e);
void audit_free(struct audit *audit);

/* How many findings are no mere notes. */
size_t audit_count(const struct audit *audit);
void audit_print(const struct audit *audit, struct str *out);
json_t *audit_json(const struct audit *audit); /* a new reference; NULL: no memory */

#endif

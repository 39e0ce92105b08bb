/* SPDX-License-Identifier: Apache-2.0
 *
 * A raw export to rows that can be trained on, by the table of rules; nothing is dropped or changed
 * without being listed.
 */
#ifndef CORE_AUDIT_CLEAN_H
#define CORE_AUDIT_CLEAN_H

#include "audit/encoding.h"
#include "audit/rules.h"
#include "audit/stream.h"

enum { CLEAN_LONGEST = 2000, CLEAN_LISTED = 5 };

struct clean_request {
    const char *input, *output;
    const char *dropped;  /* the list of every record dropped or repaired; NULL: none */
    bool near_duplicates; /* drop them too */
    unsigned keep;        /* RULE_BITs of what is left as it is */
    size_t longest;       /* characters of one text; 0: any */
    bool (*stop)(void *); /* polled; NULL: never */
};

/* What one rule found: how many records, and the lines of the first. */
struct clean_found {
    size_t count;
    uint32_t lines[CLEAN_LISTED];
};

struct clean_result {
    enum encoding encoding; /* of the whole file; ENCODING_NONE: several */
    enum stream_kind kind;
    size_t records, kept, repaired, dropped;
    struct clean_found found[RULES]; /* near duplicates are counted also where they are kept */
};

/* Writes `output` (JSONL, as the records stand in the file where nothing is to repair) and the list
 * whole or not at all. GRAFT_E_INVALID where no record is left, GRAFT_E_INTERRUPTED when stopped.
 */
GRAFT_MUST_USE enum graft_status clean_file(const struct clean_request *request,
                                            struct clean_result *result, struct error *e);

#endif

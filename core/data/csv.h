/* SPDX-License-Identifier: Apache-2.0
 *
 * The fields of one CSV record after the other, out of memory.
 */
#ifndef CORE_DATA_CSV_H
#define CORE_DATA_CSV_H

#include "base/json.h"

/* Zero-initialized but for `path` (named in errors), `p`, `end` and `line` (of p). */
struct csv {
    const char *path;
    const char *p, *end;
    uint32_t line;
    struct str text; /* the fields of the last record, each NUL-terminated */
    size_t *begin;   /* of each field in `text` */
    size_t count, capacity;
    uint32_t first_line; /* of the record */
};

/* The next record; none (count 0) at the end. */
GRAFT_MUST_USE enum graft_status csv_next(struct csv *c, struct error *e);
/* Takes the first record as the names of the columns: appends JSON strings to the list. */
GRAFT_MUST_USE enum graft_status csv_names(struct csv *c, json_t *names, struct error *e);
void csv_free(struct csv *c);

#endif

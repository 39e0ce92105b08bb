/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this room share: a record (one JSON object, or one CSV line as one) becomes a
 * row. Errors of these functions carry no place; the reader of the file adds it.
 */
#ifndef CORE_DATA_PARTS_H
#define CORE_DATA_PARTS_H

#include "base/json.h"
#include "data/rows.h"

/* One file on its way in. */
struct reader {
    struct data_rows *rows;
    const char *path;
    const char *bytes, *end; /* without a byte order mark */
    uint32_t file;
    enum data_format format; /* of the rows so far */
    bool by_line;            /* JSONL */
    struct chat_message *messages;
    size_t message_count, message_capacity;
    size_t skipped_turns; /* assistant turns before the first user turn, left out */
    uint32_t skipped_line;
};

/* Appends the row of one record. */
GRAFT_MUST_USE enum graft_status record_read(struct reader *r, const json_t *record, uint32_t line,
                                             struct error *e);

/* Appends all rows of a CSV file; errors carry their place. */
GRAFT_MUST_USE enum graft_status csv_read(struct reader *r, struct error *e);

#endif

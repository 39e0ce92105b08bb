/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of training data as a user keeps them: JSON, JSONL and CSV files in the formats of the
 * field, read into message lists or plain text. Nothing here knows a model; every row remembers
 * its file and line, so that later complaints can name it.
 */
#ifndef CORE_DATA_ROWS_H
#define CORE_DATA_ROWS_H

#include "base/json.h"
#include "base/memory.h"
#include "text/chat.h"

/* Found by a row's keys. */
enum data_format {
    DATA_NONE,
    DATA_ALPACA,   /* instruction, input, output, system, history */
    DATA_MESSAGES, /* messages: [{role, content}] */
    DATA_SHAREGPT, /* conversations: [{from, value}], system */
    DATA_PROMPT,   /* prompt, completion: texts or message lists */
    DATA_TEXT      /* text */
};

struct data_row {
    const struct chat_message *messages; /* NULL: plain text */
    size_t message_count;
    const char *text; /* plain text, NUL-terminated; NULL: messages */
    size_t text_length;
    bool pair; /* prompt and completion were texts: a model without a template may join them */
    uint32_t file, line;
};

/* Zero-initialized; owns every text its rows point to. */
struct data_rows {
    struct arena arena;
    struct data_row *rows;
    size_t count, capacity;
    const char **files;
    enum data_format *formats; /* of each file */
    size_t file_count, file_capacity, format_capacity;
};

/* Appends the rows of one file; call it again for the next of a list. A file holds one format.
 * Errors name file and line and are the file's fault (GRAFT_E_INVALID) unless reading failed. On
 * failure `out` holds the rows it had. */
GRAFT_MUST_USE enum graft_status data_read(const char *path, struct data_rows *out,
                                           struct error *e);
void data_rows_free(struct data_rows *rows);

/* The same, record by record, for who reads the file and goes on after a bad one. */
struct data_feed;
GRAFT_MUST_USE enum graft_status data_feed_begin(const char *path, struct data_rows *out,
                                                 struct data_feed **feed, struct error *e);
/* A record that is no row is GRAFT_E_INVALID: the text says why, without a place. */
GRAFT_MUST_USE enum graft_status data_feed_add(struct data_feed *feed, const json_t *record,
                                               uint32_t line, struct error *e);
/* Frees it; returns how many answers stood before their row's first question and were left out. */
size_t data_feed_end(struct data_feed *feed);

/* The path of the row's file, as it was given. */
const char *data_row_file(const struct data_rows *rows, size_t row);
/* "Alpaca", "messages", ... */
const char *data_format_name(enum data_format format);
/* The last assistant message: what an evaluation expects. NULL for plain text. */
const char *data_row_answer(const struct data_row *row);

#endif

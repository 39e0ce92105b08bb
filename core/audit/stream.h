/* SPDX-License-Identifier: Apache-2.0
 *
 * The records of a data file as bytes, piece by piece, so that a file of any size takes the memory
 * of its largest record. Knows where a record ends, not what it says; bytes may be in any encoding
 * that keeps ASCII's quotes, commas, brackets and line ends.
 */
#ifndef CORE_AUDIT_STREAM_H
#define CORE_AUDIT_STREAM_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Found by name and first character, as data_read finds them. */
enum stream_kind { STREAM_LINES, STREAM_ARRAY, STREAM_CSV };

struct stream;

struct piece {
    const char *bytes; /* NULL: the end of the file. Valid until the next call. */
    size_t length;
    uint32_t line;     /* where it begins */
    const char *fault; /* not NULL: why this is no record; a literal */
};

/* The file's fault (GRAFT_E_INVALID) unless reading fails. */
GRAFT_MUST_USE enum graft_status stream_open(const char *path, struct stream **stream,
                                             struct error *e);
void stream_close(struct stream *stream); /* NULL does nothing */
enum stream_kind stream_kind(const struct stream *stream);
bool stream_has_mark(const struct stream *stream); /* begins with a byte order mark */

/* The next record without its line end; blank lines are skipped. */
GRAFT_MUST_USE enum graft_status stream_next(struct stream *stream, struct piece *piece,
                                             struct error *e);
/* The next line as it is, with its line end, whatever it holds. */
GRAFT_MUST_USE enum graft_status stream_next_line(struct stream *stream, struct piece *piece,
                                                  struct error *e);
GRAFT_MUST_USE enum graft_status stream_rewind(struct stream *stream, struct error *e);

#endif

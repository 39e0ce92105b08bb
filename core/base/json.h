/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON through jansson: strict reading with positions in errors, writing with our number texts.
 */
#ifndef CORE_BASE_JSON_H
#define CORE_BASE_JSON_H

#include "base/error.h"
#include "base/text.h"

#include <jansson.h>

/* Both give a new reference. Doubled keys, trailing text and nesting past jansson's 2048 are
 * errors: "PATH:LINE:COLUMN: what". The file may be up to `limit` bytes. */
GRAFT_MUST_USE enum graft_status json_read_file(const char *path, size_t limit, json_t **value,
                                                struct error *e);
GRAFT_MUST_USE enum graft_status json_read_bytes(const char *bytes, size_t length, json_t **value,
                                                 struct error *e);

/* Appends the text of `value`. indent 0: one line. Keys in insertion order unless `sorted`;
 * reals by format_f64, so not-finite ones become null. A refused allocation sets out->failed. */
void json_write(struct str *out, const json_t *value, int indent, bool sorted);

/* Appends a quoted, escaped string. */
void json_write_string(struct str *out, const char *bytes, size_t length);

#endif

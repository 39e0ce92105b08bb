/* SPDX-License-Identifier: Apache-2.0
 *
 * One error: a status and the line a user reads. It is written where the fault is known; each
 * layer above puts its place in front ("recipe.yaml:12:9: adapter.r: ...").
 */
#ifndef CORE_BASE_ERROR_H
#define CORE_BASE_ERROR_H

#include <graft/types.h>

enum { ERROR_TEXT_SIZE = 1024 };

/* Caller's storage, zero-initialized. Longer texts are cut at the end. */
struct error {
    enum graft_status status;
    char text[ERROR_TEXT_SIZE];
};

/* Writes the text and returns `status`, so that a caller writes `return error_set(...)`.
 * `e` may be NULL where nobody reads the text. */
enum graft_status error_set(struct error *e, enum graft_status status, const char *format, ...)
    GRAFT_PRINTF(3, 4);

/* Puts "place: " before the text that is there; returns the status that is there. */
enum graft_status error_place(struct error *e, const char *format, ...) GRAFT_PRINTF(2, 3);

/* "not enough memory for WHAT (N bytes)". */
enum graft_status error_memory(struct error *e, const char *what, size_t bytes);

/* "WHAT PATH: strerror(errno)"; reads errno. */
enum graft_status error_errno(struct error *e, const char *what, const char *path);

#endif

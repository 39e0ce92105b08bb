/* SPDX-License-Identifier: Apache-2.0
 *
 * Error texts. Knows nothing above it.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum graft_status error_set(struct error *e, enum graft_status status, const char *format, ...)
{
    if (e != NULL) {
        va_list args;
        va_start(args, format);
        vsnprintf(e->text, sizeof e->text, format, args);
        va_end(args);
        e->status = status;
    }
    return status;
}

enum graft_status error_place(struct error *e, const char *format, ...)
{
    char place[ERROR_TEXT_SIZE];
    char joined[2 * ERROR_TEXT_SIZE + 4];
    va_list args;

    if (e == NULL) return GRAFT_E_FAILED;
    va_start(args, format);
    vsnprintf(place, sizeof place, format, args);
    va_end(args);
    snprintf(joined, sizeof joined, "%s: %s", place, e->text);
    joined[sizeof e->text - 1] = '\0';
    memcpy(e->text, joined, strlen(joined) + 1);
    return e->status;
}

enum graft_status error_memory(struct error *e, const char *what, size_t bytes)
{
    return error_set(e, GRAFT_E_MEMORY, "not enough memory for %s (%zu bytes)", what, bytes);
}

enum graft_status error_errno(struct error *e, const char *what, const char *path)
{
    return error_set(e, GRAFT_E_IO, "%s %s: %s", what, path, strerror(errno));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of a file's parts, sorted once, so that doubles are found and look-ups are quick even in
 * a file made to be slow.
 */
#ifndef CORE_FILE_NAMES_H
#define CORE_FILE_NAMES_H

#include <stddef.h>

struct name {
    const char *text; /* borrowed */
    size_t index;
};

void names_sort(struct name *names, size_t count);
/* The first text that is there twice, or NULL. The names are sorted. */
const char *names_double(const struct name *names, size_t count);
/* NULL: not there. */
const struct name *names_find(const struct name *names, size_t count, const char *text);

#endif

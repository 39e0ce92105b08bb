/* SPDX-License-Identifier: Apache-2.0
 *
 * A sorted array of names.
 */
#include "file/names.h"

#include <stdlib.h>
#include <string.h>

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

void names_sort(struct name *names, size_t count)
{
    qsort(names, count, sizeof *names, by_text);
}

const char *names_double(const struct name *names, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (strcmp(names[i - 1].text, names[i].text) == 0) return names[i].text;
    return NULL;
}

const struct name *names_find(const struct name *names, size_t count, const char *text)
{
    struct name wanted = {text, 0};
    if (count == 0) return NULL;
    return bsearch(&wanted, names, count, sizeof *names, by_text);
}

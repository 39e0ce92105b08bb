/* SPDX-License-Identifier: Apache-2.0
 *
 * Relative paths between real folders.
 */
#define _XOPEN_SOURCE 700 /* realpath */

#include "recipe/path.h"

#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The absolute path of the deepest part that exists, followed by the rest as it is. */
static char *absolute(const char *path, bool follow_last)
{
    char *head = mem_strdup(path), *result = NULL;
    size_t cut = strlen(path);
    while (cut > 1 && path[cut - 1] == '/') cut--;
    for (bool first = !follow_last; head != NULL; first = false) {
        head[cut] = '\0';
        char *real = first ? NULL : realpath(cut == 0 ? "." : head, NULL);
        if (real != NULL) {
            const char *rest = path + cut + (path[cut] == '/');
            result = *rest == '\0' ? mem_strdup(real)
                                   : mem_format("%s/%s", strcmp(real, "/") == 0 ? "" : real, rest);
            free(real);
            break;
        }
        if (cut == 0) break;
        while (cut > 0 && path[cut - 1] != '/') cut--;
        while (cut > 1 && path[cut - 1] == '/') cut--; /* "/" itself stays */
    }
    mem_free(head);
    return result;
}

enum graft_status path_relative(const char *folder, const char *path, char **out, struct error *e)
{
    struct str text = {0};
    char *from = absolute(folder, true), *to = absolute(path, false);
    size_t common = 0, i = 0;
    if (from == NULL || to == NULL) {
        mem_free(from);
        mem_free(to);
        return error_memory(e, "a path", strlen(path));
    }
    if (strcmp(from, "/") == 0) *from = '\0';
    while (from[i] != '\0' && from[i] == to[i]) {
        i++;
        if ((from[i] == '\0' || from[i] == '/') && (to[i] == '\0' || to[i] == '/')) common = i;
    }
    for (const char *p = from + common; *p != '\0'; p++)
        if (*p == '/') str_puts(&text, "../");
    str_puts(&text, to[common] == '/' ? to + common + 1 : to + common);
    if (text.length != 0 && text.data[text.length - 1] == '/') text.data[--text.length] = '\0';
    if (text.length == 0) str_putc(&text, '.');
    mem_free(from);
    mem_free(to);
    *out = str_take(&text);
    return *out != NULL ? GRAFT_OK : error_memory(e, "a path", strlen(path));
}

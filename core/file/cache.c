/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder for what only saves time. That it cannot be had is no fault.
 */
#include "file/cache.h"

#include "base/memory.h"
#include "base/text.h"
#include "file/atomic.h"

#include <stdlib.h>

char *cache_folder(void)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    struct str path = {0};
    struct error e;
    if (base != NULL && base[0] == '/')
        str_printf(&path, "%s/graft", base);
    else if (home != NULL && home[0] == '/')
        str_printf(&path, "%s/.cache/graft", home);
    if (path.data == NULL || path.failed || folder_make(path.data, &e) != GRAFT_OK) {
        str_free(&path);
        return NULL;
    }
    return path.data;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A device is tested with every 23rd case and the first of each op, forward and gradient.
 */
#include "check/self_test.h"

#include "base/hash.h"
#include "base/memory.h"
#include "check/check.h"
#include "file/atomic.h"
#include "file/cache.h"

#include <unistd.h>

enum { STRIDE = 23, SEED = 1 };

/* The file that says so: its name is what the result depends on. NULL: there is no place. */
static char *mark_of(const struct device *d)
{
    char hex[HASH_HEX_SIZE];
    struct str text = {0}, path = {0};
    char *folder = cache_folder();
    if (folder == NULL) return NULL;
    str_printf(&text, "%s %s %s %s %s", GRAFT_VERSION, device_plugin(d)->name,
               device_plugin(d)->version, device_name(d), device_driver(d));
    hash_bytes_hex(text.data, text.length, hex);
    str_printf(&path, "%s/tested-%s-%.16s", folder, device_plugin(d)->name, hex);
    str_free(&text);
    mem_free(folder);
    return str_take(&path);
}

static enum graft_status test(const struct device *d, struct error *e)
{
    const struct check_options options = {.seed = SEED, .stride = STRIDE};
    const struct graft_host *host = device_host(d);
    const struct graft_backend *api = device_backend(d)->api;
    struct check_report forward = {0}, backward = {0};
    struct error found = {0};
    uint32_t index = device_index(d);
    enum graft_status status = check_backend(api, &host, 1, index, &options, &forward, &found);
    if (status == GRAFT_OK) status = check_gradients(api, host, index, &options, &backward, &found);
    check_report_free(&forward);
    check_report_free(&backward);
    if (status == GRAFT_OK) return GRAFT_OK;
    return error_set(
        e, GRAFT_E_UNSUPPORTED,
        "backend %s, device %u (%s, %s) computes wrongly and is refused: %s; update its "
        "driver or choose another backend (`graft backend test %s --device %u` tests "
        "everything)",
        device_plugin(d)->name, index, device_name(d), device_driver(d), found.text,
        device_plugin(d)->name, index);
}

enum graft_status self_test(const struct device_request *request,
                            void (*begins)(const char *device), struct error *e)
{
    struct device *d = NULL;
    enum graft_status status = device_open(request, &d, e);
    if (status != GRAFT_OK || device_driver(d)[0] == '\0') {
        device_close(d);
        return status;
    }
    char *mark = mark_of(d);
    if (mark == NULL || access(mark, F_OK) != 0) {
        if (begins != NULL) begins(device_name(d));
        status = test(d, e);
        /* That it cannot be noted costs the test once more. */
        if (status == GRAFT_OK && mark != NULL) (void)!atomic_write_file(mark, "", 0, NULL);
    }
    mem_free(mark);
    device_close(d);
    return status;
}

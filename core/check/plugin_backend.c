/* SPDX-License-Identifier: Apache-2.0
 *
 * A backend plugin: the self-test that `graft backend test` runs, on its first device.
 */
#include "check/plugin_parts.h"

#include "check/check.h"

static void report(struct finding *f, enum graft_status status, const struct check_report *r,
                   const struct error *e)
{
    if (status == GRAFT_OK)
        finding_set(f, VERDICT_OK, "%u cases agree with the reference", r->cases);
    else
        finding_set(f, VERDICT_FAIL, "%u of %u cases fail; the first: %s", r->failed, r->cases,
                    e->text);
}

static void check(const struct plugin *plugin, bool backward, struct finding *f)
{
    struct device_request request = {.name = plugin->path, .base_dir = "."};
    struct check_options options = {.seed = 1};
    struct check_report r = {0};
    struct device *device = NULL;
    struct error e = {0};
    if (device_open(&request, &device, &e) != GRAFT_OK) {
        finding_set(f, VERDICT_SKIP, "its device cannot be opened: %s", e.text);
        return;
    }
    const struct graft_host *host = device_host(device);
    const struct graft_backend *api = device_backend(device)->api;
    enum graft_status status = backward ? check_gradients(api, host, 0, &options, &r, &e)
                                        : check_backend(api, &host, 1, 0, &options, &r, &e);
    report(f, status, &r, &e);
    check_report_free(&r);
    device_close(device);
}

void backend_ops(const struct plugin *plugin, struct finding *f)
{
    check(plugin, false, f);
}

void backend_gradients(const struct plugin *plugin, struct finding *f)
{
    check(plugin, true, f);
}

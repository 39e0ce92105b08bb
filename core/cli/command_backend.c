/* SPDX-License-Identifier: Apache-2.0
 *
 * graft backend list, graft backend test NAME: what is there, and whether it computes rightly.
 */
#include "cli/cli.h"
#include "cli/progress.h"

#include "base/memory.h"
#include "check/check.h"
#include "graph/device.h"
#include "graph/op.h"

int command_backend_list(const struct cli_args *args)
{
    struct error e = {0};
    struct str text = {0};
    struct plugin_list *list = NULL;
    enum graft_status status = plugin_list_create(&list, &e);
    for (size_t i = 0; status == GRAFT_OK && i < list->count; i++) {
        const struct plugin *plugin = list->items[i].plugin;
        if (plugin != NULL && plugin->kind == GRAFT_PLUGIN_BACKEND)
            status = device_describe(plugin, &text, &e);
    }
    plugin_list_destroy(list);
    if (status == GRAFT_OK && cli_flag(args, "json"))
        return cli_print_json(json_pack("{s:s}", "devices", text.length != 0 ? text.data : ""));
    if (status == GRAFT_OK) return cli_print(&text);
    str_free(&text);
    return cli_fail(&e);
}

static void print_counts(const struct check_report *report, struct str *out)
{
    for (int32_t op = 0; op < CHECK_MAX_OPS; op++) {
        const struct op_info *info = op_info(op);
        if (report->op[op].cases == 0 || info == NULL) continue;
        str_printf(out, "%-24s %4u cases  %s\n", info->name, report->op[op].cases,
                   report->op[op].failed == 0 ? "ok" : "FAILED");
    }
}

/* The same device with one thread and with all: results must be the same bits. */
static enum graft_status test(const struct cli_args *args, struct str *out, struct error *e)
{
    int64_t index = 0, seed = 1;
    struct device *devices[2] = {NULL, NULL};
    struct check_report forward = {0}, backward = {0};
    enum graft_status status = cli_int(args, "device", 0, 1024, 0, &index, e);
    if (status == GRAFT_OK) status = cli_int(args, "seed", 0, INT64_MAX, 1, &seed, e);
    for (int i = 0; i < 2 && status == GRAFT_OK; i++) {
        struct device_request request = {.name = args->arguments[0],
                                         .base_dir = ".",
                                         .index = (uint32_t)index,
                                         .threads = i == 0 ? 0 : 1};
        status = device_open(&request, &devices[i], e);
    }
    if (status == GRAFT_OK) {
        const struct graft_host *hosts[2] = {device_host(devices[0]), device_host(devices[1])};
        const struct graft_backend *api = device_backend(devices[0])->api;
        struct check_options options = {.seed = (uint64_t)seed};
        str_printf(out, "%s\n", device_name(devices[0]));
        status = check_backend(api, hosts, 2, (uint32_t)index, &options, &forward, e);
        print_counts(&forward, out);
        if (status == GRAFT_OK)
            status = check_gradients(api, hosts[0], (uint32_t)index, &options, &backward, e);
        str_printf(out, "%u op cases, %u gradients, %u failed\n", forward.cases, backward.cases,
                   forward.failed + backward.failed);
        if (forward.text.length != 0) str_puts(out, forward.text.data);
        if (backward.text.length != 0) str_puts(out, backward.text.data);
    }
    check_report_free(&forward);
    check_report_free(&backward);
    device_close(devices[1]);
    device_close(devices[0]);
    return status;
}

int command_backend_test(const struct cli_args *args)
{
    struct error e = {0};
    struct str text = {0};
    enum graft_status status = test(args, &text, &e);
    int printed = cli_print(&text);
    return status == GRAFT_OK ? printed : cli_fail(&e);
}

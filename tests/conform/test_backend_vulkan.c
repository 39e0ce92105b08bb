/* SPDX-License-Identifier: Apache-2.0
 *
 * The Vulkan backend's plugin, as it will be installed, against the double reference: every op, and
 * the gradients of whole programs. On the first device that the loader shows (VK_DRIVER_FILES names
 * its driver), or the one whose number is in GRAFT_TEST_DEVICE. Arguments: these ops alone; before
 * them, "narrow": the device must compute in f16; "every N" (or GRAFT_TEST_EVERY): only every Nth
 * case and the first of each op.
 */
/* Before cmocka, whose macro `fail` would hit a member of the builder's table. */
#include "graph/op.h"

#include "unit/test.h"

#include "check/check.h"
#include "conform/host.h"
#include "plugin/plugin.h"
#include "ref/ref.h"

#include <stdlib.h>
#include <string.h>

enum { SEED = 1 };

static uint32_t device;
static char **ops; /* NULL at their end; none: all */
static bool narrow;
static uint32_t stride;

static const struct graft_backend *load(void)
{
    const struct plugin *plugin = NULL;
    struct error e = {0};
    assert_ok(plugin_load(GRAFT_PLUGIN_BACKEND, "vulkan", NULL, &plugin, &e), &e);
    return plugin->functions;
}

static void print_counts(const struct check_report *report)
{
    for (int32_t op = 1; op < CHECK_MAX_OPS; op++)
        if (report->op[op].cases > 0)
            print_message("%-24s %4u cases, %u failed\n", op_info(op)->name, report->op[op].cases,
                          report->op[op].failed);
    print_message("seed %d, %u cases, %u of them in narrow types, %u failed\n%s", SEED,
                  report->cases, report->narrow, report->failed,
                  report->text.data != NULL ? report->text.data : "");
}

static void check_ops(const char *op)
{
    const struct check_options options = {.seed = SEED, .op = op, .stride = stride};
    struct check_report report = {0};
    struct test_host h;
    struct error e = {0};
    test_host_init(&h, 1);
    const struct graft_host *host = &h.host;
    enum graft_status status = check_backend(load(), &host, 1, device, &options, &report, &e);
    print_counts(&report);
    for (int32_t i = 1; i < CHECK_MAX_OPS && op == NULL; i++)
        if (ref_kernel(i) != NULL && report.op[i].cases == 0) fail_msg("no case of op %d", i);
    if (narrow && op == NULL && report.narrow == 0) fail_msg("no case in f16");
    test_host_fini(&h);
    check_report_free(&report);
    assert_ok(status, &e);
}

static void test_ops(void **state)
{
    (void)state;
    for (char **op = ops; *op != NULL; op++) check_ops(*op);
    if (*ops == NULL) check_ops(NULL);
}

static void check_gradients_of(const char *op)
{
    const struct check_options options = {.seed = SEED, .op = op, .stride = stride};
    struct check_report report = {0};
    struct test_host h;
    struct error e = {0};
    test_host_init(&h, 1);
    enum graft_status status = check_gradients(load(), &h.host, device, &options, &report, &e);
    print_counts(&report);
    bool none = report.cases == 0 && op != NULL; /* an op that has none */
    test_host_fini(&h);
    check_report_free(&report);
    if (!none) assert_ok(status, &e);
}

static void test_gradients(void **state)
{
    (void)state;
    for (char **op = ops; *op != NULL; op++) check_gradients_of(*op);
    if (*ops == NULL) check_gradients_of(NULL);
}

/* Skipped by name where there is no device at all. */
static bool find_device(void)
{
    const char *number = getenv("GRAFT_TEST_DEVICE");
    struct graft_device_info info = {.struct_size = sizeof info};
    struct test_host h;
    device = number != NULL ? (uint32_t)strtoul(number, NULL, 10) : 0;
    test_host_init(&h, 1);
    bool found =
        device < load()->device_count(&h.host) && load()->device_info(&h.host, device, &info);
    test_host_fini(&h);
    print_message("device %u: %s, %s\n", device, found ? info.name : "none", info.note);
    return found && info.usable;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ops),
        cmocka_unit_test(test_gradients),
    };
    ops = argv + 1;
    narrow = argc > 1 && strcmp(argv[1], "narrow") == 0;
    const char *every = getenv("GRAFT_TEST_EVERY");
    if (every != NULL) stride = (uint32_t)strtoul(every, NULL, 10);
    if (narrow) ops++;
    if (ops[0] != NULL && ops[1] != NULL && strcmp(ops[0], "every") == 0) {
        stride = (uint32_t)strtoul(ops[1], NULL, 10);
        ops += 2;
    }
    if (!find_device()) return 77;
    return TEST_MAIN(tests);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU backend's plugin, as it will be installed, against the double reference: every op, at
 * one, two and three threads to the same bits, and the gradients of whole programs.
 */
/* Before cmocka, whose macro `fail` would hit a member of the builder's table. */
#include "graph/op.h"

#include "unit/test.h"

#include "check/check.h"
#include "conform/host.h"
#include "plugin/plugin.h"
#include "ref/ref.h"

enum { HOSTS = 3, SEED = 1 };

static const struct graft_backend *load(void)
{
    const struct plugin *plugin = NULL;
    struct error e = {0};
    assert_ok(plugin_load(GRAFT_PLUGIN_BACKEND, "cpu", NULL, &plugin, &e), &e);
    return plugin->functions;
}

static void print_counts(const struct check_report *report)
{
    for (int32_t op = 1; op < CHECK_MAX_OPS; op++)
        if (report->op[op].cases > 0)
            print_message("%-24s %4u cases, %u failed\n", op_info(op)->name, report->op[op].cases,
                          report->op[op].failed);
    print_message("seed %d, %u cases, %u failed\n%s", SEED, report->cases, report->failed,
                  report->text.data != NULL ? report->text.data : "");
}

static void test_ops(void **state)
{
    const struct graft_backend *backend = load();
    const struct check_options options = {.seed = SEED};
    struct check_report report = {0};
    struct test_host h[HOSTS];
    const struct graft_host *hosts[HOSTS];
    struct error e = {0};
    (void)state;
    for (uint32_t i = 0; i < HOSTS; i++) {
        test_host_init(&h[i], i + 1);
        hosts[i] = &h[i].host;
    }
    enum graft_status status = check_backend(backend, hosts, HOSTS, 0, &options, &report, &e);
    print_counts(&report);
    for (int32_t op = 1; op < CHECK_MAX_OPS; op++)
        if (ref_kernel(op) != NULL && report.op[op].cases == 0) fail_msg("no case of op %d", op);
    for (uint32_t i = 0; i < HOSTS; i++) test_host_fini(&h[i]);
    check_report_free(&report);
    assert_ok(status, &e);
}

static void test_gradients(void **state)
{
    const struct check_options options = {.seed = SEED};
    struct check_report report = {0};
    struct test_host h;
    struct error e = {0};
    (void)state;
    test_host_init(&h, 2);
    enum graft_status status = check_gradients(load(), &h.host, 0, &options, &report, &e);
    print_counts(&report);
    test_host_fini(&h);
    check_report_free(&report);
    assert_ok(status, &e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ops),
        cmocka_unit_test(test_gradients),
    };
    return TEST_MAIN(tests);
}

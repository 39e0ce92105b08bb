/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU backend's plugin, as it will be installed, against the double reference: every op, at
 * one, two and three threads to the same bits, on every path that this processor has, and the
 * gradients of whole programs. A path that it lacks is refused by name. With an argument: that path
 * alone, which must be there.
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

static const char *only; /* the program's argument */

static void check_path(const char *path)
{
    const struct graft_backend *backend = load();
    const struct check_options options = {.seed = SEED};
    struct check_report report = {0};
    struct test_host h[HOSTS];
    const struct graft_host *hosts[HOSTS];
    struct error e = {0};
    for (uint32_t i = 0; i < HOSTS; i++) {
        test_host_init(&h[i], i + 1);
        h[i].host.kernels = path;
        hosts[i] = &h[i].host;
    }
    enum graft_status status = check_backend(backend, hosts, HOSTS, 0, &options, &report, &e);
    print_message("path %s\n", path);
    print_counts(&report);
    for (int32_t op = 1; op < CHECK_MAX_OPS; op++)
        if (ref_kernel(op) != NULL && report.op[op].cases == 0) fail_msg("no case of op %d", op);
    for (uint32_t i = 0; i < HOSTS; i++) test_host_fini(&h[i]);
    check_report_free(&report);
    assert_ok(status, &e);
}

/* Does the processor have it? If not, opening says so, and what there is. */
static bool has_path(const char *path)
{
    const struct graft_backend *backend = load();
    struct graft_device_info info = {.struct_size = sizeof info};
    struct graft_device *device = NULL;
    struct test_host h;
    test_host_init(&h, 1);
    h.host.kernels = path;
    assert_int_equal(backend->device_info(&h.host, 0, &info), 1);
    int32_t status = backend->open(&h.host, 0, &device);
    assert_int_equal(info.usable, status == GRAFT_OK);
    if (status == GRAFT_OK) {
        backend->close(device);
    } else {
        assert_int_equal(status, GRAFT_E_UNSUPPORTED);
        assert_non_null(strstr(h.text, path));
        assert_non_null(strstr(h.text, "baseline"));
        assert_string_equal(h.text, info.note);
        print_message("path %s is not this processor's\n", path);
    }
    test_host_fini(&h);
    return status == GRAFT_OK;
}

static void test_ops(void **state)
{
    static const char *const paths[] = {"baseline", "avx2", "avx512", "avx512bf16", "amx"};
    (void)state;
    if (only != NULL) {
        assert_true(has_path(only));
        check_path(only);
        return;
    }
    assert_true(has_path("baseline"));
    assert_false(has_path("avx1024"));
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (has_path(paths[i])) check_path(paths[i]);
}

static void test_gradients(void **state)
{
    const struct check_options options = {.seed = SEED};
    struct check_report report = {0};
    struct test_host h;
    struct error e = {0};
    (void)state;
    test_host_init(&h, 2);
    h.host.kernels = only;
    enum graft_status status = check_gradients(load(), &h.host, 0, &options, &report, &e);
    print_counts(&report);
    test_host_fini(&h);
    check_report_free(&report);
    assert_ok(status, &e);
}

int main(int argc, char **argv)
{
    if (argc > 1) only = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ops),
        cmocka_unit_test(test_gradients),
    };
    return TEST_MAIN(tests);
}

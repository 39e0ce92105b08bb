/* SPDX-License-Identifier: Apache-2.0
 *
 * The packing and the micro-kernels of narrow products, on emulated instructions: every edge of
 * rows, columns and depth against a product of the rounded numbers in double.
 */
/* Before cmocka, whose macro `fail` would hit a member of the builder's table. */
#include "graph/op.h"

#include "unit/test.h"

#include "check/check.h"
#include "conform/host.h"
#include "cpu/narrow_kernels.h"
#include "plugin/plugin.h"
#include "ref/half.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct cpu_narrow *const kernels[] = {&cpu_narrow_amx, &cpu_narrow_avx512};
static uint64_t seed = 4711;

static float uniform(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(seed >> 40) / 8388608.0f - 1.0f;
}

static void *take(int64_t count, size_t size)
{
    void *memory = malloc((size_t)count * size + 1);
    assert_non_null(memory);
    return memory;
}

static double rounded(float x)
{
    return (double)f32_from_bf16(bf16_from_f32(x));
}

struct shape {
    int64_t m, n, k;
};

/* c, which lies in rows of n + 3, is right, and the three numbers beside each row are untouched. */
static void compare(const struct shape *s, const float *a, const float *b, bool turned, bool add,
                    const float *before, const float *c, const char *name)
{
    for (int64_t i = 0; i < s->m; i++) {
        for (int64_t j = 0; j < s->n; j++) {
            double sum = add ? (double)before[i * (s->n + 3) + j] : 0.0, magnitude = fabs(sum);
            for (int64_t p = 0; p < s->k; p++) {
                double y = rounded(turned ? b[j * s->k + p] : b[p * s->n + j]);
                sum += rounded(a[i * s->k + p]) * y;
                magnitude += fabs(rounded(a[i * s->k + p]) * y);
            }
            double off = fabs((double)c[i * (s->n + 3) + j] - sum);
            if (!(off <= 1e-6 * (magnitude + 1e-3)))
                fail_msg("%s: m %d n %d k %d, [%d, %d]: off by %g of %g", name, (int)s->m,
                         (int)s->n, (int)s->k, (int)i, (int)j, off, magnitude);
        }
        for (int64_t j = s->n; j < s->n + 3; j++)
            assert_true(c[i * (s->n + 3) + j] == before[i * (s->n + 3) + j]);
    }
}

static void check(const struct cpu_narrow *kernel, const struct shape *s, bool turned, bool add)
{
    int64_t m = s->m, n = s->n, k = s->k, c_row = n + 3;
    int64_t padded = (m + NARROW_TILE - 1) / NARROW_TILE * NARROW_TILE;
    float *a = take(m * k, 4), *b = take(n * k, 4), *c = take(m * c_row, 4);
    float *before = take(m * c_row, 4);
    uint16_t *pa = take(padded * narrow_k(k), 2), *pb = take(narrow_packed(k, n), 2);
    for (int64_t i = 0; i < m * k; i++) a[i] = uniform();
    for (int64_t i = 0; i < n * k; i++) b[i] = uniform();
    for (int64_t i = 0; i < m * c_row; i++) c[i] = before[i] = uniform();
    memset(pa, 0, (size_t)(padded * narrow_k(k)) * sizeof *pa);
    narrow_pack_a(a, k, m, k, pa);
    if (turned)
        narrow_pack_columns(b, k, k, n, pb);
    else
        narrow_pack_rows(b, n, k, n, pb);
    kernel->gemm(&(struct narrow_gemm){.m = m,
                                       .n = n,
                                       .k = narrow_k(k),
                                       .a = pa,
                                       .a_row = narrow_k(k),
                                       .b = pb,
                                       .c = c,
                                       .c_row = c_row,
                                       .add = add});
    compare(s, a, b, turned, add, before, c, kernel->name);
    free(a);
    free(b);
    free(c);
    free(before);
    free(pa);
    free(pb);
}

static void test_products(void **state)
{
    static const int64_t rows[] = {1, 7, 8, 16, 17, 31, 32, 33, 65},
                         columns[] = {1, 8, 16, 17, 32, 33, 48, 64}, depths[] = {1, 31, 32, 33, 96};
    (void)state;
    for (size_t kernel = 0; kernel < 2; kernel++)
        for (size_t i = 0; i < 9; i++)
            for (size_t j = 0; j < 8; j++)
                for (size_t p = 0; p < 5; p++)
                    for (int way = 0; way < 4; way++) {
                        struct shape s = {rows[i], columns[j], depths[p]};
                        check(kernels[kernel], &s, way & 1, way & 2);
                    }
    check(&cpu_narrow_amx, &(struct shape){40, 96, 256}, true, false);
    check(&cpu_narrow_avx512, &(struct shape){40, 96, 256}, true, false);
}

/* What is not finite stays so, and a NaN does not become an infinity. */
static void test_special(void **state)
{
    const float from[4] = {INFINITY, -INFINITY, NAN, 3.4e38f};
    uint16_t to[NARROW_STEP];
    (void)state;
    narrow_pack_a(from, 4, 1, 4, to);
    assert_true(f32_from_bf16(to[0]) == INFINITY && f32_from_bf16(to[1]) == -INFINITY);
    assert_true(isnan(f32_from_bf16(to[2])));
    assert_true(isinf(f32_from_bf16(to[3]))); /* rounds up past the largest bf16 */
    for (int i = 4; i < NARROW_STEP; i++) assert_int_equal(to[i], 0);
}

#ifdef CPU_HAVE_X86
void narrow_pack_a_avx512(const float *, int64_t, int64_t, int64_t, uint16_t *);
void narrow_pack_rows_avx512(const float *, int64_t, int64_t, int64_t, uint16_t *);
void narrow_pack_columns_avx512(const float *, int64_t, int64_t, int64_t, uint16_t *);

/* AVX-512 packs the same words, whatever the bits: NaNs of every kind, infinities, subnormals. */
static void test_wide(void **state)
{
    enum { ROWS = 37, COLUMNS = 71 };
    static float from[ROWS * COLUMNS];
    uint16_t *plain = take(2 * 96 * 80, 2), *wide = take(2 * 96 * 80, 2);
    const size_t bytes = (size_t)2 * 96 * 80 * sizeof *plain;
    (void)state;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl"))
        skip();
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        uniform();
        uint32_t bits = (uint32_t)(seed >> 32);
        if (i % 3 == 0) bits |= 0x7F800000u;
        if (i % 12 == 0) bits |= 0x7FFFu;
        if (i % 7 == 0) bits |= 0x7FFFFFFFu;
        from[i] = float_from_bits(bits);
    }
    for (int way = 0; way < 3; way++) {
        memset(plain, 0, bytes);
        memset(wide, 0, bytes);
        if (way == 0) narrow_pack_a(from, COLUMNS, ROWS, COLUMNS, plain);
        if (way == 0) narrow_pack_a_avx512(from, COLUMNS, ROWS, COLUMNS, wide);
        if (way == 1) narrow_pack_rows(from, COLUMNS, ROWS, COLUMNS, plain);
        if (way == 1) narrow_pack_rows_avx512(from, COLUMNS, ROWS, COLUMNS, wide);
        if (way == 2) narrow_pack_columns(from, COLUMNS, COLUMNS, ROWS, plain);
        if (way == 2) narrow_pack_columns_avx512(from, COLUMNS, COLUMNS, ROWS, wide);
        assert_memory_equal(plain, wide, bytes);
    }
    free(plain);
    free(wide);
}
#endif

/* The backend's cases of one op on one of its paths, at one thread and at so many. */
static uint32_t conforms(const struct graft_backend *backend, const char *path, uint32_t threads,
                         const char *op)
{
    const struct check_options options = {.seed = 1, .op = op};
    struct check_report report = {0};
    struct test_host h[2];
    struct error e = {0};
    test_host_init(&h[0], 1);
    test_host_init(&h[1], threads);
    for (uint32_t i = 0; i < 2; i++) h[i].host.kernels = path;
    const struct graft_host *hosts[2] = {&h[0].host, &h[1].host};
    enum graft_status status =
        check_backend(backend, hosts, threads > 1 ? 2 : 1, 0, &options, &report, &e);
    uint32_t cases = report.cases;
    print_message("%s: %s: %u cases, %u failed\n%s", path, op, cases, report.failed,
                  report.text.data != NULL ? report.text.data : "");
    for (uint32_t i = 0; i < 2; i++) test_host_fini(&h[i]);
    check_report_free(&report);
    assert_ok(status, &e);
    return cases;
}

static const struct graft_backend *load(const char *name, const char *folder)
{
    const struct plugin *plugin = NULL;
    struct error e = {0};
    assert_ok(plugin_load(GRAFT_PLUGIN_BACKEND, name, folder, &plugin, &e), &e);
    return plugin->functions;
}

static bool has_path(const struct graft_backend *backend, const char *path)
{
    struct graft_device *device = NULL;
    struct test_host h;
    test_host_init(&h, 1);
    h.host.kernels = path;
    int32_t status = backend->open(&h.host, 0, &device);
    if (status == GRAFT_OK) backend->close(device);
    test_host_fini(&h);
    return status == GRAFT_OK;
}

/* Packing by the plain kernels, and by those of AVX-512 where the processor has it: once, whoever
 * multiplies what was packed. There are at least as many cases as without these instructions: the
 * bf16 cases did run. */
static void test_backend(void **state)
{
    static const struct {
        const char *name;
        uint32_t least;
    } ops[] = {{"matmul", 200}, {"head_loss", 100}, {"attention", 50}, {"attention_backward", 50}};
    (void)state;
    const struct graft_backend *plain = load("cpu", NULL);
    const struct graft_backend *amx = load(GRAFT_BUILD_DIR "/tests/narrow/amx/backend-cpu.so", ".");
    const struct graft_backend *avx512 =
        load(GRAFT_BUILD_DIR "/tests/narrow/avx512/backend-cpu.so", ".");
    bool wide = has_path(amx, "emulated512");
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        uint32_t least = conforms(plain, "baseline", 1, ops[i].name);
        if (least < ops[i].least) least = ops[i].least;
        assert_true(conforms(amx, "emulated", 2, ops[i].name) >= least);
        assert_true(conforms(avx512, "emulated", 2, ops[i].name) >= least);
        if (wide) assert_true(conforms(amx, "emulated512", 1, ops[i].name) >= least);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_special),
#ifdef CPU_HAVE_X86
        cmocka_unit_test(test_wide),
#endif
        cmocka_unit_test(test_backend),
    };
    return TEST_MAIN(tests);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The self-test tested: it passes the reference in both precisions, and catches backends that are
 * broken on purpose in one place each.
 */
#include "unit/test.h"

#include "check/check.h"
#include "check/reference.h"
#include "conform/host.h"
#include "ref/ref.h"

#include <string.h>

static enum graft_status run(const struct graft_backend *api, const char *op,
                             struct check_report *report, struct error *e)
{
    struct test_host h;
    const struct graft_host *hosts[] = {&h.host};
    struct check_options options = {.seed = 20240607, .op = op};
    test_host_init(&h, 1);
    enum graft_status status = check_backend(api, hosts, 1, 0, &options, report, e);
    test_host_fini(&h);
    return status;
}

static void pass(bool f64)
{
    struct check_report report = {0};
    struct error e = {0};
    int64_t live = mem_live_count();
    enum graft_status status = run(reference_backend(f64), NULL, &report, &e);
    if (status != GRAFT_OK) fail_msg("%s\n%s", e.text, report.text.data ? report.text.data : "");
    assert_true(report.cases > 400);
    /* Every op that a backend must have was tried. */
    for (int32_t op = 1; op < CHECK_MAX_OPS; op++)
        if (ref_kernel(op) != NULL && report.op[op].cases == 0) fail_msg("no case of op %d", op);
    check_report_free(&report);
    assert_int_equal(mem_live_count(), live);
}

static void test_reference_passes(void **state)
{
    (void)state;
    pass(false);
}

static void test_reference_f64_passes(void **state)
{
    (void)state;
    pass(true);
}

static enum graft_status run_gradients(const struct graft_backend *api, const char *op,
                                       struct check_report *report, struct error *e)
{
    struct test_host h;
    struct check_options options = {.seed = 20240607, .op = op};
    test_host_init(&h, 1);
    enum graft_status status = check_gradients(api, &h.host, 0, &options, report, e);
    test_host_fini(&h);
    return status;
}

/* The rules of core/graph hold in double, and the float reference gives the same gradients. */
static void test_gradients(void **state)
{
    static const int32_t without[] = {GRAFT_OP_FINITE,
                                      GRAFT_OP_MINIMUM,
                                      GRAFT_OP_MAXIMUM,
                                      GRAFT_OP_DEQUANTIZE,
                                      GRAFT_OP_EMBEDDING_BACKWARD,
                                      GRAFT_OP_ENCODE,
                                      GRAFT_OP_DECODE,
                                      GRAFT_OP_RMS_NORM_BACKWARD,
                                      GRAFT_OP_ROPE_TABLE,
                                      GRAFT_OP_SWIGLU_BACKWARD,
                                      GRAFT_OP_ATTENTION_BACKWARD,
                                      GRAFT_OP_CROSS_ENTROPY_BACKWARD,
                                      GRAFT_OP_ASSIGN,
                                      GRAFT_OP_ACCUMULATE,
                                      GRAFT_OP_WRITE_ROWS};
    struct check_report report = {0};
    struct error e = {0};
    int64_t live = mem_live_count();
    (void)state;
    enum graft_status status = run_gradients(reference_backend(false), NULL, &report, &e);
    if (status != GRAFT_OK) fail_msg("%s\n%s", e.text, report.text.data ? report.text.data : "");
    for (int32_t op = 1; op < CHECK_MAX_OPS; op++) {
        bool none = ref_kernel(op) == NULL;
        for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) none |= without[i] == op;
        if (!none && report.op[op].cases == 0) fail_msg("no gradient of op %d", op);
    }
    check_report_free(&report);
    assert_int_equal(mem_live_count(), live);
}

static void test_no_case_fails(void **state)
{
    struct check_report report = {0};
    struct error e = {0};
    (void)state;
    assert_int_equal(run(reference_backend(false), "no_such_op", &report, &e), GRAFT_E_FAILED);
    assert_string_equal(e.text, "no case of op no_such_op ran");
}

/* One broken kernel in an otherwise right backend. */
static kernel_function *broken;
static int32_t broken_op;

static kernel_function *lookup(int32_t op)
{
    return op == broken_op ? broken : ref_kernel(op);
}

static int32_t open_broken(const struct graft_host *host, uint32_t index, struct graft_device **out)
{
    int32_t status = reference_backend(false)->open(host, index, out);
    if (status == GRAFT_OK) reference_set_kernels(*out, lookup);
    return status;
}

/* The failure is found, under the op's name, and the text has what is needed to replay it. */
static void caught(const struct graft_backend *api, const char *op, const char *what)
{
    struct check_report report = {0};
    struct error e = {0};
    enum graft_status status = run(api, op, &report, &e);
    if (status == GRAFT_OK) fail_msg("not caught: %s", what);
    assert_int_equal(status, GRAFT_E_FAILED);
    assert_true(report.failed > 0);
    assert_non_null(strstr(e.text, "seed 20240607"));
    if (strstr(e.text, what) == NULL) fail_msg("\"%s\" does not say \"%s\"", e.text, what);
    check_report_free(&report);
}

static void caught_kernel(int32_t op, kernel_function *kernel, const char *name, const char *what)
{
    struct graft_backend api = *reference_backend(false);
    api.open = open_broken;
    broken_op = op;
    broken = kernel;
    caught(&api, name, what);
}

/* Reads of x after writes: right unless the output lies in x's memory. */
static void norm_late_read(const struct kernel_call *call)
{
    float *y = call->out[0].data;
    for (int64_t i = 0; i < graft_shape_count(call->out[0].shape); i++) y[i] = 0;
    ref_kernel(GRAFT_OP_RMS_NORM)(call);
}

static void test_reads_after_writes(void **state)
{
    (void)state;
    caught_kernel(GRAFT_OP_RMS_NORM, norm_late_read, "rms_norm", "in place of input 0");
}

/* Adds into an output that it should overwrite. */
static void matmul_adds(const struct kernel_call *call)
{
    float *out = call->out[0].data, old[64];
    int64_t count = graft_shape_count(call->out[0].shape);
    if (count > 64) count = 64;
    memcpy(old, out, (size_t)count * sizeof *out);
    ref_kernel(GRAFT_OP_MATMUL)(call);
    for (int64_t i = 0; i < count; i++) out[i] += old[i];
}

/* The same, with a first run that hides the poison: only a second run shows it. */
static void sum_keeps(const struct kernel_call *call)
{
    float *out = call->out[0].data, old = out[0];
    ref_kernel(GRAFT_OP_SUM)(call);
    if (graft_shape_count(call->out[0].shape) > 0 && old == old) out[0] += old;
}

static void test_accumulators_not_cleared(void **state)
{
    (void)state;
    caught_kernel(GRAFT_OP_MATMUL, matmul_adds, "matmul", "expected");
    caught_kernel(GRAFT_OP_SUM, sum_keeps, "sum", "in a second run");
}

static void matmul_drops_row(const struct kernel_call *call)
{
    struct kernel_call cut = *call;
    int ta = call->params.matmul.transpose_a;
    if (call->in[0].shape.rank == 2 && !ta && cut.in[0].shape.dim[0] > 64)
        cut.in[0].shape.dim[0] = 64;
    ref_kernel(GRAFT_OP_MATMUL)(&cut);
}

static void test_last_row_dropped(void **state)
{
    (void)state;
    caught_kernel(GRAFT_OP_MATMUL, matmul_drops_row, "matmul", "[64, 0]");
}

/* Vectors of four numbers, without a tail. */
static void silu_past_end(const struct kernel_call *call)
{
    float *out = call->out[0].data;
    int64_t count = graft_shape_count(call->out[0].shape);
    ref_kernel(GRAFT_OP_SILU)(call);
    if (count % 4 != 0) out[count] = 0.0f;
}

static void test_writes_past_end(void **state)
{
    (void)state;
    caught_kernel(GRAFT_OP_SILU, silu_past_end, "silu", "past the end of output 0");
}

/* Whole capacities instead of live rows. */
static int32_t create_fixed(struct graft_device *device, const struct graft_program_desc *desc,
                            struct graft_program **out, uint64_t *scratch)
{
    struct graft_tensor tensors[16];
    struct graft_program_desc fixed = *desc;
    memcpy(tensors, desc->tensors, desc->tensor_count * sizeof tensors[0]);
    for (uint32_t i = 0; i < desc->tensor_count; i++) tensors[i].rows = GRAFT_ROWS_FIXED;
    fixed.tensors = tensors;
    return reference_backend(false)->program_create(device, &fixed, out, scratch);
}

static void test_live_rows_ignored(void **state)
{
    struct graft_backend api = *reference_backend(false);
    (void)state;
    api.program_create = create_fixed;
    caught(&api, "sum", "live 211");
}

static void rope_in_input(const struct kernel_call *call)
{
    float *table = call->in[1].data;
    ref_kernel(GRAFT_OP_ROPE)(call);
    if (call->in[0].shape.dim[0] > 0) table[0] += 1.0f;
}

static void test_input_changed(void **state)
{
    (void)state;
    caught_kernel(GRAFT_OP_ROPE, rope_in_input, "rope", "input 1 was changed");
}

static void swiglu_sign(const struct kernel_call *call)
{
    float *dup = call->out[1].data;
    ref_kernel(GRAFT_OP_SWIGLU_BACKWARD)(call);
    for (int64_t i = 0; dup && i < graft_shape_count(call->in[0].shape); i++) dup[i] = -dup[i];
}

static void test_gradient_sign(void **state)
{
    (void)state;
    caught_kernel(GRAFT_OP_SWIGLU_BACKWARD, swiglu_sign, "swiglu_backward", "output 1 at [0, 0]");
}

/* A wrong gradient of a whole program is seen too. */
static void test_gradient_on_device(void **state)
{
    struct graft_backend api = *reference_backend(false);
    struct check_report report = {0};
    struct error e = {0};
    (void)state;
    api.open = open_broken;
    broken_op = GRAFT_OP_SWIGLU_BACKWARD;
    broken = swiglu_sign;
    assert_int_equal(run_gradients(&api, "swiglu", &report, &e), GRAFT_E_FAILED);
    assert_non_null(strstr(e.text, "gradient of input 1 on the device"));
    check_report_free(&report);
}

static void wide_window(const struct kernel_call *call)
{
    struct kernel_call wide = *call;
    if (wide.params.attention.window > 0) wide.params.attention.window++;
    ref_kernel(call->op)(&wide);
}

static void test_window_off_by_one(void **state)
{
    (void)state;
    caught_kernel(GRAFT_OP_ATTENTION, wide_window, "attention", "window 5");
    caught_kernel(GRAFT_OP_ATTENTION_BACKWARD, wide_window, "attention_backward", "window 5");
}

/* The gradient of the prefix's values without the last query. */
static void prefix_last_row(const struct kernel_call *call)
{
    struct kernel_call cut = *call;
    ref_kernel(call->op)(call);
    cut.out[0].data = cut.out[1].data = cut.out[2].data = cut.out[3].data = NULL;
    cut.in[1].data = cut.in[2].data = cut.in[3].data = cut.in[4].data = NULL;
    if (cut.out[4].data == NULL || cut.in[0].shape.dim[0] < 2) return;
    cut.in[0].shape.dim[0] -= 1;
    ref_kernel(call->op)(&cut);
}

static void no_prefix(const struct kernel_call *call)
{
    struct kernel_call cut = *call;
    if (cut.in[1].data != NULL) cut.in[5].data = cut.in[6].data = NULL;
    ref_kernel(call->op)(&cut);
}

static void test_prefix_lost(void **state)
{
    (void)state;
    caught_kernel(GRAFT_OP_ATTENTION, no_prefix, "attention", "prefix 1");
    caught_kernel(GRAFT_OP_ATTENTION_BACKWARD, prefix_last_row, "attention_backward", "output 4");
}

/* Writes the values over the queries and reads the queries of the next head after. */
static void attention_over_queries(const struct kernel_call *call)
{
    struct kernel_call moved = *call;
    moved.out[0].data = call->in[0].data;
    ref_kernel(GRAFT_OP_ATTENTION)(&moved);
    memcpy(call->out[0].data, call->in[0].data,
           (size_t)graft_shape_count(call->out[0].shape) * sizeof(float));
}

static void test_attention_in_place(void **state)
{
    (void)state;
    caught_kernel(GRAFT_OP_ATTENTION, attention_over_queries, "attention", "attention");
}

/* bf16 products: an error of 2^-9 of every term. */
static void matmul_bf16(const struct kernel_call *call)
{
    float *out = call->out[0].data;
    ref_kernel(GRAFT_OP_MATMUL)(call);
    for (int64_t i = 0; i < graft_shape_count(call->out[0].shape); i++) {
        uint32_t bits;
        memcpy(&bits, &out[i], sizeof bits);
        bits &= 0xFFFF0000u;
        memcpy(&out[i], &bits, sizeof bits);
    }
}

static void dropout_other_mask(const struct kernel_call *call)
{
    struct kernel_call other = *call;
    other.params.dropout.key[1] ^= 1;
    ref_kernel(GRAFT_OP_DROPOUT)(&other);
}

static void head_untrained(const struct kernel_call *call)
{
    const int32_t *target = call->in[2].data;
    float *nll = call->out[0].data;
    ref_kernel(GRAFT_OP_HEAD_LOSS)(call);
    for (int64_t r = 0; nll && r < call->in[0].shape.dim[0]; r++)
        if (target[r] < 0) nll[r] = 1.0f;
}

static void assign_unguarded(const struct kernel_call *call)
{
    struct kernel_call open = *call;
    open.in[2].data = NULL;
    ref_kernel(GRAFT_OP_ASSIGN)(&open);
}

static void test_wrong_numbers(void **state)
{
    (void)state;
    caught_kernel(GRAFT_OP_MATMUL, matmul_bf16, "matmul", "expected");
    caught_kernel(GRAFT_OP_DROPOUT, dropout_other_mask, "dropout", "expected");
    caught_kernel(GRAFT_OP_HEAD_LOSS, head_untrained, "head_loss", "output 0");
    caught_kernel(GRAFT_OP_ASSIGN, assign_unguarded, "assign", "guard 0");
}

static void *leaked;

static int32_t open_leaking(const struct graft_host *host, uint32_t index,
                            struct graft_device **out)
{
    leaked = host->alloc(host->context, 16);
    return reference_backend(false)->open(host, index, out);
}

static void test_leak(void **state)
{
    struct graft_backend api = *reference_backend(false);
    struct check_report report = {0};
    struct error e = {0};
    (void)state;
    api.open = open_leaking;
    assert_int_equal(run(&api, "dropout", &report, &e), GRAFT_E_FAILED);
    assert_non_null(strstr(e.text, "unreleased"));
    mem_free(leaked);
    check_report_free(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_passes),
        cmocka_unit_test(test_reference_f64_passes),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_no_case_fails),
        cmocka_unit_test(test_reads_after_writes),
        cmocka_unit_test(test_accumulators_not_cleared),
        cmocka_unit_test(test_last_row_dropped),
        cmocka_unit_test(test_writes_past_end),
        cmocka_unit_test(test_live_rows_ignored),
        cmocka_unit_test(test_input_changed),
        cmocka_unit_test(test_gradient_sign),
        cmocka_unit_test(test_gradient_on_device),
        cmocka_unit_test(test_window_off_by_one),
        cmocka_unit_test(test_attention_in_place),
        cmocka_unit_test(test_prefix_lost),
        cmocka_unit_test(test_wrong_numbers),
        cmocka_unit_test(test_leak),
    };
    return TEST_MAIN(tests);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The reference kernels against PyTorch and bitsandbytes: ref.json is written by make_ref_data.py,
 * in double but for 8-bit codes, backward passes by autograd. The double kernels must agree to the
 * 13 digits written, the float kernels to f32's.
 */
/* Before cmocka, whose macro `fail` would hit a member of the builder's table. */
#include "graph/op.h"

#include "unit/test.h"

#include "base/json.h"
#include "base/memory.h"
#include "ref/ref.h"

#include <math.h>
#include <string.h>

static int32_t op_of(const char *name)
{
    for (int32_t op = 1; op < 128; op++)
        if (op_info(op) != NULL && strcmp(op_info(op)->name, name) == 0) return op;
    fail_msg("no op %s", name);
    return 0;
}

static double number(const json_t *p, const char *key)
{
    return json_number_value(json_object_get(p, key));
}

static int32_t whole(const json_t *p, const char *key)
{
    return (int32_t)number(p, key);
}

static union graft_params params_of(int32_t op, const json_t *p)
{
    union graft_params out;
    memset(&out, 0, sizeof out);
    switch (op) {
    case GRAFT_OP_AFFINE:
        out.affine.scale = number(p, "scale");
        out.affine.shift = number(p, "shift");
        break;
    case GRAFT_OP_SUM: out.sum.axes = whole(p, "axes"); break;
    case GRAFT_OP_MATMUL:
        out.matmul.transpose_a = whole(p, "transpose_a");
        out.matmul.transpose_b = whole(p, "transpose_b");
        break;
    case GRAFT_OP_RMS_NORM:
    case GRAFT_OP_RMS_NORM_BACKWARD: out.norm.eps = number(p, "eps"); break;
    case GRAFT_OP_ROPE_TABLE:
    case GRAFT_OP_ROPE:
        out.rope.factor = number(p, "factor");
        out.rope.head_size = whole(p, "head_size");
        out.rope.rotary = whole(p, "rotary");
        out.rope.interleaved = whole(p, "interleaved");
        out.rope.inverse = whole(p, "inverse");
        break;
    case GRAFT_OP_ATTENTION:
    case GRAFT_OP_ATTENTION_BACKWARD:
        out.attention.scale = number(p, "scale");
        out.attention.softcap = number(p, "softcap");
        out.attention.heads = whole(p, "heads");
        out.attention.kv_heads = whole(p, "kv_heads");
        out.attention.head_size = whole(p, "head_size");
        out.attention.window = whole(p, "window");
        break;
    case GRAFT_OP_SLICE:
    case GRAFT_OP_PLACE:
        out.slice.axis = whole(p, "axis");
        out.slice.begin = whole(p, "begin");
        out.slice.length = whole(p, "length");
        break;
    case GRAFT_OP_PERMUTE:
        for (size_t i = 0; i < json_array_size(json_object_get(p, "axes")); i++)
            out.permute.axis[i] =
                (int32_t)json_integer_value(json_array_get(json_object_get(p, "axes"), i));
        break;
    case GRAFT_OP_SKEW:
    case GRAFT_OP_SKEW_BACKWARD: out.skew.size = whole(p, "size"); break;
    case GRAFT_OP_EMBEDDING:
    case GRAFT_OP_EMBEDDING_BACKWARD:
        out.embedding.first = whole(p, "first");
        out.embedding.rows = whole(p, "rows");
        break;
    case GRAFT_OP_ENCODE:
    case GRAFT_OP_DECODE: out.codes.block = whole(p, "block"); break;
    case GRAFT_OP_SCATTER_ROWS: out.rows.capacity = whole(p, "capacity"); break;
    default: break;
    }
    return out;
}

static int32_t dtype_of(const char *name, bool wide)
{
    if (strcmp(name, "i32") == 0) return GRAFT_DTYPE_I32;
    if (strcmp(name, "u8") == 0) return GRAFT_DTYPE_U8;
    return wide ? GRAFT_DTYPE_F64 : GRAFT_DTYPE_F32;
}

static void put(const struct kernel_tensor *t, size_t i, double value)
{
    switch (t->dtype) {
    case GRAFT_DTYPE_I32: ((int32_t *)t->data)[i] = (int32_t)value; break;
    case GRAFT_DTYPE_U8: ((uint8_t *)t->data)[i] = (uint8_t)value; break;
    case GRAFT_DTYPE_F64: ((double *)t->data)[i] = value; break;
    default: ((float *)t->data)[i] = (float)value; break;
    }
}

/* A tensor of the file, null: absent; numbers in the kernel's type. `fill` false: NaNs instead. */
static struct kernel_tensor tensor_of(struct arena *arena, const json_t *t, bool wide, bool fill)
{
    const json_t *shape = json_object_get(t, "shape"), *data = json_object_get(t, "data");
    if (json_is_null(t)) return (struct kernel_tensor){.data = NULL};
    struct kernel_tensor out = {.shape = {{1, 1, 1, 1}, (int32_t)json_array_size(shape)}};
    out.dtype = dtype_of(json_string_value(json_object_get(t, "dtype")), wide);
    bool floats = out.dtype == GRAFT_DTYPE_F32 || out.dtype == GRAFT_DTYPE_F64;
    for (size_t i = 0; i < json_array_size(shape); i++)
        out.shape.dim[i] = json_integer_value(json_array_get(shape, i));
    assert_int_equal(graft_shape_count(out.shape), json_array_size(data));
    out.data = arena_alloc(arena, json_array_size(data), sizeof(double));
    assert_non_null(out.data);
    for (size_t i = 0; i < json_array_size(data); i++)
        put(&out, i, fill ? json_number_value(json_array_get(data, i)) : floats ? NAN : 77.0);
    return out;
}

static double value_of(const struct kernel_tensor *t, int64_t i)
{
    if (t->dtype == GRAFT_DTYPE_I32) return ((const int32_t *)t->data)[i];
    if (t->dtype == GRAFT_DTYPE_U8) return ((const uint8_t *)t->data)[i];
    if (t->dtype == GRAFT_DTYPE_F64) return ((const double *)t->data)[i];
    return ((const float *)t->data)[i];
}

static void compare(const char *name, const json_t *expected, const struct kernel_tensor *found,
                    double tolerance)
{
    const json_t *data = json_object_get(expected, "data");
    for (size_t i = 0; i < json_array_size(data); i++) {
        double want = json_number_value(json_array_get(data, i));
        double have = value_of(found, (int64_t)i);
        if (!(fabs(want - have) <= tolerance * (1.0 + fabs(want))))
            fail_msg("%s: element %zu: expected %.13g, found %.13g", name, i, want, have);
    }
}

static void run_case(const json_t *c, bool wide)
{
    const char *name = json_string_value(json_object_get(c, "op"));
    const json_t *in = json_object_get(c, "in"), *out = json_object_get(c, "out");
    struct arena arena = {NULL};
    struct kernel_call call = {.op = op_of(name)};
    call.params = params_of(call.op, json_object_get(c, "params"));
    for (size_t i = 0; i < json_array_size(in); i++)
        call.in[i] = tensor_of(&arena, json_array_get(in, i), wide, true);
    for (size_t i = 0; i < json_array_size(out); i++)
        call.out[i] = tensor_of(&arena, json_array_get(out, i), wide, false);
    (wide ? ref_kernel_f64 : ref_kernel)(call.op)(&call);
    for (size_t i = 0; i < json_array_size(out); i++)
        if (call.out[i].data != NULL)
            compare(name, json_array_get(out, i), &call.out[i],
                    wide && call.op != GRAFT_OP_DECODE ? 1e-11 : 1e-5);
    arena_free(&arena);
}

static void run_all(bool wide)
{
    json_t *file = NULL;
    struct error e = {0};
    assert_ok(json_read_file(GRAFT_TEST_DIR "/conform/ref.json", 1 << 20, &file, &e), &e);
    const json_t *cases = json_object_get(file, "cases");
    assert_true(json_array_size(cases) >= 60);
    for (size_t i = 0; i < json_array_size(cases); i++) run_case(json_array_get(cases, i), wide);
    json_decref(file);
}

static void test_double(void **state)
{
    (void)state;
    run_all(true);
}

static void test_float(void **state)
{
    (void)state;
    run_all(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_double),
        cmocka_unit_test(test_float),
    };
    return TEST_MAIN(tests);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The data of a case: inputs, what the double reference makes of them, budgets.
 */
#include "check/case.h"
#include "ref/quant.h"
#include "ref/ref.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void case_begin(struct check_case *c, int32_t op, const char *format, ...)
{
    va_list args;
    memset(c, 0, sizeof *c);
    c->op = op;
    va_start(args, format);
    vsnprintf(c->name, sizeof c->name, format, args);
    va_end(args);
}

struct check_input *case_input(struct check_case *c, enum fill fill, struct graft_shape shape,
                               int32_t rows)
{
    struct check_input *in = &c->in[c->input_count++];
    bool whole = fill >= FILL_INDEX && fill <= FILL_WORD;
    int32_t dtype = whole ? GRAFT_DTYPE_I32 : fill == FILL_CODE ? GRAFT_DTYPE_U8 : GRAFT_DTYPE_F32;
    *in = (struct check_input){.dtype = dtype, .rows = rows, .shape = shape, .fill = fill};
    return in;
}

bool case_make(const struct check_family *family, uint32_t index, int32_t compute,
               struct check_case *c)
{
    family->make(index, c);
    c->index = index;
    int32_t *asked = op_compute(c->op, c->in[0].shape, &c->params);
    if (compute == GRAFT_DTYPE_F32) return true;
    if (asked == NULL) return false;
    *asked = c->compute = compute;
    return true;
}

void case_live(struct check_case *c, int64_t tokens, int64_t trained)
{
    c->live[GRAFT_ROWS_TOKENS] = tokens;
    c->live[GRAFT_ROWS_TRAINED] = trained;
}

static struct graft_shape shape_live(struct graft_shape s, int32_t rows, const int64_t *live)
{
    if (rows != GRAFT_ROWS_FIXED) s.dim[0] = live[rows];
    return s;
}

uint64_t check_bytes(const struct check_input *in)
{
    if (in->dtype == GRAFT_DTYPE_NF4)
        return nf4_bytes(graft_shape_count(in->shape), 64, in->limit == 0);
    return dtype_bytes(in->dtype, in->shape);
}

static double *doubles(struct check_data *d, const float *from, int64_t count)
{
    double *out = arena_alloc(&d->arena, (size_t)count + 1, sizeof *out);
    for (int64_t i = 0; out != NULL && from != NULL && i < count; i++) out[i] = from[i];
    return out;
}

double *check_weight_f64(struct check_data *d, uint32_t input)
{
    const struct check_input *in = &d->c.in[input];
    int64_t rows = in->shape.dim[0], cols = in->shape.dim[1];
    float *x = arena_alloc(&d->arena, (size_t)(rows * cols) + 1, sizeof *x);
    if (x == NULL) return NULL;
    dequantize_tile(in->dtype, d->in[input], cols, 0, rows, 0, cols, x);
    return doubles(d, x, rows * cols);
}

/* One input as it is uploaded, and as the double reference reads it. */
static bool make_input(struct check_data *d, uint32_t i, struct draw *draw)
{
    const struct check_input *in = &d->c.in[i];
    struct kernel_tensor *t = &d->call.in[i];
    if (in->shape.rank == 0) return true;
    d->in_bytes[i] = check_bytes(in);
    d->in[i] = arena_alloc(&d->arena, (size_t)d->in_bytes[i] + 64, 1);
    if (d->in[i] == NULL) return false;
    memset(d->in[i], 0xFF, (size_t)d->in_bytes[i]); /* dead rows: NaN, -1 */
    t->shape = shape_live(in->shape, in->rows, d->c.live);
    t->dtype = in->dtype;
    t->data = d->in[i];
    int64_t count = graft_shape_count(t->shape);
    if (!fill_input(in, count, draw, d->in[i], &d->arena)) return false;
    if (in->dtype != GRAFT_DTYPE_F32) return true;
    t->dtype = GRAFT_DTYPE_F64;
    return (t->data = doubles(d, d->in[i], count)) != NULL;
}

/* Derived inputs were made in double; a backend gets f32, and the reference the same numbers. */
static void round_inputs(struct check_data *d)
{
    for (uint32_t i = 0; i < d->c.input_count; i++) {
        if (d->call.in[i].dtype != GRAFT_DTYPE_F64) continue;
        double *x = d->call.in[i].data;
        float *y = d->in[i];
        int64_t count = graft_shape_count(d->call.in[i].shape);
        for (int64_t k = 0; k < count; k++) x[k] = y[k] = (float)x[k];
    }
}

static enum graft_status make_inputs(struct check_data *d, const struct check_family *family,
                                     uint64_t seed, struct error *e)
{
    struct draw draw = {.left = 0};
    for (uint32_t i = 0; i <= d->c.input_count; i++) {
        draw = (struct draw){.key = random_key(seed, RANDOM_INIT, i, d->c.name, 0)};
        if (i < d->c.input_count && !make_input(d, i, &draw))
            return error_memory(e, "the inputs of a case", (size_t)d->in_bytes[i]);
    }
    if (family->derive != NULL) {
        family->derive(d, &draw);
        round_inputs(d);
    }
    return GRAFT_OK;
}

static bool make_outputs(struct check_data *d)
{
    for (uint32_t i = 0; i < d->info->outputs; i++) {
        struct kernel_tensor *t = &d->call.out[i];
        if (d->out[i].shape.rank == 0) {
            d->c.absent |= 1u << i;
            continue;
        }
        t->shape = shape_live(d->out[i].shape, d->out[i].rows, d->c.live);
        t->dtype = d->out[i].dtype == GRAFT_DTYPE_F32 ? GRAFT_DTYPE_F64 : d->out[i].dtype;
        d->out_bytes[i] = dtype_bytes(d->out[i].dtype, d->out[i].shape);
        t->data = doubles(d, NULL, graft_shape_count(t->shape));
        d->budget[i] = doubles(d, NULL, graft_shape_count(t->shape));
        if (t->data == NULL || d->budget[i] == NULL) return false;
    }
    return true;
}

/* An op that writes does it on a copy, which is then its output. */
static void run_reference(struct check_data *d)
{
    struct kernel_call call = d->call;
    if (d->info->writes) {
        size_t size = call.in[0].dtype == GRAFT_DTYPE_F64
                          ? sizeof(double)
                          : (size_t)dtype_bytes(call.in[0].dtype, graft_shape1(1));
        memcpy(call.out[0].data, call.in[0].data,
               (size_t)graft_shape_count(call.in[0].shape) * size);
        call.in[0].data = call.out[0].data;
    }
    ref_kernel_f64(d->c.op)(&call);
}

/* Magnitudes become what an error is compared with. Zero magnitudes keep the smallest normal
 * number, so that flushing denormals is no failure where rounding is allowed at all. */
static void scale_budgets(struct check_data *d, int64_t length)
{
    double units = check_budget(d->c.op, length, d->c.compute);
    for (uint32_t i = 0; i < d->info->outputs; i++) {
        int64_t count = graft_shape_count(d->call.out[i].shape);
        for (int64_t k = 0; k < count; k++)
            d->budget[i][k] = units * (0x1p-24 * d->budget[i][k] + (double)FLT_MIN);
    }
}

enum graft_status check_data_init(struct check_data *d, const struct check_family *family,
                                  const struct check_case *c, uint64_t seed, struct error *e)
{
    struct op_shape in[GRAFT_MAX_INPUTS] = {{{{0}, 0}, 0, 0}};
    memset(d, 0, sizeof *d);
    d->c = *c;
    d->info = op_info(d->c.op);
    if (d->info == NULL || ref_kernel_f64(d->c.op) == NULL)
        return error_set(e, GRAFT_E_FAILED, "op %d has no reference", d->c.op);
    for (uint32_t i = 0; i < d->c.input_count; i++)
        in[i] = (struct op_shape){d->c.in[i].shape, d->c.in[i].dtype, d->c.in[i].rows};
    if (!d->info->infer(in, &d->c.params, d->out, e))
        return error_place(e, "%s %s", d->info->name, d->c.name);
    if (d->c.op == GRAFT_OP_BROADCAST && d->c.live[GRAFT_ROWS_TOKENS] > 0)
        d->out[0].rows = GRAFT_ROWS_TOKENS; /* what graph_broadcast says beside the params */
    d->call.op = d->c.op;
    d->call.params = d->c.params;
    enum graft_status status = make_inputs(d, family, seed, e);
    if (status != GRAFT_OK) return status;
    if (!make_outputs(d)) return error_memory(e, "the outputs of a case", 0);
    run_reference(d);
    scale_budgets(d, family->magnitude(d));
    return GRAFT_OK;
}

void check_data_fini(struct check_data *d)
{
    arena_free(&d->arena);
}

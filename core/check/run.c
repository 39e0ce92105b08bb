/* SPDX-License-Identifier: Apache-2.0
 *
 * One case as a program of one node: placed between guard bands in two buffers, outputs poisoned,
 * run, and everything that lies in the buffers looked at after.
 */
#include "check/run.h"

#include <math.h>
#include <string.h>

enum { BUFFERS = 2, GUARD = 256, ALIGNMENT = 64, TENSORS = GRAFT_MAX_INPUTS + GRAFT_MAX_OUTPUTS };

/* NaNs that no kernel makes, so that a read past an end shows as well as a write. */
static const uint8_t guard_pattern[4] = {0xE1, 0xC3, 0xA5, 0xFF};

struct layout {
    struct graft_node node;
    uint32_t tensor_count;
    struct graft_tensor tensor[TENSORS];
    uint64_t tensor_bytes[TENSORS];
    uint64_t bytes[BUFFERS];
    uint8_t *before[BUFFERS], *after[BUFFERS];
    struct graft_buffer *buffer[BUFFERS];
    struct graft_program *program;
};

bool may_alias(const struct check_data *d, int input)
{
    const struct check_input *in = &d->c.in[input];
    const struct op_shape *out = &d->out[0];
    bool allowed = d->c.op == GRAFT_OP_RESHAPE ? input == 0 : d->info->in_place >> input & 1;
    if (!allowed || (d->c.absent & 1) || (uint32_t)input >= d->c.input_count) return false;
    if (d->c.op == GRAFT_OP_RESHAPE) return true;
    return in->dtype == out->dtype && in->rows == out->rows && in->shape.rank == out->shape.rank &&
           memcmp(in->shape.dim, out->shape.dim, sizeof in->shape.dim) == 0;
}

/* Tensors alternate between the buffers, each after a guard band. */
static uint32_t place(struct layout *l, struct op_shape s, uint64_t bytes)
{
    uint32_t number = l->tensor_count++, buffer = number % BUFFERS;
    uint64_t offset = (l->bytes[buffer] + GUARD + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    l->tensor[number] = (struct graft_tensor){
        .dtype = s.dtype, .rows = s.rows, .shape = s.shape, .buffer = buffer, .offset = offset};
    l->tensor_bytes[number] = bytes;
    l->bytes[buffer] = offset + bytes;
    return number;
}

static void place_all(struct layout *l, const struct check_data *d, int alias)
{
    memset(l, 0, sizeof *l);
    l->node.op = d->c.op;
    l->node.params = d->c.params;
    l->node.input_count = d->c.input_count;
    l->node.output_count = d->info->outputs;
    for (uint32_t i = 0; i < d->c.input_count; i++) {
        const struct check_input *in = &d->c.in[i];
        struct op_shape s = {in->shape, in->dtype, in->rows};
        l->node.input[i] = in->shape.rank == 0 ? GRAFT_ABSENT : place(l, s, d->in_bytes[i]);
    }
    if (d->info->writes) alias = 0;
    for (uint32_t i = 0; i < d->info->outputs; i++) {
        if (d->c.absent >> i & 1) {
            l->node.output[i] = GRAFT_ABSENT;
            continue;
        }
        l->node.output[i] = place(l, d->out[i], d->out_bytes[i]);
        if (i == 0 && alias >= 0) {
            const struct graft_tensor *in = &l->tensor[l->node.input[alias]];
            l->tensor[l->node.output[0]].buffer = in->buffer;
            l->tensor[l->node.output[0]].offset = in->offset;
        }
    }
    for (int i = 0; i < BUFFERS; i++) l->bytes[i] += GUARD;
}

static void layout_fini(struct layout *l, const struct bench *b)
{
    b->api->program_destroy(l->program);
    for (int i = 0; i < BUFFERS; i++) {
        b->api->buffer_destroy(l->buffer[i]);
        mem_free(l->before[i]);
        mem_free(l->after[i]);
    }
}

/* What the buffers hold before a run. */
static bool fill_images(struct layout *l, const struct check_data *d)
{
    for (int i = 0; i < BUFFERS; i++) {
        l->before[i] = mem_alloc((size_t)l->bytes[i]);
        l->after[i] = mem_alloc((size_t)l->bytes[i]);
        if (l->before[i] == NULL || l->after[i] == NULL) return false;
        for (uint64_t k = 0; k < l->bytes[i]; k++) l->before[i][k] = guard_pattern[k % 4];
    }
    for (uint32_t i = 0; i < l->node.output_count; i++) {
        if (l->node.output[i] == GRAFT_ABSENT) continue;
        const struct graft_tensor *t = &l->tensor[l->node.output[i]];
        memset(l->before[t->buffer] + t->offset, 0xFF, (size_t)d->out_bytes[i]);
    }
    for (uint32_t i = 0; i < l->node.input_count; i++) {
        if (l->node.input[i] == GRAFT_ABSENT) continue;
        const struct graft_tensor *t = &l->tensor[l->node.input[i]];
        if (d->in_bytes[i] > 0)
            memcpy(l->before[t->buffer] + t->offset, d->in[i], (size_t)d->in_bytes[i]);
    }
    return true;
}

static enum graft_status upload(struct layout *l, const struct bench *b, struct error *e)
{
    for (int i = 0; i < BUFFERS; i++) {
        int32_t status = b->api->buffer_write(l->buffer[i], 0, l->before[i], l->bytes[i]);
        if (status != GRAFT_OK) return bench_failed(b, "buffer_write", status, e);
    }
    return GRAFT_OK;
}

static enum graft_status prepare(struct layout *l, const struct bench *b,
                                 const struct check_data *d, struct error *e)
{
    uint64_t scratch = 0;
    if (!fill_images(l, d)) return error_memory(e, "the buffers of a case", 0);
    b->watch->error = (struct error){0};
    for (int i = 0; i < BUFFERS; i++) {
        int32_t status = b->api->buffer_create(b->device, l->bytes[i], &l->buffer[i]);
        if (status != GRAFT_OK) return bench_failed(b, "buffer_create", status, e);
    }
    struct graft_program_desc desc = {.struct_size = sizeof desc,
                                      .tensor_stride = sizeof l->tensor[0],
                                      .node_stride = sizeof l->node,
                                      .tensor_count = l->tensor_count,
                                      .node_count = 1,
                                      .buffer_count = BUFFERS,
                                      .tensors = l->tensor,
                                      .nodes = &l->node,
                                      .buffers = l->buffer};
    int32_t status = b->api->program_create(b->device, &desc, &l->program, &scratch);
    return status == GRAFT_OK ? GRAFT_OK : bench_failed(b, "program_create", status, e);
}

static enum graft_status run_once(struct layout *l, const struct bench *b, const int64_t *live,
                                  struct error *e)
{
    struct graft_run run = {.struct_size = sizeof run};
    memcpy(run.live, live, sizeof run.live);
    int32_t status = b->api->program_run(l->program, &run);
    if (status != GRAFT_OK) return bench_failed(b, "program_run", status, e);
    for (int i = 0; i < BUFFERS; i++) {
        status = b->api->buffer_read(l->buffer[i], 0, l->after[i], l->bytes[i]);
        if (status != GRAFT_OK) return bench_failed(b, "buffer_read", status, e);
    }
    return GRAFT_OK;
}

/* Which tensor holds the byte; else it is a guard's. */
static enum graft_status changed(const struct layout *l, uint32_t buffer, uint64_t at,
                                 struct error *e)
{
    for (uint32_t i = 0; i < l->node.input_count; i++) {
        if (l->node.input[i] == GRAFT_ABSENT) continue;
        const struct graft_tensor *t = &l->tensor[l->node.input[i]];
        if (t->buffer == buffer && at >= t->offset &&
            at - t->offset < l->tensor_bytes[l->node.input[i]])
            return error_set(e, GRAFT_E_FAILED, "input %u was changed at byte %llu", i,
                             (unsigned long long)(at - t->offset));
    }
    for (uint32_t i = 0; i < l->tensor_count; i++) {
        const struct graft_tensor *t = &l->tensor[i];
        uint64_t end = t->offset + l->tensor_bytes[i];
        if (t->buffer == buffer && at >= end && at - end < GUARD)
            return error_set(e, GRAFT_E_FAILED, "wrote %llu bytes past the end of %s %u",
                             (unsigned long long)(at - end + 1),
                             i < l->node.input_count ? "input" : "output",
                             i < l->node.input_count ? i : i - l->node.input_count);
    }
    return error_set(e, GRAFT_E_FAILED, "wrote outside its tensors at byte %llu of buffer %u",
                     (unsigned long long)at, buffer);
}

/* Outputs may have changed, nothing else. */
static enum graft_status check_rest(const struct layout *l, struct error *e)
{
    for (uint32_t i = 0; i < l->node.output_count; i++) {
        if (l->node.output[i] == GRAFT_ABSENT) continue;
        const struct graft_tensor *t = &l->tensor[l->node.output[i]];
        memcpy(l->before[t->buffer] + t->offset, l->after[t->buffer] + t->offset,
               (size_t)l->tensor_bytes[l->node.output[i]]);
    }
    for (uint32_t i = 0; i < BUFFERS; i++)
        for (uint64_t k = 0; k < l->bytes[i]; k++)
            if (l->before[i][k] != l->after[i][k]) return changed(l, i, k, e);
    return GRAFT_OK;
}

/* Bytes of output i among the results: outputs begin at multiples of 8. */
static uint64_t result_bytes(const struct check_data *d, uint32_t i)
{
    return d->c.absent >> i & 1 ? 0 : (d->out_bytes[i] + 7) / 8 * 8;
}

static void take_results(const struct layout *l, const struct check_data *d, uint8_t *results)
{
    for (uint32_t i = 0; i < d->info->outputs; i++) {
        if (l->node.output[i] == GRAFT_ABSENT) continue;
        const struct graft_tensor *t = &l->tensor[l->node.output[i]];
        if (d->out_bytes[i] > 0)
            memcpy(results, l->after[t->buffer] + t->offset, (size_t)d->out_bytes[i]);
        results += result_bytes(d, i);
    }
}

uint64_t case_result_bytes(const struct check_data *d)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < d->info->outputs; i++) bytes += result_bytes(d, i);
    return bytes;
}

static void place_text(const struct check_data *d, uint32_t output, int64_t at, struct error *e)
{
    struct graft_shape s = d->call.out[output].shape, where = s;
    char text[64];
    for (int32_t i = s.rank - 1; i >= 0; i--) {
        where.dim[i] = at % s.dim[i];
        at /= s.dim[i];
    }
    error_place(e, "output %u at %s", output, shape_text(where, text));
}

/* NaN where NaN is expected, infinities where they are, else within the budget. */
static bool near(double expected, double found, double budget)
{
    if (isnan(expected)) return isnan(found);
    if (isinf(expected)) return expected == found;
    return fabs(found - expected) <= budget;
}

static enum graft_status check_f32(const struct check_data *d, uint32_t output, const float *found,
                                   struct error *e)
{
    int64_t count = graft_shape_count(d->call.out[output].shape);
    for (int64_t i = 0; i < count; i++) {
        double expected = f64_out(d, output)[i], budget = d->budget[output][i];
        /* Rounding the reference's double to f32 is no error of the backend. */
        double rounding = budget > 0.0 ? 0x1p-24 * fabs(expected) : 0.0;
        if (budget == 0.0) expected = (double)(float)expected;
        if (near(expected, found[i], budget + rounding)) continue;
        error_set(e, GRAFT_E_FAILED, "expected %.9g, found %.9g, budget %.3g", expected, found[i],
                  budget);
        place_text(d, output, i, e);
        return GRAFT_E_FAILED;
    }
    return GRAFT_OK;
}

static int32_t whole_at(const void *data, int32_t dtype, int64_t i)
{
    return dtype == GRAFT_DTYPE_U8 ? ((const uint8_t *)data)[i] : ((const int32_t *)data)[i];
}

static enum graft_status check_whole(const struct check_data *d, const struct check_family *family,
                                     uint32_t output, const void *results, struct error *e)
{
    const struct kernel_tensor *t = &d->call.out[output];
    int64_t count = graft_shape_count(t->shape);
    for (int64_t i = 0; i < count; i++) {
        int32_t expected = whole_at(t->data, t->dtype, i), found = whole_at(results, t->dtype, i);
        if (found == expected) continue;
        if (family->accept != NULL && family->accept(d, output, i, found)) continue;
        error_set(e, GRAFT_E_FAILED, "expected %d, found %d", expected, found);
        place_text(d, output, i, e);
        return GRAFT_E_FAILED;
    }
    return GRAFT_OK;
}

static enum graft_status check_results(const struct check_data *d,
                                       const struct check_family *family, const uint8_t *results,
                                       struct error *e)
{
    enum graft_status status = GRAFT_OK;
    for (uint32_t i = 0; i < d->info->outputs && status == GRAFT_OK; i++) {
        if (d->c.absent >> i & 1) continue;
        if (d->out[i].dtype != GRAFT_DTYPE_F32)
            status = check_whole(d, family, i, results, e);
        else
            status = check_f32(d, i, (const float *)(const void *)results, e);
        results += result_bytes(d, i);
    }
    return status;
}

enum graft_status compare_results(const struct check_data *d, const uint8_t *a, const uint8_t *b,
                                  const char *what, struct error *e)
{
    for (uint32_t i = 0; i < d->info->outputs; i++) {
        if (d->c.absent >> i & 1) continue;
        int64_t count = graft_shape_count(d->call.out[i].shape);
        int64_t size = d->out[i].dtype == GRAFT_DTYPE_U8 ? 1 : 4;
        for (int64_t k = 0; k < count; k++)
            if (memcmp(a + size * k, b + size * k, (size_t)size) != 0) {
                error_set(e, GRAFT_E_FAILED, "other bits %s", what);
                place_text(d, i, k, e);
                return GRAFT_E_FAILED;
            }
        a += result_bytes(d, i);
        b += result_bytes(d, i);
    }
    return GRAFT_OK;
}

/* The program once more on its own results: the outputs' old contents must not matter. */
static enum graft_status run_again(struct layout *l, const struct bench *b,
                                   const struct check_data *d, const uint8_t *results,
                                   struct error *e)
{
    uint8_t *again = mem_alloc((size_t)case_result_bytes(d));
    if (again == NULL) return error_memory(e, "the results of a case", 0);
    enum graft_status status = run_once(l, b, d->c.live, e);
    if (status == GRAFT_OK) {
        take_results(l, d, again);
        status = compare_results(d, results, again, "in a second run", e);
    }
    mem_free(again);
    return status;
}

enum graft_status run_case(const struct bench *b, const struct check_data *d,
                           const struct check_family *family, int alias, uint8_t *results,
                           struct error *e)
{
    static const int64_t none[GRAFT_ROWS_KINDS] = {0};
    bool repeatable = alias == RUN_PLAIN && !d->info->writes;
    struct layout l;
    place_all(&l, d, alias);
    enum graft_status status = prepare(&l, b, d, e);
    if (status == GRAFT_OK) status = upload(&l, b, e);
    /* No live rows first: legal, and nothing of it may stay. */
    if (status == GRAFT_OK && repeatable) {
        status = run_once(&l, b, none, e);
        if (status == GRAFT_OK) status = upload(&l, b, e);
    }
    if (status == GRAFT_OK) status = run_once(&l, b, d->c.live, e);
    if (status == GRAFT_OK) status = check_rest(&l, e);
    if (status == GRAFT_OK) {
        take_results(&l, d, results);
        status = check_results(d, family, results, e);
    }
    if (status == GRAFT_OK && repeatable) status = run_again(&l, b, d, results, e);
    layout_fini(&l, b);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The reference backend. A buffer of the double form is two planes: the bytes as the interface
 * knows them, and one double for each four bytes. Kernels read and write f32 tensors in the second
 * plane and all others in the first; a result is copied back to the first.
 */
#include "check/reference.h"

#include "graph/op.h"
#include "ref/ref.h"

#include <stdio.h>
#include <string.h>

struct graft_device {
    const struct graft_host *host;
    bool wide, hold;
    size_t detached;
    reference_lookup *lookup;
};

struct graft_buffer {
    const struct graft_host *host;
    uint64_t bytes;
    uint8_t *raw;
    double *wide; /* NULL: the float form */
};

struct graft_program {
    struct graft_device *device;
    reference_lookup *lookup;
    uint32_t tensor_count, node_count, buffer_count;
    struct graft_tensor *tensors;
    struct graft_node *nodes;
    struct graft_buffer **buffers;
    void **held; /* by node: what a DETACH gave */
};

static int32_t fail(const struct graft_host *host, int32_t status, const char *text)
{
    host->error(host->context, text);
    return status;
}

static void *take(const struct graft_host *host, uint64_t bytes)
{
    void *memory = bytes <= SIZE_MAX / 16 ? host->alloc(host->context, (size_t)bytes + 1) : NULL;
    if (memory != NULL) memset(memory, 0, (size_t)bytes + 1);
    return memory;
}

static void give(const struct graft_host *host, void *memory)
{
    if (memory != NULL) host->release(host->context, memory);
}

static uint32_t device_count(const struct graft_host *host)
{
    (void)host;
    return 1;
}

static int32_t device_info(const struct graft_host *host, uint32_t index,
                           struct graft_device_info *info)
{
    uint32_t size = info->struct_size;
    (void)host;
    if (index > 0) return 0;
    memset(info, 0, sizeof *info);
    info->struct_size = size;
    info->usable = 1;
    snprintf(info->name, sizeof info->name, "plain C reference, 1 thread");
    return 1;
}

static int32_t open_as(const struct graft_host *host, uint32_t index, bool wide,
                       struct graft_device **out)
{
    if (index > 0) return fail(host, GRAFT_E_INVALID, "the reference has one device, number 0");
    struct graft_device *device = take(host, sizeof *device);
    if (device == NULL) return fail(host, GRAFT_E_MEMORY, "not enough memory for a device");
    device->host = host;
    device->wide = wide;
    device->lookup = wide ? ref_kernel_f64 : ref_kernel;
    *out = device;
    return GRAFT_OK;
}

static int32_t open_f32(const struct graft_host *host, uint32_t index, struct graft_device **out)
{
    return open_as(host, index, false, out);
}

static int32_t open_f64(const struct graft_host *host, uint32_t index, struct graft_device **out)
{
    return open_as(host, index, true, out);
}

static void close_device(struct graft_device *device)
{
    if (device != NULL) give(device->host, device);
}

void reference_hold(struct graft_device *device, bool hold)
{
    device->hold = hold;
}

size_t reference_detached(const struct graft_device *device)
{
    return device->detached;
}

void reference_set_kernels(struct graft_device *device, reference_lookup *lookup)
{
    device->lookup = lookup;
}

static void buffer_destroy(struct graft_buffer *buffer)
{
    if (buffer == NULL) return;
    give(buffer->host, buffer->raw);
    give(buffer->host, buffer->wide);
    give(buffer->host, buffer);
}

static int32_t buffer_create(struct graft_device *device, uint64_t bytes, struct graft_buffer **out)
{
    const struct graft_host *host = device->host;
    struct graft_buffer *buffer = take(host, sizeof *buffer);
    if (buffer == NULL) return fail(host, GRAFT_E_MEMORY, "not enough memory for a buffer");
    buffer->host = host;
    buffer->bytes = bytes;
    buffer->raw = take(host, bytes);
    if (device->wide) buffer->wide = take(host, (bytes / 4 + 1) * sizeof *buffer->wide);
    if (buffer->raw == NULL || (device->wide && buffer->wide == NULL)) {
        buffer_destroy(buffer);
        return fail(host, GRAFT_E_MEMORY, "not enough memory for a buffer");
    }
    *out = buffer;
    return GRAFT_OK;
}

static bool inside(const struct graft_buffer *buffer, uint64_t offset, uint64_t bytes)
{
    return offset <= buffer->bytes && bytes <= buffer->bytes - offset;
}

/* The doubles of every float that the bytes touch. */
static void widen(struct graft_buffer *buffer, uint64_t offset, uint64_t bytes)
{
    for (uint64_t i = offset / 4; i < (offset + bytes) / 4; i++) {
        float value;
        memcpy(&value, buffer->raw + 4 * i, sizeof value);
        buffer->wide[i] = value;
    }
}

static void narrow(struct graft_buffer *buffer, uint64_t offset, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        float value = (float)buffer->wide[offset / 4 + (uint64_t)i];
        memcpy(buffer->raw + offset + 4 * (uint64_t)i, &value, sizeof value);
    }
}

static int32_t buffer_write(struct graft_buffer *buffer, uint64_t offset, const void *from,
                            uint64_t bytes)
{
    if (!inside(buffer, offset, bytes))
        return fail(buffer->host, GRAFT_E_FAILED, "a write past the end of a buffer");
    if (bytes > 0) memcpy(buffer->raw + offset, from, (size_t)bytes);
    if (buffer->wide != NULL) widen(buffer, offset, bytes);
    return GRAFT_OK;
}

static int32_t buffer_read(struct graft_buffer *buffer, uint64_t offset, void *to, uint64_t bytes)
{
    if (!inside(buffer, offset, bytes))
        return fail(buffer->host, GRAFT_E_FAILED, "a read past the end of a buffer");
    if (bytes > 0) memcpy(to, buffer->raw + offset, (size_t)bytes);
    return GRAFT_OK;
}

void reference_read(const struct graft_buffer *buffer, uint64_t offset, double *to, int64_t count)
{
    const float *floats = (const float *)(const void *)(buffer->raw + offset);
    for (int64_t i = 0; i < count; i++)
        to[i] = buffer->wide != NULL ? buffer->wide[offset / 4 + (uint64_t)i] : floats[i];
}

void reference_write(struct graft_buffer *buffer, uint64_t offset, const double *from,
                     int64_t count)
{
    float *floats = (float *)(void *)(buffer->raw + offset);
    for (int64_t i = 0; i < count; i++) {
        floats[i] = (float)from[i];
        if (buffer->wide != NULL) buffer->wide[offset / 4 + (uint64_t)i] = from[i];
    }
}

static void program_destroy(struct graft_program *program)
{
    if (program == NULL) return;
    give(program->device->host, program->tensors);
    give(program->device->host, program->nodes);
    give(program->device->host, program->buffers);
    for (uint32_t i = 0; program->held != NULL && i < program->node_count; i++)
        give(program->device->host, program->held[i]);
    give(program->device->host, program->held);
    give(program->device->host, program);
}

/* A caller of another version has smaller or larger structs. */
static void copy_strided(void *to, size_t size, const void *from, uint32_t stride, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        memcpy((uint8_t *)to + i * size, (const uint8_t *)from + (size_t)i * stride,
               stride < size ? stride : size);
}

static int32_t prepare_node(struct graft_program *p, uint32_t i)
{
    const struct graft_host *host = p->device->host;
    const struct graft_node *node = &p->nodes[i];
    if (node->op != GRAFT_OP_DETACH)
        return p->lookup(node->op) != NULL
                   ? GRAFT_OK
                   : fail(host, GRAFT_E_UNSUPPORTED, "the reference has no such op");
    int64_t count = graft_shape_count(p->tensors[node->output[0]].shape);
    p->held[i] = take(host, (uint64_t)count * sizeof(double)); /* no type here is wider */
    p->device->detached++;
    return p->held[i] != NULL ? GRAFT_OK
                              : fail(host, GRAFT_E_MEMORY, "not enough memory for a value");
}

static int32_t program_create(struct graft_device *device, const struct graft_program_desc *desc,
                              struct graft_program **out, uint64_t *scratch)
{
    const struct graft_host *host = device->host;
    struct graft_program *p = take(host, sizeof *p);
    if (p == NULL) return fail(host, GRAFT_E_MEMORY, "not enough memory for a program");
    p->device = device;
    p->lookup = device->lookup;
    p->tensor_count = desc->tensor_count;
    p->node_count = desc->node_count;
    p->buffer_count = desc->buffer_count;
    p->tensors = take(host, desc->tensor_count * sizeof *p->tensors);
    p->nodes = take(host, desc->node_count * sizeof *p->nodes);
    p->buffers = take(host, desc->buffer_count * sizeof *p->buffers);
    p->held = take(host, desc->node_count * sizeof *p->held);
    if (p->tensors == NULL || p->nodes == NULL || p->buffers == NULL || p->held == NULL) {
        program_destroy(p);
        return fail(host, GRAFT_E_MEMORY, "not enough memory for a program");
    }
    copy_strided(p->tensors, sizeof *p->tensors, desc->tensors, desc->tensor_stride,
                 p->tensor_count);
    copy_strided(p->nodes, sizeof *p->nodes, desc->nodes, desc->node_stride, p->node_count);
    for (uint32_t i = 0; i < p->buffer_count; i++) p->buffers[i] = desc->buffers[i];
    for (uint32_t i = 0; i < p->node_count; i++) {
        int32_t status = prepare_node(p, i);
        if (status == GRAFT_OK) continue;
        program_destroy(p);
        return status;
    }
    *out = p;
    *scratch = 0;
    return GRAFT_OK;
}

static struct kernel_tensor resolve(const struct graft_program *p, uint32_t number,
                                    const struct graft_run *run)
{
    if (number == GRAFT_ABSENT) return (struct kernel_tensor){.data = NULL};
    const struct graft_tensor *t = &p->tensors[number];
    const struct graft_buffer *b = p->buffers[t->buffer];
    struct kernel_tensor k = {b->raw + t->offset, t->dtype, t->shape};
    if (t->rows != GRAFT_ROWS_FIXED) k.shape.dim[0] = run->live[t->rows];
    if (p->device->wide && t->dtype == GRAFT_DTYPE_F32) {
        k.data = b->wide + t->offset / 4;
        k.dtype = GRAFT_DTYPE_F64;
    }
    return k;
}

static void detach(const struct graft_program *p, const struct kernel_call *call, void *held)
{
    const struct kernel_tensor *out = &call->out[0];
    size_t bytes = (size_t)(out->dtype == GRAFT_DTYPE_F64
                                ? graft_shape_count(out->shape) * (int64_t)sizeof(double)
                                : (int64_t)dtype_bytes(out->dtype, out->shape));
    if (!p->device->hold) memcpy(held, call->in[0].data, bytes);
    memcpy(out->data, held, bytes);
}

static void run_node(const struct graft_program *p, const struct graft_node *node,
                     const struct graft_run *run)
{
    struct kernel_call call = {.op = node->op, .params = node->params};
    for (uint32_t i = 0; i < node->input_count; i++) call.in[i] = resolve(p, node->input[i], run);
    for (uint32_t i = 0; i < node->output_count; i++)
        call.out[i] = resolve(p, node->output[i], run);
    if (node->op == GRAFT_OP_DETACH)
        detach(p, &call, p->held[node - p->nodes]);
    else
        p->lookup(node->op)(&call);
    for (uint32_t i = 0; i < node->output_count; i++)
        if (call.out[i].data != NULL && call.out[i].dtype == GRAFT_DTYPE_F64) {
            const struct graft_tensor *t = &p->tensors[node->output[i]];
            narrow(p->buffers[t->buffer], t->offset, graft_shape_count(call.out[i].shape));
        }
}

static int32_t program_run(struct graft_program *program, const struct graft_run *run)
{
    for (uint32_t i = 0; i < program->node_count; i++) run_node(program, &program->nodes[i], run);
    return GRAFT_OK;
}

#define FUNCTIONS(open_)                                                                           \
    {                                                                                              \
        .struct_size = sizeof(struct graft_backend), .device_count = device_count,                 \
        .device_info = device_info, .open = (open_), .close = close_device,                        \
        .buffer_create = buffer_create, .buffer_destroy = buffer_destroy,                          \
        .buffer_write = buffer_write, .buffer_read = buffer_read,                                  \
        .program_create = program_create, .program_run = program_run,                              \
        .program_destroy = program_destroy,                                                        \
    }

const struct graft_backend *reference_backend(bool f64)
{
    static const struct graft_backend narrow_form = FUNCTIONS(open_f32);
    static const struct graft_backend wide_form = FUNCTIONS(open_f64);
    return f64 ? &wide_form : &narrow_form;
}

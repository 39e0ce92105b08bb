/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs are made here: the tensors of the description are given addresses, each node's op
 * records its dispatches, and these are put in order.
 */
#include "program.h"

#include "legal.h"
#include "ref/quant.h"

#include <graft/quant.h>
#include <stdio.h>
#include <string.h>

enum {
    TEXT = 256,
    UNSAVED = 8,            /* new pipelines that are worth a file, lest a kill lose them */
    SCRATCH_ROOM = 32 << 20 /* bytes, so that independent nodes need not wait for each other's */
};

/* Of an NF4 weight, whose blocks are known to its header alone, the most that it can take. */
static uint64_t bytes_of(const struct graft_tensor *t, uint64_t room)
{
    uint64_t count = (uint64_t)graft_shape_count(t->shape);
    uint64_t inner = (uint64_t)t->shape.dim[t->shape.rank - 1];
    if (t->dtype != GRAFT_DTYPE_NF4)
        return quant_row_bytes(t->dtype, (int64_t)inner) * (count / inner);
    uint64_t most = count / 2 + count / 8 + 4096 + sizeof(struct graft_nf4);
    return most < room ? most : room;
}

static bool writes_input(int32_t op)
{
    return op == GRAFT_OP_ASSIGN || op == GRAFT_OP_ACCUMULATE || op == GRAFT_OP_WRITE_ROWS;
}

/* Tensor `index` as the check of nodes sees it and as op files do; absent ones stay empty. */
static bool place(struct graft_program *p, const struct graft_program_desc *desc, uint32_t index,
                  bool written, struct kernel_tensor *checked, struct vk_tensor *to,
                  char text[TEXT])
{
    if (index == GRAFT_ABSENT) return true;
    if (index >= desc->tensor_count) {
        snprintf(text, TEXT, "tensor %u does not exist: the program has %u", (unsigned)index,
                 (unsigned)desc->tensor_count);
        return false;
    }
    struct graft_tensor t = desc_tensor(desc, index);
    if (t.buffer >= desc->buffer_count) {
        snprintf(text, TEXT, "tensor %u lies in buffer %u: the program has %u", (unsigned)index,
                 (unsigned)t.buffer, (unsigned)desc->buffer_count);
        return false;
    }
    const struct graft_buffer *b = desc->buffers[t.buffer];
    if (written && b->imported) {
        snprintf(text, TEXT, "tensor %u is written but lies in a read-only buffer",
                 (unsigned)index);
        return false;
    }
    if (!tensor_legal(&t, b->bytes, text)) return false;
    if (graft_shape_count(t.shape) > UINT32_MAX) {
        snprintf(text, TEXT, "tensor %u has %lld numbers: shaders count to 2^32", (unsigned)index,
                 (long long)graft_shape_count(t.shape));
        return false;
    }
    *checked = (struct kernel_tensor){(void *)(uintptr_t)1, t.dtype, t.shape}; /* present */
    *to = (struct vk_tensor){.address = b->address + t.offset,
                             .bytes = bytes_of(&t, b->bytes - t.offset),
                             .dtype = t.dtype,
                             .rows = t.rows,
                             .shape = t.shape};
    int64_t *capacity = &p->capacity[t.rows];
    if (t.rows != GRAFT_ROWS_FIXED && (*capacity < 0 || t.shape.dim[0] < *capacity))
        *capacity = t.shape.dim[0];
    return true;
}

static bool fill(struct graft_program *p, const struct graft_program_desc *desc,
                 const struct graft_node *from, struct vk_node *to, char text[TEXT])
{
    struct kernel_call call = {.op = from->op, .params = from->params};
    *to = (struct vk_node){.op = from->op, .params = from->params};
    if (from->input_count > GRAFT_MAX_INPUTS || from->output_count > GRAFT_MAX_OUTPUTS) {
        snprintf(text, TEXT, "%u inputs and %u outputs: at most %d and %d",
                 (unsigned)from->input_count, (unsigned)from->output_count, GRAFT_MAX_INPUTS,
                 GRAFT_MAX_OUTPUTS);
        return false;
    }
    for (uint32_t i = 0; i < from->input_count; i++)
        if (!place(p, desc, from->input[i], i == 0 && writes_input(from->op), &call.in[i],
                   &to->in[i], text))
            return false;
    for (uint32_t i = 0; i < from->output_count; i++)
        if (!place(p, desc, from->output[i], true, &call.out[i], &to->out[i], text)) return false;
    return node_legal(from, &call, text);
}

static void record(struct vk_recorder *r, const struct graft_program_desc *desc, uint32_t index)
{
    struct graft_node from = desc_node(desc, index);
    struct vk_node node;
    char text[TEXT] = "";
    vk_record *function = vk_op_find(from.op);
    r->node = index;
    if (!fill(r->program, desc, &from, &node, text))
        r->status = vk_fail(r->device->host, GRAFT_E_INVALID, "node %u of the program (op %d): %s",
                            (unsigned)index, (int)from.op, text);
    else if (function == NULL)
        vk_unsupported(r, "the Vulkan backend knows no op %d", (int)from.op);
    else
        function(r, &node);
}

/* The scratch of each node, and how much to have: as much as the largest needs, and more so that
 * independent nodes need not wait for each other's. */
static uint64_t measure(struct vk_recorder *r, const struct graft_program_desc *desc,
                        uint64_t *sizes)
{
    uint64_t most = 0, all = 0;
    r->measuring = true;
    for (uint32_t i = 0; i < desc->node_count && r->status == GRAFT_OK; i++) {
        r->scratch_at = VK_ALIGNMENT;
        record(r, desc, i);
        sizes[i] = r->scratch_at - VK_ALIGNMENT;
        if (sizes[i] > most) most = sizes[i];
        all += sizes[i];
    }
    r->measuring = false;
    if (all > SCRATCH_ROOM) all = SCRATCH_ROOM;
    return most > all ? most : all;
}

/* The last of its programs gives it back, unless it is the one for programs to come. */
static void release_scratch(struct graft_program *p)
{
    if (p->scratch == NULL) return;
    p->scratch->users--;
    if (p->scratch->users == 0 && p->scratch != p->device->scratch) vk_buffer_destroy(p->scratch);
}

/* The device's scratch is at least that large; *grown: by how much it grew. Programs made before
 * keep the smaller one. */
static int32_t reserve(struct graft_program *p, uint64_t bytes, uint64_t *grown)
{
    struct graft_device *d = p->device;
    *grown = 0;
    if (bytes == 0) return GRAFT_OK;
    if (d->scratch == NULL || bytes > d->scratch->bytes) {
        struct graft_buffer *larger;
        int32_t status = vk_buffer_create(d, bytes, &larger);
        if (status != GRAFT_OK) return status;
        *grown = bytes;
        if (d->scratch != NULL && d->scratch->users == 0) {
            *grown -= d->scratch->bytes;
            vk_buffer_destroy(d->scratch);
        }
        d->scratch = larger;
    }
    p->scratch = d->scratch;
    p->scratch->users++;
    return GRAFT_OK;
}

static int32_t record_all(struct vk_recorder *r, const struct graft_program_desc *desc,
                          const uint64_t *sizes)
{
    uint64_t begin = r->program->scratch != NULL ? r->program->scratch->address : 0;
    uint64_t end = r->program->scratch != NULL ? begin + r->program->scratch->bytes : 0;
    r->scratch_at = begin;
    for (uint32_t i = 0; i < desc->node_count && r->status == GRAFT_OK; i++) {
        if (sizes[i] > end - r->scratch_at) r->scratch_at = begin;
        record(r, desc, i);
    }
    return r->status == GRAFT_OK ? vk_recorder_sort(r) : r->status;
}

static int32_t upload_args(struct vk_recorder *r)
{
    int32_t status = vk_buffer_create(r->device, r->args_bytes + 1, &r->program->args);
    if (status != GRAFT_OK) return status;
    return vk_buffer_write(r->program->args, 0, r->args, r->args_bytes);
}

static int32_t build(struct vk_recorder *r, const struct graft_program_desc *desc,
                     uint64_t *scratch)
{
    const struct graft_host *host = r->device->host;
    uint64_t *sizes = host->alloc(host->context, (desc->node_count + 1) * sizeof *sizes);
    if (sizes == NULL) return vk_fail(host, GRAFT_E_MEMORY, "no memory to record a program");
    uint64_t bytes = measure(r, desc, sizes);
    int32_t status = r->status;
    if (status == GRAFT_OK) status = reserve(r->program, bytes, scratch);
    if (status == GRAFT_OK) status = record_all(r, desc, sizes);
    host->release(host->context, sizes);
    if (status == GRAFT_OK) status = upload_args(r);
    if (status == GRAFT_OK) status = vk_program_cut(r->program);
    return status;
}

int32_t vk_program_create(struct graft_device *device, const struct graft_program_desc *desc,
                          struct graft_program **out, uint64_t *scratch)
{
    const struct graft_host *host = device->host;
    int32_t status = vk_matrices_test(device, desc);
    if (status != GRAFT_OK) return status;
    struct graft_program *p = host->alloc(host->context, sizeof *p);
    if (p == NULL) return vk_fail(host, GRAFT_E_MEMORY, "no memory for a program");
    *p = (struct graft_program){.device = device};
    for (int i = 0; i < GRAFT_ROWS_KINDS; i++) p->capacity[i] = -1;
    struct vk_recorder r = {.device = device, .program = p};
    vk_tracker_init(&r.tracker, host);
    uint64_t grown = 0;
    status = build(&r, desc, &grown);
    vk_recorder_fini(&r);
    if (status != GRAFT_OK) {
        vk_program_destroy(p);
        return status;
    }
    if (device->unsaved >= UNSAVED) vk_cache_save(device);
    *out = p;
    if (scratch != NULL) *scratch = grown + p->args->bytes;
    return GRAFT_OK;
}

void vk_program_destroy(struct graft_program *program)
{
    if (program == NULL) return;
    struct graft_device *d = program->device;
    const struct graft_host *host = d->host;
    if (!d->lost) (void)vk_wait(d, d->submitted);
    vk_program_uncut(program);
    vk_buffer_destroy(program->args);
    release_scratch(program);
    if (program->access != NULL) host->release(host->context, program->access);
    if (program->steps != NULL) host->release(host->context, program->steps);
    host->release(host->context, program);
}

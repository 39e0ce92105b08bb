/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs are made here: the tensors of the description are given addresses, each node's op
 * records its dispatches, and these are put in order.
 */
#include "program.h"

#include "ref/quant.h"

#include <graft/quant.h>
#include <stdio.h>
#include <string.h>

enum { SCRATCH_ROOM = 32 << 20 /* bytes that nodes without a need of each other may share */ };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Structs of a host with another version: what it lacks is zero, what it has more is not used. */
static struct graft_tensor tensor_at(const struct graft_program_desc *desc, uint32_t index)
{
    struct graft_tensor t = {0};
    memcpy(&t, (const uint8_t *)desc->tensors + (size_t)index * desc->tensor_stride,
           smaller(sizeof t, desc->tensor_stride));
    return t;
}

static struct graft_node node_at(const struct graft_program_desc *desc, uint32_t index)
{
    struct graft_node n = {0};
    memcpy(&n, (const uint8_t *)desc->nodes + (size_t)index * desc->node_stride,
           smaller(sizeof n, desc->node_stride));
    return n;
}

/* Of an NF4 weight, whose blocks are known to its header alone, the most that it can take. */
static uint64_t bytes_of(const struct graft_tensor *t, uint64_t room)
{
    uint64_t count = (uint64_t)graft_shape_count(t->shape);
    if (t->dtype == GRAFT_DTYPE_NF4)
        return smaller(room, count / 2 + count / 8 + 4096 + sizeof(struct graft_nf4));
    int64_t inner = t->shape.dim[t->shape.rank - 1];
    return quant_row_bytes(t->dtype, inner) * (count / (uint64_t)inner);
}

static void place(struct graft_program *p, const struct graft_program_desc *desc, uint32_t index,
                  struct vk_tensor *to)
{
    if (index == GRAFT_ABSENT) return;
    struct graft_tensor t = tensor_at(desc, index);
    const struct graft_buffer *b = desc->buffers[t.buffer];
    *to = (struct vk_tensor){.address = b->address + t.offset,
                             .bytes = bytes_of(&t, b->bytes - t.offset),
                             .dtype = t.dtype,
                             .rows = t.rows,
                             .shape = t.shape};
    int64_t *capacity = &p->capacity[t.rows];
    if (t.rows != GRAFT_ROWS_FIXED && (*capacity < 0 || t.shape.dim[0] < *capacity))
        *capacity = t.shape.dim[0];
}

static void record(struct vk_recorder *r, const struct graft_program_desc *desc, uint32_t index)
{
    struct graft_node from = node_at(desc, index);
    struct vk_node node = {.op = from.op, .params = from.params};
    vk_record *function = vk_op_find(from.op);
    r->node = index;
    for (uint32_t i = 0; i < from.input_count; i++)
        place(r->program, desc, from.input[i], &node.in[i]);
    for (uint32_t i = 0; i < from.output_count; i++)
        place(r->program, desc, from.output[i], &node.out[i]);
    if (function == NULL)
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

/* The device's scratch is at least that large; *grown: by how much it grew. Programs made before
 * keep the smaller one. */
static int32_t reserve(struct graft_program *p, uint64_t bytes, uint64_t *grown)
{
    struct graft_device *d = p->device;
    uint64_t before = d->scratch != NULL ? d->scratch->bytes : 0;
    *grown = 0;
    if (bytes > before) {
        struct graft_buffer *larger;
        struct graft_buffer **list =
            d->host->alloc(d->host->context, (d->retired_count + 1) * sizeof *list);
        if (list == NULL) return vk_fail(d->host, GRAFT_E_MEMORY, "no memory for a list");
        int32_t status = vk_buffer_create(d, bytes, &larger);
        if (status != GRAFT_OK) {
            d->host->release(d->host->context, list);
            return status;
        }
        if (d->retired != NULL) {
            memcpy(list, d->retired, d->retired_count * sizeof *list);
            d->host->release(d->host->context, d->retired);
        }
        d->retired = list;
        if (d->scratch != NULL) d->retired[d->retired_count++] = d->scratch;
        d->scratch = larger;
        *grown = bytes;
    }
    p->scratch = bytes > 0 ? d->scratch : NULL;
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
    struct graft_program *p = host->alloc(host->context, sizeof *p);
    if (p == NULL) return vk_fail(host, GRAFT_E_MEMORY, "no memory for a program");
    *p = (struct graft_program){.device = device};
    for (int i = 0; i < GRAFT_ROWS_KINDS; i++) p->capacity[i] = -1;
    struct vk_recorder r = {.device = device, .program = p};
    vk_tracker_init(&r.tracker, host);
    uint64_t grown = 0;
    int32_t status = build(&r, desc, &grown);
    vk_recorder_fini(&r);
    if (status != GRAFT_OK) {
        vk_program_destroy(p);
        return status;
    }
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
    if (program->pool != VK_NULL_HANDLE) d->vk.DestroyCommandPool(d->handle, program->pool, NULL);
    vk_buffer_destroy(program->args);
    if (program->pieces != NULL) host->release(host->context, program->pieces);
    if (program->access != NULL) host->release(host->context, program->access);
    if (program->steps != NULL) host->release(host->context, program->steps);
    host->release(host->context, program);
}

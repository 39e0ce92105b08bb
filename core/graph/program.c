/* SPDX-License-Identifier: Apache-2.0
 *
 * A plan turned into what the backend takes: tensors with buffers and offsets, nodes in order.
 */
#include "graph/plan_internal.h"

#include "base/memory.h"
#include "graph/op.h"

#include <string.h>

enum graft_status program_failed(const struct backend *backend, int32_t status, struct error *e)
{
    if (e != NULL && backend->error != NULL && e != backend->error) *e = *backend->error;
    if (e != NULL) e->status = (enum graft_status)status;
    return (enum graft_status)status;
}

struct tables {
    struct graft_tensor *tensors;
    struct graft_buffer **buffers;
    uint32_t *tensor_of; /* value number to tensor number */
    size_t tensor_count, buffer_count;
};

static uint32_t buffer_number(struct tables *t, struct graft_buffer *buffer)
{
    for (size_t i = t->buffer_count; i-- > 0;)
        if (t->buffers[i] == buffer) return (uint32_t)i;
    t->buffers[t->buffer_count] = buffer;
    return (uint32_t)t->buffer_count++;
}

struct graft_tensor program_tensor(const struct program *program, uint32_t value,
                                   struct graft_buffer **buffer)
{
    const struct placed_value *v = &program->values[value];
    struct graft_tensor t = {.dtype = v->dtype, .rows = v->rows, .shape = v->shape};
    if (v->inner != 0 && program->backend.sweeps) {
        t.inner = v->inner;
        *buffer = NULL;
    } else {
        *buffer = program_buffer(program, (graft_value){value + 1}, &t.offset);
    }
    return t;
}

static bool fill_tables(struct tables *t, const struct program *program, struct error *e)
{
    for (uint32_t i = 0; i < program->value_count; i++) {
        const struct placed_value *v = &program->values[i];
        struct graft_buffer *buffer;
        if (!v->used) continue;
        struct graft_tensor tensor = program_tensor(program, i, &buffer);
        if (buffer == NULL && tensor.inner == 0) {
            error_set(e, GRAFT_E_FAILED, "%s has no memory on the device yet",
                      v->stored != NULL ? v->stored->name : "a value");
            return false;
        }
        if (buffer != NULL) tensor.buffer = buffer_number(t, buffer);
        t->tensor_of[i] = (uint32_t)t->tensor_count;
        t->tensors[t->tensor_count++] = tensor;
    }
    return true;
}

static void renumber(uint32_t *numbers, uint32_t count, const struct tables *t)
{
    for (uint32_t i = 0; i < count; i++)
        if (numbers[i] != GRAFT_ABSENT) numbers[i] = t->tensor_of[numbers[i]];
}

void node_set_compute(struct graft_node *n, const struct placed_value *values, int32_t compute)
{
    if (n->input_count == 0 || n->input[0] == GRAFT_ABSENT) return;
    int32_t *to = op_compute(n->op, values[n->input[0]].shape, &n->params);
    if (to == NULL) return;
    if (n->op == GRAFT_OP_MATMUL) {
        const struct placed_value *w = &values[n->input[1]];
        if (w->place != PLACE_STORED || w->stored->kind != STORE_BASE) return;
    }
    *to = compute;
}

void node_for(struct graft_node *n, const struct program *program)
{
    node_set_compute(n, program->values, program->backend.compute);
    if (!program->backend.sweeps) n->sweep = n->by_row = 0;
}

static enum graft_status compile(const struct plan *plan, struct program *program, struct error *e)
{
    struct tables t = {.tensors = mem_zalloc(plan->value_count, sizeof *t.tensors),
                       .buffers = mem_zalloc(plan->value_count + 1, sizeof *t.buffers),
                       .tensor_of = mem_zalloc(plan->value_count, sizeof *t.tensor_of)};
    struct graft_node *nodes = mem_zalloc(plan->node_count, sizeof *nodes);
    enum graft_status status = GRAFT_OK;
    if (t.tensors == NULL || t.buffers == NULL || t.tensor_of == NULL || nodes == NULL) {
        status = error_memory(e, "a program", plan->value_count * sizeof *t.tensors);
    } else if (!fill_tables(&t, program, e)) {
        status = GRAFT_E_FAILED;
    } else {
        memcpy(nodes, plan->nodes, plan->node_count * sizeof *nodes);
        for (size_t i = 0; i < plan->node_count; i++) {
            node_for(&nodes[i], program);
            renumber(nodes[i].input, nodes[i].input_count, &t);
            renumber(nodes[i].output, nodes[i].output_count, &t);
        }
        struct graft_program_desc desc = {.struct_size = sizeof desc,
                                          .tensor_stride = sizeof(struct graft_tensor),
                                          .node_stride = sizeof(struct graft_node),
                                          .tensor_count = (uint32_t)t.tensor_count,
                                          .node_count = (uint32_t)plan->node_count,
                                          .buffer_count = (uint32_t)t.buffer_count,
                                          .tensors = t.tensors,
                                          .nodes = nodes,
                                          .buffers = t.buffers};
        int32_t result = program->backend.api->program_create(
            program->backend.device, &desc, &program->compiled, &program->scratch);
        if (result != GRAFT_OK) status = program_failed(&program->backend, result, e);
    }
    mem_free(nodes);
    mem_free(t.tensors);
    mem_free(t.buffers);
    mem_free(t.tensor_of);
    return status;
}

static enum graft_status upload_constants(const struct plan *plan, struct program *program,
                                          struct error *e)
{
    uint64_t bytes = plan->constant_bytes;
    if (bytes == 0) return GRAFT_OK;
    const struct backend *b = &program->backend;
    int32_t status = b->api->buffer_create(b->device, bytes, &program->constants);
    if (status == GRAFT_OK)
        status = b->api->buffer_write(program->constants, 0, plan->constants, bytes);
    return status == GRAFT_OK ? GRAFT_OK : program_failed(b, status, e);
}

enum graft_status program_create(const struct plan *plan, const struct backend *backend,
                                 struct graft_buffer *transient, struct program **out,
                                 struct error *e)
{
    struct program *program = mem_zalloc(1, sizeof *program);
    if (program == NULL) return error_memory(e, "a program", sizeof *program);
    program->backend = *backend;
    program->transient = transient;
    program->value_count = plan->value_count;
    program->values = mem_alloc(plan->value_count * sizeof *program->values);
    enum graft_status status = GRAFT_OK;
    if (program->values == NULL) {
        status = error_memory(e, "a program", plan->value_count * sizeof *program->values);
    } else {
        memcpy(program->values, plan->values, plan->value_count * sizeof *program->values);
        for (size_t i = 0; i < plan->value_count && !backend->sweeps; i++)
            program->values[i].offset = program->values[i].alone;
        status = upload_constants(plan, program, e);
    }
    if (status == GRAFT_OK) status = compile(plan, program, e);
    if (status != GRAFT_OK) {
        program_destroy(program);
        return status;
    }
    *out = program;
    return GRAFT_OK;
}

void program_destroy(struct program *program)
{
    if (program == NULL) return;
    if (program->compiled != NULL) program->backend.api->program_destroy(program->compiled);
    if (program->constants != NULL) program->backend.api->buffer_destroy(program->constants);
    mem_free(program->values);
    mem_free(program);
}

uint64_t program_scratch(const struct program *program)
{
    return program->scratch;
}

enum graft_status program_run(struct program *program, const int64_t live[GRAFT_ROWS_KINDS],
                              struct error *e)
{
    struct graft_run run = {.struct_size = sizeof run};
    memcpy(run.live, live, sizeof run.live);
    int32_t status = program->backend.api->program_run(program->compiled, &run);
    return status == GRAFT_OK ? GRAFT_OK : program_failed(&program->backend, status, e);
}

struct graft_buffer *program_buffer(const struct program *program, graft_value v, uint64_t *offset)
{
    const struct placed_value *value = &program->values[v.id - 1];
    *offset = value->place == PLACE_STORED ? value->stored->offset : value->offset;
    return value->place == PLACE_STORED     ? value->stored->buffer
           : value->place == PLACE_CONSTANT ? program->constants
                                            : program->transient;
}

enum graft_status program_read(struct program *program, graft_value v, void *to, uint64_t bytes,
                               struct error *e)
{
    uint64_t offset;
    struct graft_buffer *buffer = program_buffer(program, v, &offset);
    int32_t status = program->backend.api->buffer_read(buffer, offset, to, bytes);
    return status == GRAFT_OK ? GRAFT_OK : program_failed(&program->backend, status, e);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of a program of one node.
 */
#include "graph/single.h"

static void take(struct single *s, const struct program *program, uint32_t *number)
{
    if (*number == GRAFT_ABSENT) return;
    const struct placed_value *v = &program->values[*number];
    uint64_t offset;
    s->buffers[s->count] = program_buffer(program, (graft_value){*number + 1}, &offset);
    s->tensors[s->count] = (struct graft_tensor){.dtype = v->dtype,
                                                 .rows = v->rows,
                                                 .shape = v->shape,
                                                 .buffer = s->count,
                                                 .offset = offset};
    *number = s->count++;
}

enum graft_status single_compile(struct single *s, const struct program *program,
                                 const struct graft_node *node, struct error *e)
{
    const struct backend *b = &program->backend;
    uint64_t scratch;
    *s = (struct single){.node = *node};
    node_set_compute(&s->node, program->values, b->compute);
    for (uint32_t i = 0; i < node->input_count; i++) take(s, program, &s->node.input[i]);
    for (uint32_t i = 0; i < node->output_count; i++) take(s, program, &s->node.output[i]);
    struct graft_program_desc desc = {.struct_size = sizeof desc,
                                      .tensor_stride = sizeof s->tensors[0],
                                      .node_stride = sizeof s->node,
                                      .tensor_count = s->count,
                                      .node_count = 1,
                                      .buffer_count = s->count,
                                      .tensors = s->tensors,
                                      .nodes = &s->node,
                                      .buffers = s->buffers};
    int32_t status = b->api->program_create(b->device, &desc, &s->compiled, &scratch);
    return status == GRAFT_OK ? GRAFT_OK : program_failed(b, status, e);
}

enum graft_status single_run(const struct single *s, const struct program *program,
                             const struct graft_run *run, struct error *e)
{
    const struct backend *b = &program->backend;
    const uint32_t *output = s->node.output;
    uint8_t byte;
    int32_t status = b->api->program_run(s->compiled, run);
    for (uint32_t i = 0; i < s->node.output_count && status == GRAFT_OK; i++) {
        if (output[i] == GRAFT_ABSENT) continue;
        /* reading a byte of what it wrote waits for the work */
        status = b->api->buffer_read(s->buffers[output[i]], s->tensors[output[i]].offset, &byte, 1);
        break;
    }
    return status == GRAFT_OK ? GRAFT_OK : program_failed(b, status, e);
}

void single_destroy(struct single *s, const struct program *program)
{
    if (s->compiled != NULL) program->backend.api->program_destroy(s->compiled);
    s->compiled = NULL;
}

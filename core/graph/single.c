/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of a program of one node or of one sweep.
 */
#include "graph/single.h"

static void take(struct single *s, const struct program *program, uint32_t *number)
{
    if (*number == GRAFT_ABSENT) return;
    s->tensors[s->count] = program_tensor(program, *number, &s->buffers[s->count]);
    if (s->buffers[s->count] != NULL) s->tensors[s->count].buffer = s->count;
    *number = s->count++;
}

uint32_t single_length(const struct graft_node *node, bool sweeps)
{
    return sweeps && node->sweep != 0 ? node->sweep : 1;
}

enum graft_status single_compile(struct single *s, const struct program *program,
                                 const struct graft_node *node, struct error *e)
{
    const struct backend *b = &program->backend;
    uint64_t scratch;
    *s = (struct single){.node_count = single_length(node, b->sweeps)};
    for (uint32_t k = 0; k < s->node_count; k++) {
        struct graft_node *n = &s->nodes[k];
        *n = node[k];
        node_for(n, program);
        for (uint32_t i = 0; i < n->input_count; i++) take(s, program, &n->input[i]);
        for (uint32_t i = 0; i < n->output_count; i++) take(s, program, &n->output[i]);
    }
    struct graft_program_desc desc = {.struct_size = sizeof desc,
                                      .tensor_stride = sizeof s->tensors[0],
                                      .node_stride = sizeof s->nodes[0],
                                      .tensor_count = s->count,
                                      .node_count = s->node_count,
                                      .buffer_count = s->count,
                                      .tensors = s->tensors,
                                      .nodes = s->nodes,
                                      .buffers = s->buffers};
    int32_t status = b->api->program_create(b->device, &desc, &s->compiled, &scratch);
    return status == GRAFT_OK ? GRAFT_OK : program_failed(b, status, e);
}

/* A tensor that the last node to write one writes. */
static uint32_t last_written(const struct single *s)
{
    for (uint32_t k = s->node_count; k-- > 0;)
        for (uint32_t i = 0; i < s->nodes[k].output_count; i++) {
            uint32_t output = s->nodes[k].output[i];
            if (output != GRAFT_ABSENT && s->buffers[output] != NULL) return output;
        }
    return GRAFT_ABSENT;
}

enum graft_status single_run(const struct single *s, const struct program *program,
                             const struct graft_run *run, struct error *e)
{
    const struct backend *b = &program->backend;
    uint32_t written = last_written(s);
    uint8_t byte;
    int32_t status = b->api->program_run(s->compiled, run);
    if (status == GRAFT_OK && written != GRAFT_ABSENT) /* reading a byte of it waits for the work */
        status = b->api->buffer_read(s->buffers[written], s->tensors[written].offset, &byte, 1);
    return status == GRAFT_OK ? GRAFT_OK : program_failed(b, status, e);
}

void single_destroy(struct single *s, const struct program *program)
{
    if (s->compiled != NULL) program->backend.api->program_destroy(s->compiled);
    s->compiled = NULL;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The first node with a number that is not finite.
 */
#include "graph/blame.h"

#include "base/memory.h"
#include "graph/op.h"
#include "graph/single.h"

#include <math.h>
#include <string.h>

/* Reads one f32 tensor's live rows. */
static enum graft_status look(const struct program *program, const struct graft_tensor *t,
                              const struct graft_buffer *buffer, const int64_t *live, bool *finite,
                              struct error *e)
{
    const struct backend *b = &program->backend;
    struct graft_shape shape = t->shape;
    *finite = true;
    if (t->dtype != GRAFT_DTYPE_F32) return GRAFT_OK;
    if (t->rows != GRAFT_ROWS_FIXED) shape.dim[0] = live[t->rows];
    int64_t count = graft_shape_count(shape);
    if (count == 0) return GRAFT_OK;
    float *numbers = mem_alloc((size_t)count * sizeof *numbers);
    if (numbers == NULL) return error_memory(e, "a value", (size_t)count * sizeof *numbers);
    int32_t status = b->api->buffer_read((struct graft_buffer *)(uintptr_t)buffer, t->offset,
                                         numbers, (uint64_t)count * sizeof *numbers);
    for (int64_t i = 0; i < count && *finite; i++) *finite = isfinite(numbers[i]);
    mem_free(numbers);
    return status == GRAFT_OK ? GRAFT_OK : program_failed(b, status, e);
}

static void name_node(const struct plan *plan, size_t node, struct str *out)
{
    const struct node_origin *from = &plan->origins[node];
    if (from->backward) str_puts(out, "the backward pass, ");
    str_puts(out, op_info(plan->nodes[node].op)->name);
    if (from->place != NULL)
        str_printf(out, " of %s", from->place);
    else if (from->block >= 0)
        str_printf(out, " of block %d", (int)from->block);
}

/* A stored value that is read: what the run began with. */
static enum graft_status look_at_inputs(const struct program *program, const struct plan *plan,
                                        size_t first, uint32_t k, const struct single *s,
                                        const int64_t *live, struct str *out, struct error *e)
{
    const struct graft_node *n = &plan->nodes[first + k];
    for (uint32_t i = 0; i < n->input_count; i++) {
        if (n->input[i] == GRAFT_ABSENT) continue;
        const struct placed_value *v = &plan->values[n->input[i]];
        bool finite = true;
        if (v->place != PLACE_STORED || v->stored->kind == STORE_GRADIENT) continue;
        const struct graft_tensor *t = &s->tensors[s->nodes[k].input[i]];
        enum graft_status status = look(program, t, s->buffers[t->buffer], live, &finite, e);
        if (status != GRAFT_OK) return status;
        if (!finite) {
            str_printf(out, "%s %s", store_class_name(v->stored->kind), v->stored->name);
            return GRAFT_OK;
        }
    }
    return GRAFT_OK;
}

static enum graft_status look_at_outputs(const struct program *program, const struct plan *plan,
                                         size_t first, uint32_t k, const struct single *s,
                                         const int64_t *live, struct str *out, struct error *e)
{
    const struct graft_node *n = &s->nodes[k];
    for (uint32_t i = 0; i < n->output_count; i++) {
        bool finite = true;
        if (n->output[i] == GRAFT_ABSENT || s->buffers[n->output[i]] == NULL) continue;
        const struct graft_tensor *t = &s->tensors[n->output[i]];
        enum graft_status status = look(program, t, s->buffers[t->buffer], live, &finite, e);
        if (status != GRAFT_OK) return status;
        if (!finite) {
            name_node(plan, first + k, out);
            return GRAFT_OK;
        }
    }
    return GRAFT_OK;
}

enum graft_status program_blame(struct program *program, const struct plan *plan,
                                const int64_t live[GRAFT_ROWS_KINDS], struct str *out,
                                struct error *e)
{
    struct graft_run run = {.struct_size = sizeof run};
    size_t before = out->length;
    enum graft_status status = GRAFT_OK;
    memcpy(run.live, live, sizeof run.live);
    for (size_t i = 0; i < plan->node_count && status == GRAFT_OK && out->length == before;
         i += single_length(&plan->nodes[i], program->backend.sweeps)) {
        struct single s;
        status = single_compile(&s, program, &plan->nodes[i], e);
        for (uint32_t k = 0; k < s.node_count && status == GRAFT_OK && out->length == before; k++)
            status = look_at_inputs(program, plan, i, k, &s, live, out, e);
        if (status == GRAFT_OK && out->length == before) status = single_run(&s, program, &run, e);
        for (uint32_t k = 0; k < s.node_count && status == GRAFT_OK && out->length == before; k++)
            status = look_at_outputs(program, plan, i, k, &s, live, out, e);
        single_destroy(&s, program);
    }
    return status;
}

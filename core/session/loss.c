/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens in, loss out; the trained rows alone go through the head.
 */
#include "session/loss.h"

#include "base/memory.h"
#include "graph/blame.h"

#include <string.h>

static struct stored *add_entry(struct session *s, const char *name, int32_t dtype, size_t count,
                                int32_t rows)
{
    return store_add(s->store, STORE_INPUT, name, dtype, graft_shape1((int64_t)count), rows);
}

enum graft_status batch_slot_create(struct session *s, size_t capacity, struct batch_slot *slot,
                                    struct error *e)
{
    const int32_t tokens = GRAFT_ROWS_TOKENS, trained = GRAFT_ROWS_TRAINED;
    struct batch_slot b = {.capacity = capacity};
    b.ids = add_entry(s, "ids", GRAFT_DTYPE_I32, capacity, tokens);
    b.positions = add_entry(s, "positions", GRAFT_DTYPE_I32, capacity, tokens);
    b.first = add_entry(s, "first", GRAFT_DTYPE_I32, capacity, tokens);
    b.last = add_entry(s, "last", GRAFT_DTYPE_I32, capacity, tokens);
    b.row = add_entry(s, "row", GRAFT_DTYPE_I32, capacity, tokens);
    b.index = add_entry(s, "index", GRAFT_DTYPE_I32, capacity, trained);
    b.target = add_entry(s, "target", GRAFT_DTYPE_I32, capacity, trained);
    b.scale = add_entry(s, "scale", GRAFT_DTYPE_F32, 1, GRAFT_ROWS_FIXED);
    b.once = add_entry(s, "once", GRAFT_DTYPE_F32, 1, GRAFT_ROWS_FIXED);
    b.step = add_entry(s, "step", GRAFT_DTYPE_I32, 1, GRAFT_ROWS_FIXED);
    if (b.step != NULL && b.ids != NULL) {
        b.stage_bytes = b.step->offset + b.step->bytes - b.ids->offset;
        b.stage = mem_zalloc(1, b.stage_bytes);
    }
    if (b.stage == NULL || b.positions == NULL || b.first == NULL || b.last == NULL ||
        b.row == NULL || b.index == NULL || b.target == NULL || b.scale == NULL || b.once == NULL) {
        mem_free(b.stage);
        return error_memory(e, "a batch", capacity * 28);
    }
    *slot = b;
    return GRAFT_OK;
}

void batch_slot_destroy(struct batch_slot *slot)
{
    mem_free(slot->stage);
    slot->stage = NULL;
}

static void stage(const struct batch_slot *slot, const struct stored *entry, const void *from,
                  size_t bytes)
{
    memcpy(slot->stage + (entry->offset - slot->ids->offset), from, bytes);
}

static enum graft_status upload(const struct session *s, const struct loss_program *p,
                                const struct micro_batch *batch, double scale, uint32_t step,
                                struct error *e)
{
    const struct batch_slot *slot = p->slot;
    size_t bytes = slot->capacity * sizeof(int32_t);
    float scale32 = (float)scale, once32 = (float)p->once;
    stage(slot, slot->ids, batch->ids, bytes);
    stage(slot, slot->positions, batch->positions, bytes);
    stage(slot, slot->first, batch->first, bytes);
    stage(slot, slot->last, batch->last, bytes);
    stage(slot, slot->row, batch->row, bytes);
    stage(slot, slot->index, batch->index, bytes);
    stage(slot, slot->target, batch->target, bytes);
    stage(slot, slot->scale, &scale32, sizeof scale32);
    stage(slot, slot->once, &once32, sizeof once32);
    stage(slot, slot->step, &step, sizeof step);
    return stored_write(slot->ids, s->backend, slot->stage, slot->stage_bytes, e);
}

static void build(struct session *s, const struct batch_slot *slot, struct graph *g, bool training,
                  struct loss_program *out)
{
    struct graft_builder *b = graph_builder(g);
    struct model_inputs inputs = {.tokens = graph_stored(g, slot->ids),
                                  .positions = graph_stored(g, slot->positions),
                                  .first = graph_stored(g, slot->first),
                                  .last = graph_stored(g, slot->last)};
    struct adapt_mode mode = {.training = training,
                              .row = graph_stored(g, slot->row),
                              .token = inputs.positions,
                              .step = graph_stored(g, slot->step)};
    struct model_wrap wrap = {.context = NULL};
    if (s->adapt != NULL) wrap = adapt_begin(s->adapt, g, &mode);
    graft_value hidden = model_hidden(s->model, g, &inputs, &wrap, NULL);
    graft_value gather[2] = {hidden, graph_stored(g, slot->index)};
    graft_value x = b->api->op(b, GRAFT_OP_GATHER_ROWS, gather, 2, NULL);
    out->nll = model_loss(s->model, g, x, graph_stored(g, slot->target), &wrap,
                          s->adapt != NULL && adapt_wraps_head(s->adapt));
    graph_set_place(g, "");
    graph_set_block(g, -1);
    out->loss = graft_sum(b, graft_mul(b, out->nll, graph_stored(g, slot->scale)), 1);
    if (s->adapt != NULL) {
        graft_value penalty = adapt_penalty(s->adapt);
        if (penalty.id != 0)
            out->loss = graft_add(b, out->loss, graft_mul(b, penalty, graph_stored(g, slot->once)));
        adapt_end(s->adapt);
    }
    graph_keep(g, out->nll);
    graph_keep(g, out->loss);
}

enum graft_status loss_program_plan(struct session *s, const struct batch_slot *slot, bool training,
                                    bool recompute, struct loss_program *out, struct error *e)
{
    struct loss_program p = {.slot = slot};
    struct graph *g = NULL;
    enum graft_status status = graph_create(&g, e);
    if (status != GRAFT_OK) return status;
    if (s->keep_detached) graph_keep_detached(g);
    build(s, slot, g, training, &p);
    if (training) graph_backward(g, p.loss);
    if (training && recompute) graph_recompute(g);
    status = session_plan(s, g, &p.plan, e);
    graph_destroy(g);
    if (status == GRAFT_OK) *out = p;
    return status;
}

enum graft_status loss_program_compile(struct session *s, struct loss_program *p, struct error *e)
{
    return session_compile(s, p->plan, &p->program, e);
}

void loss_program_destroy(struct loss_program *p)
{
    program_destroy(p->program);
    plan_destroy(p->plan);
    *p = (struct loss_program){0};
}

struct live {
    int64_t count[GRAFT_ROWS_KINDS];
};

static struct live live_of(const struct micro_batch *batch)
{
    return (struct live){{[GRAFT_ROWS_TOKENS] = (int64_t)batch->token_count,
                          [GRAFT_ROWS_TRAINED] = (int64_t)batch->trained_count}};
}

enum graft_status loss_program_blame(struct session *s, struct loss_program *p,
                                     const struct micro_batch *batch, double scale, uint32_t step,
                                     struct str *out, struct error *e)
{
    enum graft_status status = upload(s, p, batch, scale, step, e);
    if (status != GRAFT_OK) return status;
    return program_blame(p->program, p->plan, live_of(batch).count, out, e);
}

enum graft_status loss_program_run(struct session *s, struct loss_program *p,
                                   const struct micro_batch *batch, double scale, uint32_t step,
                                   float *loss, struct error *e)
{
    enum graft_status status = upload(s, p, batch, scale, step, e);
    if (status == GRAFT_OK) status = program_run(p->program, live_of(batch).count, e);
    if (status == GRAFT_OK) status = program_read(p->program, p->loss, loss, sizeof *loss, e);
    return status;
}

enum graft_status loss_program_read_nll(struct loss_program *p, const struct micro_batch *batch,
                                        float *nll, struct error *e)
{
    return program_read(p->program, p->nll, nll, batch->trained_count * sizeof *nll, e);
}

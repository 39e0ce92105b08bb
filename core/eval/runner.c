/* SPDX-License-Identifier: Apache-2.0
 *
 * A set measured by programs of its own.
 */
#include "eval/runner.h"

enum { TOKENS = 1024, SLOTS = 32 };

enum graft_status eval_runner_plan(struct session *session, const struct eval_set *set,
                                   size_t max_new_tokens, struct eval_runner *r, struct error *e)
{
    size_t longest = set->tokens.ledger.longest, capacity = longest > TOKENS ? longest : TOKENS;
    r->session = session;
    r->set = set;
    r->max_new_tokens = max_new_tokens;
    enum graft_status status = batch_slot_create(session, capacity, &r->slot, e);
    if (status == GRAFT_OK) status = micro_batch_create(capacity, &r->batch, e);
    if (status == GRAFT_OK) r->batch.position_offset = (int32_t)session->rows.position_offset;
    if (status == GRAFT_OK)
        status = loss_program_plan(session, &r->slot, false, false, &r->program, e);
    if (status != GRAFT_OK || !eval_set_has_answers(set)) return status;
    struct generator_size size = {.slots = set->count < SLOTS ? set->count : SLOTS,
                                  .length = set->longest_prompt + max_new_tokens,
                                  .tokens = capacity};
    return generator_plan(session, &size, &r->generator, e);
}

enum graft_status eval_runner_run(struct eval_runner *r, eval_progress *progress, void *context,
                                  struct eval_measure *measure, struct error *e)
{
    enum graft_status status = loss_program_compile(r->session, &r->program, e);
    if (status == GRAFT_OK && r->generator != NULL) status = generator_compile(r->generator, e);
    if (status == GRAFT_OK)
        status =
            eval_loss(r->session, &r->program, &r->batch, r->set, progress, context, measure, e);
    if (status == GRAFT_OK && r->generator != NULL)
        status = eval_answer(r->session, r->generator, r->set, r->max_new_tokens, progress, context,
                             measure, e);
    return status;
}

void eval_runner_fini(struct eval_runner *r)
{
    generator_destroy(r->generator);
    loss_program_destroy(&r->program);
    micro_batch_destroy(&r->batch);
    batch_slot_destroy(&r->slot);
}

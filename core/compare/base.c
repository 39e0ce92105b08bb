/* SPDX-License-Identifier: Apache-2.0
 *
 * The base model alone on the final split: measured once, shown beside every method, and each run's
 * "before".
 */
#include "compare/parts.h"

#include "session/source.h"

enum { TOKENS = 1024, SLOTS = 32 };

struct base {
    struct session *session;
    struct eval_set set;
    struct batch_slot slot;
    struct micro_batch batch;
    struct loss_program program;
    struct generator *generator;
    struct eval_measure measure;
    const struct compare_request *request;
};

static bool ask(void *context, size_t done, size_t total)
{
    const struct compare_request *r = ((struct base *)context)->request;
    struct compare_progress p = {
        .train = {.phase = TRAIN_BEFORE, .done = (int64_t)done, .total = (int64_t)total}};
    if (r->progress != NULL) r->progress(r->context, &p);
    return r->stop != NULL && r->stop(r->context);
}

static enum graft_status open_base(struct base *b, const struct settings *s, struct error *e)
{
    struct session_request request = source_request(s);
    request.adapter_count = 0;
    enum graft_status status = session_open(&request, &b->session, e);
    if (status != GRAFT_OK) return status;
    struct data_tokenize_options options = source_tokenize(b->session, s);
    const char *path = s->data.test != NULL ? s->data.test : s->data.valid;
    status = eval_set_load(b->session, path, &options, (size_t)s->eval.rows, &b->set, e);
    b->set.metrics = s->eval.metrics; /* only whether they need answers: the rows are kept */
    return status;
}

static enum graft_status plan_base(struct base *b, const struct settings *s, struct error *e)
{
    size_t longest = b->set.tokens.ledger.longest, capacity = longest > TOKENS ? longest : TOKENS;
    enum graft_status status = batch_slot_create(b->session, capacity, &b->slot, e);
    if (status == GRAFT_OK) status = micro_batch_create(capacity, &b->batch, e);
    if (status == GRAFT_OK)
        status = loss_program_plan(b->session, &b->slot, false, false, &b->program, e);
    if (status != GRAFT_OK || !eval_set_has_answers(&b->set)) return status;
    struct generator_size size = {.slots = b->set.count < SLOTS ? b->set.count : SLOTS,
                                  .length = b->set.longest_prompt + (size_t)s->eval.max_new_tokens,
                                  .tokens = capacity};
    return generator_plan(b->session, &size, &b->generator, e);
}

static enum graft_status measure(struct base *b, const struct settings *s, const char *path,
                                 struct answer_time *time, struct error *e)
{
    struct device_request device = source_device(s, NULL);
    struct train_measured m = {TRAIN_BEFORE, b->session, b->generator, &b->set, &b->measure};
    enum graft_status status = session_start(b->session, &device, e);
    if (status == GRAFT_OK) status = loss_program_compile(b->session, &b->program, e);
    if (status == GRAFT_OK && b->generator != NULL) status = generator_compile(b->generator, e);
    if (status == GRAFT_OK)
        status = eval_loss(b->session, &b->program, &b->batch, &b->set, ask, b, &b->measure, e);
    if (status == GRAFT_OK && b->generator != NULL)
        status = eval_answer(b->session, b->generator, &b->set, (size_t)s->eval.max_new_tokens, ask,
                             b, &b->measure, e);
    if (status == GRAFT_OK) status = rows_time_answers(&m, time, e);
    if (status == GRAFT_OK) status = rows_save_base(path, &m, e);
    return status;
}

enum graft_status compare_measure_base(const struct compare_request *request,
                                       const struct settings *s, const char *path,
                                       struct answer_time *time, struct error *e)
{
    struct base b = {.request = request};
    enum graft_status status = open_base(&b, s, e);
    if (status == GRAFT_OK) status = plan_base(&b, s, e);
    if (status == GRAFT_OK) status = measure(&b, s, path, time, e);
    eval_measure_free(&b.measure);
    generator_destroy(b.generator);
    loss_program_destroy(&b.program);
    micro_batch_destroy(&b.batch);
    batch_slot_destroy(&b.slot);
    eval_set_free(&b.set);
    session_close(b.session);
    return status;
}

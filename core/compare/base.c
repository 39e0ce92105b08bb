/* SPDX-License-Identifier: Apache-2.0
 *
 * The base model alone on the final split: measured once, shown beside every method, and each run's
 * "before".
 */
#include "compare/parts.h"

#include "eval/runner.h"
#include "session/source.h"

struct base {
    struct session *session;
    struct eval_set set;
    struct eval_runner runner;
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

static enum graft_status measure(struct base *b, const struct settings *s, const char *path,
                                 struct answer_time *time, struct error *e)
{
    struct device_request device = source_device(s, NULL);
    enum graft_status status =
        eval_runner_plan(b->session, &b->set, (size_t)s->eval.max_new_tokens, &b->runner, e);
    if (status == GRAFT_OK) status = session_start(b->session, &device, e);
    if (status == GRAFT_OK) status = eval_runner_run(&b->runner, ask, b, &b->measure, e);
    struct train_measured m = {TRAIN_BEFORE, b->session, b->runner.generator, &b->set, &b->measure};
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
    if (status == GRAFT_OK) status = measure(&b, s, path, time, e);
    eval_measure_free(&b.measure);
    eval_runner_fini(&b.runner);
    eval_set_free(&b.set);
    session_close(b.session);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * An adapter through the trainer's own update program, with plain descent as the optimizer: a run
 * that goes on from a checkpoint is the one that did not stop. Covers what an adapter does after
 * the gradients and keeps between steps.
 */
#include "check/plugin_parts.h"

#include <graft/optimizer.h>

#include <math.h>
#include <string.h>

enum { STEPS = 6, STOP = 3 };

/* x - lr g */
static void descend(struct graft_builder *b, const void *options, const struct graft_update *u)
{
    (void)options;
    graft_assign(b, u->param, graft_sub(b, u->param, graft_mul(b, u->lr, u->grad)));
}

static const struct graft_optimizer descent = {
    .struct_size = sizeof descent, .elementwise = 1, .update = descend};
const struct plugin plain_descent = {
    .kind = GRAFT_PLUGIN_OPTIMIZER, .name = "descent", .functions = &descent};

static enum graft_status steps(struct subject *s, int from, int to, double *loss, struct error *e)
{
    enum graft_status status = GRAFT_OK;
    for (int step = from; step <= to && status == GRAFT_OK; step++) {
        float norm;
        status = subject_loss(s, true, loss, e);
        if (status == GRAFT_OK)
            status = update_run(&s->session, &s->update, 0.05, 0.0, step, &norm, e);
    }
    return status;
}

enum graft_status checkpoint_copy(const struct session *from, const struct session *to,
                                  struct error *e)
{
    static const enum store_class kinds[2] = {STORE_ADAPTER, STORE_STATE};
    enum graft_status status = GRAFT_OK;
    for (int k = 0; k < 2; k++)
        for (const struct stored *p = store_first(from->store, kinds[k]);
             p != NULL && status == GRAFT_OK; p = p->next) {
            const struct stored *same = store_find(to->store, kinds[k], p->name);
            void *bytes = mem_zalloc(1, p->bytes);
            if (bytes == NULL)
                status = error_memory(e, p->name, p->bytes);
            else if (same == NULL || same->bytes != p->bytes)
                status = error_set(e, GRAFT_E_FAILED, "%s is not there the second time", p->name);
            else
                status = stored_read(p, from->backend, bytes, p->bytes, e);
            if (status == GRAFT_OK) status = stored_write(same, to->backend, bytes, p->bytes, e);
            mem_free(bytes);
        }
    return status;
}

void adapter_resume(const struct plugin *plugin, struct finding *f)
{
    struct subject whole = {0}, cut = {0}, again = {0};
    struct subject_request r = {
        .plugin = plugin, .machine = MACHINE_FLOAT, .seed = 42, .updates = true};
    struct error e = {0};
    double a = 0, b = 0;
    enum graft_status status = subject_open(&whole, &r, &e);
    if (status == GRAFT_OK) status = subject_open(&cut, &r, &e);
    if (status == GRAFT_OK) status = subject_open(&again, &r, &e);
    if (status == GRAFT_OK) status = steps(&whole, 1, STEPS, &a, &e);
    if (status == GRAFT_OK) status = steps(&cut, 1, STOP, &b, &e);
    if (status == GRAFT_OK) status = checkpoint_copy(&cut.session, &again.session, &e);
    if (status == GRAFT_OK) status = steps(&again, STOP + 1, STEPS, &b, &e);
    if (status != GRAFT_OK)
        finding_set(f, VERDICT_FAIL, "training: %s", e.text);
    else if (memcmp(&a, &b, sizeof a) != 0)
        finding_set(f, VERDICT_FAIL,
                    "resumed after %d steps, the loss of step %d is %.9g, else %.9g: does it keep "
                    "something outside its parameters and states?",
                    STOP, STEPS, b, a);
    else
        finding_set(f, VERDICT_OK, "%d steps are bit-equal to %d and %d more from a checkpoint",
                    STEPS, STOP, STEPS - STOP);
    subject_close(&again);
    subject_close(&cut);
    subject_close(&whole);
}

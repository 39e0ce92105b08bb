/* SPDX-License-Identifier: Apache-2.0
 *
 * What an optimizer must do: bring a quadratic down, go on after a restart with the same bits, and
 * stand its options' bounds. On the reference, through the trainer's own update program.
 */
#include "check/plugin_parts.h"

#include "check/reference.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TENSORS = 3, NUMBERS = 640 };

struct trial {
    struct session session;
    struct settings settings;
    struct update_program update;
    struct graft_host host;
    struct backend backend;
    struct error said;
    struct stored *params[TENSORS];
};

static enum graft_status open_machine(struct trial *t, struct error *e)
{
    struct session *s = &t->session;
    host_quiet(&t->host, &t->said);
    t->backend = (struct backend){.api = reference_backend(false), .error = &t->said};
    if (t->backend.api->open(&t->host, 0, &t->backend.device) != GRAFT_OK)
        return error_set(e, GRAFT_E_FAILED, "%s", t->said.text);
    s->backend = &t->backend;
    enum graft_status status = GRAFT_OK;
    for (int kind = STORE_ADAPTER; kind < STORE_CLASSES && status == GRAFT_OK; kind++)
        status = store_allocate(s->store, (enum store_class)kind, s->backend, e);
    if (status == GRAFT_OK)
        status = (enum graft_status)s->backend->api->buffer_create(
            s->backend->device, session_transient(s) + 64, &s->transient);
    return status == GRAFT_OK ? update_compile(s, &t->update, e) : status;
}

static float target(int tensor, size_t i)
{
    return sinf((float)(i * 37 + (size_t)tensor * 11)) + 0.5f;
}

/* Not zero: some steps are relative to the parameter. */
static enum graft_status begin(struct trial *t, struct error *e)
{
    enum graft_status status = GRAFT_OK;
    for (int k = 0; k < TENSORS && status == GRAFT_OK; k++) {
        float x[NUMBERS];
        for (size_t i = 0; i < t->params[k]->bytes / sizeof *x; i++)
            x[i] = cosf((float)(i * 5 + (size_t)k));
        status = stored_write(t->params[k], t->session.backend, x, t->params[k]->bytes, e);
    }
    return status;
}

static enum graft_status trial_open(struct trial *t, const struct plugin *plugin,
                                    const struct option_input *inputs, size_t count,
                                    struct error *e)
{
    const struct graft_shape shapes[TENSORS] = {graft_shape2(8, 20), graft_shape2(24, 16),
                                                graft_shape1(37)};
    static const char *const names[TENSORS] = {"wide", "tall", "flat"};
    struct option_request request = {.plugin = plugin,
                                     .path = "optimizer",
                                     .place = plugin->name,
                                     .inputs = inputs,
                                     .count = count};
    t->settings.optimizer.plugin = plugin;
    enum graft_status status = option_values_create(&request, &t->settings.optimizer.options, e);
    if (status == GRAFT_OK) status = store_create(&t->session.store, e);
    for (int i = 0; i < TENSORS && status == GRAFT_OK; i++) {
        t->params[i] = store_add_trained(t->session.store, names[i], shapes[i]);
        if (t->params[i] == NULL) status = error_memory(e, names[i], 1);
    }
    if (status == GRAFT_OK) status = update_plan(&t->session, &t->settings, &t->update, e);
    if (status == GRAFT_OK) status = open_machine(t, e);
    return status == GRAFT_OK ? begin(t, e) : status;
}

static void trial_close(struct trial *t)
{
    struct session *s = &t->session;
    update_destroy(&t->update);
    if (s->transient != NULL) s->backend->api->buffer_destroy(s->transient);
    store_destroy(s->store);
    if (t->backend.device != NULL) t->backend.api->close(t->backend.device);
    option_values_destroy(t->settings.optimizer.options);
}

/* Steps from..to on 1/2 |x - target|^2; *loss before each. */
static enum graft_status run(struct trial *t, int from, int to, double lr, double *loss,
                             struct error *e)
{
    enum graft_status status = GRAFT_OK;
    for (int step = from; step <= to && status == GRAFT_OK; step++) {
        float norm;
        *loss = 0;
        for (int k = 0; k < TENSORS && status == GRAFT_OK; k++) {
            const struct stored *p = t->params[k];
            float x[NUMBERS];
            status = stored_read(p, t->session.backend, x, p->bytes, e);
            for (size_t i = 0; i < p->bytes / sizeof *x; i++) {
                x[i] -= target(k, i);
                *loss += 0.5 * (double)x[i] * (double)x[i];
            }
            if (status == GRAFT_OK)
                status = stored_write(p->gradient, t->session.backend, x, p->bytes, e);
        }
        if (status == GRAFT_OK)
            status = update_run(&t->session, &t->update, lr, 0.0, step, &norm, e);
    }
    return status;
}

void optimizer_falls(const struct plugin *plugin, struct finding *f)
{
    struct trial t = {0};
    struct error e = {0};
    double first = 0, last = 0;
    enum graft_status status = trial_open(&t, plugin, NULL, 0, &e);
    if (status == GRAFT_OK) status = run(&t, 1, 1, 0.02, &first, &e);
    if (status == GRAFT_OK) status = run(&t, 2, 100, 0.02, &last, &e);
    if (status != GRAFT_OK)
        finding_set(f, VERDICT_FAIL, "%s", e.text);
    else if (!(last < 0.9 * first))
        finding_set(f, VERDICT_FAIL, "100 steps take the loss of a quadratic from %.4g to %.4g",
                    first, last);
    else
        finding_set(f, VERDICT_OK, "100 steps take the loss of a quadratic from %.4g to %.4g",
                    first, last);
    trial_close(&t);
}

static enum graft_status same_numbers(const struct trial *a, const struct trial *b, bool *same,
                                      struct error *e)
{
    enum graft_status status = GRAFT_OK;
    for (int k = 0; k < TENSORS && status == GRAFT_OK; k++) {
        float x[NUMBERS], y[NUMBERS];
        status = stored_read(a->params[k], a->session.backend, x, a->params[k]->bytes, e);
        if (status == GRAFT_OK)
            status = stored_read(b->params[k], b->session.backend, y, b->params[k]->bytes, e);
        *same &= memcmp(x, y, a->params[k]->bytes) == 0;
    }
    return status;
}

void optimizer_resume(const struct plugin *plugin, struct finding *f)
{
    struct trial whole = {0}, first = {0}, second = {0};
    struct error e = {0};
    double loss;
    bool same = true;
    disturb(0x11);
    enum graft_status status = trial_open(&whole, plugin, NULL, 0, &e);
    if (status == GRAFT_OK) status = run(&whole, 1, 10, 0.02, &loss, &e);
    disturb(0xEE);
    if (status == GRAFT_OK) status = trial_open(&first, plugin, NULL, 0, &e);
    if (status == GRAFT_OK) status = run(&first, 1, 4, 0.02, &loss, &e);
    if (status == GRAFT_OK) status = trial_open(&second, plugin, NULL, 0, &e);
    if (status == GRAFT_OK) status = checkpoint_copy(&first.session, &second.session, &e);
    if (status == GRAFT_OK) status = run(&second, 5, 10, 0.02, &loss, &e);
    if (status == GRAFT_OK) status = same_numbers(&whole, &second, &same, &e);
    disturb(0);
    if (status != GRAFT_OK)
        finding_set(f, VERDICT_FAIL, "%s", e.text);
    else if (!same)
        finding_set(f, VERDICT_FAIL,
                    "4 steps, a restart and 6 steps differ from 10 steps: something is kept "
                    "outside graft_state, or memory is uninitialized");
    else
        finding_set(f, VERDICT_OK, "4 steps, a restart and 6 steps are 10 steps, bit for bit");
    trial_close(&second);
    trial_close(&first);
    trial_close(&whole);
}

void optimizer_options(const struct plugin *plugin, struct finding *f)
{
    size_t tried = 0, refused = 0;
    for (size_t i = 0; i < plugin->option_count; i++) {
        struct option_input in;
        char value[64];
        for (size_t k = 0; option_trial(&plugin->options[i], k, &in, value); k++, tried++) {
            struct trial t = {0};
            struct error e = {0};
            double loss = 0;
            enum graft_status status = trial_open(&t, plugin, &in, 1, &e);
            if (status == GRAFT_OK) status = run(&t, 1, 3, 1e-3, &loss, &e);
            trial_close(&t);
            refused += status == GRAFT_E_INVALID;
            if (status == GRAFT_E_INVALID || (status == GRAFT_OK && isfinite(loss))) continue;
            finding_set(f, VERDICT_FAIL, "with %s: %s %s", in.key, value,
                        status == GRAFT_OK ? "the parameters are not finite" : e.text);
            return;
        }
    }
    finding_set(f, tried != 0 ? VERDICT_OK : VERDICT_SKIP,
                tried != 0 ? "%zu values at bounds, %zu refused with a text"
                           : "no option has bounds or choices to try",
                tried, refused);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What an adapter must do on the made-up model: build, train every parameter, have gradients that
 * finite differences confirm, be the same each time.
 */
#include "check/plugin_parts.h"

#include "base/random.h"
#include "check/reference.h"

#include <graft/adapter.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct subject_request on(const struct plugin *plugin, enum machine machine)
{
    return (struct subject_request){.plugin = plugin, .machine = machine, .seed = 42};
}

static void failed(struct finding *f, const char *what, const struct error *e)
{
    finding_set(f, VERDICT_FAIL, "%s: %s", what, e->text);
}

void adapter_builds(const struct plugin *plugin, struct finding *f)
{
    struct subject s = {0};
    struct error e = {0};
    double loss = 0;
    struct subject_request r = on(plugin, MACHINE_FLOAT);
    if (subject_open(&s, &r, &e) != GRAFT_OK || subject_loss(&s, true, &loss, &e) != GRAFT_OK)
        failed(f, "with the default options", &e);
    else if (!isfinite(loss))
        finding_set(f, VERDICT_FAIL, "with the default options the loss is not finite");
    else if (adapt_parameters(s.session.adapt) == 0)
        finding_set(f, VERDICT_FAIL, "it has no trained parameter");
    else if (adapt_sites(s.session.adapt) == 0)
        finding_set(f, VERDICT_OK, "%lld trained numbers of the model on a Llama of 2 layers",
                    (long long)adapt_parameters(s.session.adapt));
    else
        finding_set(f, VERDICT_OK, "%zu sites, %lld trained numbers on a Llama of 2 layers",
                    adapt_sites(s.session.adapt), (long long)adapt_parameters(s.session.adapt));
    subject_close(&s);
}

/* ---- options ---- */

static bool try_option(const struct plugin *plugin, const struct option_input *in,
                       const char *value, bool *refused, struct finding *f)
{
    struct subject s = {0};
    struct error e = {0};
    struct subject_request r = on(plugin, MACHINE_FLOAT);
    double loss = 0;
    r.inputs = in;
    r.count = 1;
    enum graft_status status = subject_open(&s, &r, &e);
    if (status == GRAFT_OK) status = subject_loss(&s, true, &loss, &e);
    subject_close(&s);
    *refused = status == GRAFT_E_INVALID;
    if (status == GRAFT_OK && isfinite(loss)) return true;
    if (status == GRAFT_E_INVALID) return true; /* its own refusal, with a text */
    if (status == GRAFT_OK)
        finding_set(f, VERDICT_FAIL, "with %s: %s the loss is not finite: narrow its bounds",
                    in->key, value);
    else
        finding_set(f, VERDICT_FAIL, "with %s: %s: %s", in->key, value, e.text);
    return false;
}

void adapter_options(const struct plugin *plugin, struct finding *f)
{
    size_t tried = 0, refusals = 0;
    for (size_t i = 0; i < plugin->option_count; i++) {
        struct option_input in;
        char value[64];
        for (size_t k = 0; option_trial(&plugin->options[i], k, &in, value); k++) {
            bool refused = false;
            if (!try_option(plugin, &in, value, &refused, f)) return;
            tried++;
            refusals += refused;
        }
    }
    if (tried == 0)
        finding_set(f, VERDICT_SKIP, "no option has bounds or choices to try");
    else
        finding_set(f, VERDICT_OK,
                    "%zu values at bounds (numbers up to 64), %zu refused with a text", tried,
                    refusals);
}

/* ---- gradients ---- */

static void direction_of(const struct stored *p, size_t n, double *u)
{
    struct random_key key = random_key(11, RANDOM_INIT, 0, p->name, 0);
    double norm = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t counter[4] = {(uint32_t)(i / 4), 0, 0, 0}, words[4];
        random_words(key, counter, words);
        u[i] = 2.0 * (double)graft_unit(words[i % 4]) - 1.0;
        norm += u[i] * u[i];
    }
    for (size_t i = 0; i < n; i++) u[i] /= sqrt(norm);
}

static enum graft_status loss_at(struct subject *s, const struct stored *p, const double *x,
                                 const double *u, double h, double *moved, size_t n, double *loss,
                                 struct error *e)
{
    for (size_t i = 0; i < n; i++) moved[i] = x[i] + h * u[i];
    enum graft_status status = subject_write(s, p, moved, e);
    return status == GRAFT_OK ? subject_loss(s, true, loss, e) : status;
}

struct slopes {
    double gradient, difference, moved; /* moved: with detached values that move */
};

/* The slope along u by a central difference of fourth order. */
static enum graft_status difference(struct subject *s, const struct stored *p, const double *x,
                                    const double *u, double *moved, double *slope, struct error *e)
{
    static const double h[4] = {1e-5, -1e-5, 2e-5, -2e-5};
    size_t n = (size_t)graft_shape_count(p->shape);
    double loss[4];
    enum graft_status status = GRAFT_OK;
    for (int k = 0; k < 4 && status == GRAFT_OK; k++)
        status = loss_at(s, p, x, u, h[k], moved, n, &loss[k], e);
    if (status == GRAFT_OK) status = subject_write(s, p, x, e);
    if (status == GRAFT_OK)
        *slope = (4.0 * (loss[0] - loss[1]) / 2e-5 - (loss[2] - loss[3]) / 4e-5) / 3.0;
    return status;
}

static enum graft_status slopes_of(struct subject *s, const struct stored *p, struct slopes *out,
                                   struct error *e)
{
    size_t n = (size_t)graft_shape_count(p->shape);
    double *x = mem_zalloc(4 * n, sizeof *x), *u = x + n, *g = u + n, *moved = g + n, loss;
    if (x == NULL) return error_memory(e, "numbers", n);
    direction_of(p, n, u);
    enum graft_status status = subject_read(s, p, x, e);
    if (status == GRAFT_OK)
        status = subject_write(s, p->gradient, g, e); /* zeros: runs add to it */
    if (status == GRAFT_OK) status = subject_loss(s, true, &loss, e);
    if (status == GRAFT_OK) status = subject_read(s, p->gradient, g, e);
    out->gradient = 0;
    for (size_t i = 0; i < n; i++) out->gradient += g[i] * u[i];
    reference_hold(s->backend.device, true);
    if (status == GRAFT_OK) status = difference(s, p, x, u, moved, &out->difference, e);
    reference_hold(s->backend.device, false);
    out->moved = out->difference;
    if (status == GRAFT_OK && reference_detached(s->backend.device) != 0)
        status = difference(s, p, x, u, moved, &out->moved, e);
    mem_free(x);
    return status;
}

static double apart(double a, double b)
{
    return fabs(a - b) / (1e-3 + fabs(b));
}

struct gradient_tally {
    size_t parameters, runs;
    double worst;
    char detached[128]; /* a parameter whose gradient is not the whole slope, by default */
};

/* By default, or with one option at another value, where the plugin may refuse it. */
static void gradient_with(const struct plugin *plugin, const struct option_input *in,
                          const char *value, struct gradient_tally *tally, struct finding *f)
{
    struct subject s = {0};
    struct error e = {0};
    struct subject_request r = on(plugin, MACHINE_DOUBLE);
    const struct stored *p = NULL;
    r.inputs = in;
    r.count = in != NULL;
    enum graft_status status = subject_open_moved(&s, &r, &e);
    bool refused = in != NULL && status == GRAFT_E_INVALID;
    if (status == GRAFT_OK) p = store_first(s.session.store, STORE_ADAPTER);
    for (; p != NULL && status == GRAFT_OK && f->verdict < VERDICT_FAIL; p = p->next) {
        struct slopes found = {0};
        status = slopes_of(&s, p, &found, &e);
        if (status != GRAFT_OK) break;
        double off = apart(found.gradient, found.difference);
        if (!(off <= 1e-4))
            finding_set(f, VERDICT_FAIL,
                        "%s%s%s%s%s: the gradient gives a slope of %.6g, finite differences %.6g: "
                        "is something in the graph not smooth?",
                        in != NULL ? in->key : "", in != NULL ? ": " : "", value,
                        in != NULL ? ", " : "", p->name, found.gradient, found.difference);
        if (in == NULL && !(apart(found.gradient, found.moved) <= 1e-4))
            snprintf(tally->detached, sizeof tally->detached, "%s", p->name);
        tally->worst = fmax(tally->worst, off);
    }
    if (status == GRAFT_OK && in == NULL) tally->parameters = subject_parameters(&s);
    tally->runs += status == GRAFT_OK;
    if (status != GRAFT_OK && !refused) failed(f, in != NULL ? in->key : "on the reference", &e);
    subject_close(&s);
}

void adapter_gradient(const struct plugin *plugin, struct finding *f)
{
    struct gradient_tally tally = {0};
    gradient_with(plugin, NULL, "", &tally, f);
    for (size_t i = 0; i < plugin->option_count; i++) {
        const struct graft_option *o = &plugin->options[i];
        struct option_input in;
        char value[64];
        if (o->type != GRAFT_OPTION_BOOL && o->type != GRAFT_OPTION_CHOICE) continue;
        for (size_t k = 0; f->verdict < VERDICT_FAIL && option_trial(o, k, &in, value); k++)
            if (o->fallback == NULL || strcmp(o->fallback, value) != 0)
                gradient_with(plugin, &in, value, &tally, f);
    }
    if (f->verdict >= VERDICT_FAIL) return;
    if (tally.detached[0] != '\0')
        finding_set(f, VERDICT_WARN,
                    "%s: with detached values held, finite differences agree to %.0e, and without "
                    "they do not: is it meant that training does not see this dependence?",
                    tally.detached, tally.worst);
    else if (tally.runs > 1)
        finding_set(f, VERDICT_OK,
                    "%zu parameters agree with finite differences to %.0e, with %zu choices too",
                    tally.parameters, tally.worst, tally.runs - 1);
    else
        finding_set(f, VERDICT_OK, "%zu parameters agree with finite differences to %.0e",
                    tally.parameters, tally.worst);
}

void adapter_moves(const struct plugin *plugin, struct finding *f)
{
    struct subject s = {0};
    struct error e = {0};
    struct subject_request r = on(plugin, MACHINE_FLOAT);
    enum graft_status status = subject_open(&s, &r, &e);
    size_t count = status == GRAFT_OK ? subject_parameters(&s) : 0, i = 0;
    bool *moved = mem_zalloc(count + 1, sizeof *moved);
    for (int step = 0; step < 3 && status == GRAFT_OK && moved != NULL; step++)
        status = subject_step(&s, 0.1, moved, &e);
    if (status != GRAFT_OK || moved == NULL) failed(f, "three steps", &e);
    for (const struct stored *p = count != 0 ? store_first(s.session.store, STORE_ADAPTER) : NULL;
         p != NULL && moved != NULL && f->text[0] == '\0'; p = p->next, i++)
        if (!moved[i])
            finding_set(f, VERDICT_FAIL,
                        "%s never has a gradient: nothing that is returned depends on it", p->name);
    if (f->text[0] == '\0') finding_set(f, VERDICT_OK, "all %zu parameters move in 3 steps", count);
    mem_free(moved);
    subject_close(&s);
}

/* ---- the same each time ---- */

static enum graft_status three_losses(const struct plugin *plugin, int pattern, double loss[3],
                                      struct error *e)
{
    struct subject s = {0};
    struct subject_request r = on(plugin, MACHINE_FLOAT);
    disturb(pattern);
    enum graft_status status = subject_open(&s, &r, e);
    for (int i = 0; i < 3 && status == GRAFT_OK; i++) {
        status = subject_loss(&s, false, &loss[i], e);
        if (status == GRAFT_OK) status = subject_step(&s, 0.1, NULL, e);
    }
    subject_close(&s);
    return status;
}

void adapter_same(const struct plugin *plugin, struct finding *f)
{
    static const int patterns[] = {0x11, 0xEE, 0x55};
    double first[3], again[3];
    struct error e = {0};
    enum graft_status status = three_losses(plugin, patterns[0], first, &e);
    for (int k = 1; k < 3 && status == GRAFT_OK; k++) {
        status = three_losses(plugin, patterns[k], again, &e);
        if (status == GRAFT_OK && memcmp(first, again, sizeof first) != 0) {
            finding_set(f, VERDICT_FAIL,
                        "the same recipe and seed give other losses (%.9g, then %.9g): it depends "
                        "on uninitialized memory or keeps something between calls",
                        first[2], again[2]);
            return;
        }
    }
    disturb(0);
    if (status != GRAFT_OK)
        failed(f, "with other content of free memory", &e);
    else
        finding_set(f, VERDICT_OK, "three runs with other content of free memory are bit-equal");
}

/* ---- at the start ---- */

static bool promised(const struct subject *s)
{
    const struct graft_adapter *f = s->plugin->functions;
    return f->struct_size >= offsetof(struct graft_adapter, identity) + sizeof f->identity &&
           f->identity != NULL && f->identity(option_values_get(s->adapter.options)) == 1;
}

/* With one option at a value that it may refuse, or with the defaults. */
static void start_with(const struct plugin *plugin, double without, const struct option_input *in,
                       const char *value, size_t *kept, struct finding *f)
{
    struct subject s = {0};
    struct error e = {0};
    struct subject_request r = on(plugin, MACHINE_DOUBLE);
    double with = 0;
    r.inputs = in;
    r.count = in != NULL;
    enum graft_status status = subject_open(&s, &r, &e);
    bool promise = status == GRAFT_OK && promised(&s);
    if (status == GRAFT_OK && (in == NULL || promise)) status = subject_loss(&s, false, &with, &e);
    bool same = fabs(with - without) <= 1e-9 * fabs(without);
    if (status != GRAFT_OK && (in == NULL || status != GRAFT_E_INVALID))
        failed(f, "before training", &e);
    else if (promise && !same)
        finding_set(f, VERDICT_FAIL,
                    "with %s%s%s it promises to begin as the identity, and changes the loss from "
                    "%.6g to %.6g",
                    in != NULL ? in->key : "the default options", in != NULL ? ": " : "", value,
                    without, with);
    else if (in == NULL && !same)
        finding_set(f, VERDICT_WARN,
                    "before training it changes the loss from %.6g to %.6g: begin as the identity "
                    "unless the method wants this",
                    without, with);
    *kept += promise && same;
    subject_close(&s);
}

void adapter_start(const struct plugin *plugin, struct finding *f)
{
    struct subject bare = {0};
    struct error e = {0};
    struct subject_request none = on(NULL, MACHINE_DOUBLE);
    double without = 0;
    size_t kept = 0;
    enum graft_status status = subject_open(&bare, &none, &e);
    if (status == GRAFT_OK) status = subject_loss(&bare, false, &without, &e);
    subject_close(&bare);
    if (status != GRAFT_OK) {
        failed(f, "before training", &e);
        return;
    }
    start_with(plugin, without, NULL, "", &kept, f);
    for (size_t i = 0; i < plugin->option_count; i++) {
        struct option_input in;
        char value[64];
        for (size_t k = 0;
             f->verdict < VERDICT_FAIL && option_trial(&plugin->options[i], k, &in, value); k++)
            start_with(plugin, without, &in, value, &kept, f);
    }
    if (f->verdict != VERDICT_OK) return;
    if (kept > 0)
        finding_set(f, VERDICT_OK, "before training the model is unchanged, as promised %zu times",
                    kept);
    else
        finding_set(f, VERDICT_OK, "before training the model is unchanged");
}

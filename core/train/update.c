/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds the update graph around the optimizer plugin. An elementwise optimizer is called once on
 * the flat vector of all parameters, another once per tensor. Adapters may add nodes after it.
 */
#include "train/update.h"

#include "adapt/groups.h"
#include "base/memory.h"

#include <graft/after.h>
#include <stdio.h>
#include <string.h>

/* A parameter as the step leaves it, and its gradient; [0] alone where all lie on one vector. */
struct stepped {
    graft_value next, gradient;
};

/* What the hooks need to know while the plugin is called. */
struct builder_state {
    struct session *session;
    struct graph *graph;
    const char *prefix; /* of state names: "" or "KEY/" */
    graft_value guard;
    const struct graft_update *update;
    struct update_program *out;
    struct stepped *stepped; /* as the parameters lie */
    size_t at;               /* the one at work */
    bool flat;
};

static bool same_shape(struct graft_shape a, struct graft_shape b)
{
    return a.rank == b.rank && memcmp(a.dim, b.dim, sizeof a.dim) == 0;
}

static graft_value hook_state(void *context, struct graft_builder *b, const void *update,
                              const char *name, struct graft_shape shape, int32_t dtype,
                              int32_t init)
{
    struct builder_state *s = context;
    char full[512];
    if (update != s->update || init != GRAFT_INIT_ZEROS) {
        graft_fail(b, "state %s: states belong to the update at hand and begin at zero", name);
        return (graft_value){0};
    }
    snprintf(full, sizeof full, "%s%s", s->prefix, name);
    struct stored *stored = store_find(s->session->store, STORE_STATE, full);
    if (stored != NULL && (stored->dtype != dtype || !same_shape(stored->shape, shape))) {
        graft_fail(b, "state %s: asked for with two shapes or types", name);
        return (graft_value){0};
    }
    if (stored == NULL)
        stored = store_add(s->session->store, STORE_STATE, full, dtype, shape, GRAFT_ROWS_FIXED);
    return graph_stored(s->graph, stored);
}

static graft_value hook_assign(void *context, struct graft_builder *b, graft_value stored,
                               graft_value value)
{
    struct builder_state *s = context;
    graft_value inputs[3] = {stored, value, s->guard};
    b->api->op(b, GRAFT_OP_ASSIGN, inputs, 3, NULL);
    if (stored.id == s->update->param.id && stored.id != 0) s->stepped[s->at].next = value;
    return value;
}

static graft_value input(struct builder_state *s, const char *name, struct stored **stored)
{
    *stored = store_add(s->session->store, STORE_INPUT, name, GRAFT_DTYPE_F32, graft_shape1(1),
                        GRAFT_ROWS_FIXED);
    return graph_stored(s->graph, *stored);
}

/* Without the loss scale, and times min(1, max_norm / (norm + 1e-6)), as torch clips. */
static graft_value gradient_factor(struct graft_builder *b, graft_value norm, graft_value unscale,
                                   double most)
{
    if (most == 0.0) return unscale;
    graft_value factor = graft_div(b, graft_constant(b, most), graft_affine(b, norm, 1.0, 1e-6));
    factor = graft_binary(b, GRAFT_OP_MINIMUM, factor, graft_constant(b, 1.0));
    return graft_mul(b, factor, unscale);
}

static void clear(struct builder_state *s, graft_value gradient)
{
    struct graft_builder *b = graph_builder(s->graph);
    graft_value zeros = graph_broadcast(s->graph, graft_constant(b, 0.0),
                                        graft_shape_of(b, gradient), GRAFT_ROWS_FIXED);
    graft_binary(b, GRAFT_OP_ASSIGN, gradient, zeros);
}

static void call_plugin(struct builder_state *s, const struct settings *settings,
                        struct graft_update *u)
{
    const struct graft_optimizer *optimizer = settings->optimizer.plugin->functions;
    struct graph_hooks hooks = {.context = s, .state = hook_state, .assign = hook_assign};
    s->update = u;
    s->stepped[s->at] = (struct stepped){u->param, u->grad};
    graph_set_hooks(s->graph, &hooks);
    optimizer->update(graph_builder(s->graph), option_values_get(settings->optimizer.options), u);
    graph_set_hooks(s->graph, NULL);
}

static void build_flat(struct builder_state *s, const struct settings *settings,
                       struct graft_update *u, graft_value factor)
{
    struct graft_builder *b = graph_builder(s->graph);
    struct stored *gradients = store_flat(s->session->store, STORE_GRADIENT);
    graft_value gradient = graph_stored(s->graph, gradients);
    u->param = graph_stored(s->graph, store_flat(s->session->store, STORE_ADAPTER));
    u->shape = graft_shape_of(b, gradient);
    u->grad = graft_mul(b, gradient, factor);
    if (s->out->lr_scales != NULL)
        u->lr = graft_mul(b, u->lr, graph_stored(s->graph, s->out->lr_scales));
    if (s->out->decays != NULL) u->weight_decay = graph_stored(s->graph, s->out->decays);
    call_plugin(s, settings, u);
    clear(s, gradient);
}

static void build_each(struct builder_state *s, const struct settings *settings,
                       struct graft_update *u, graft_value factor)
{
    struct graft_builder *b = graph_builder(s->graph);
    graft_value lr = u->lr;
    for (const struct stored *p = store_first(s->session->store, STORE_ADAPTER); p != NULL;
         p = p->next, s->at++) {
        char prefix[512];
        snprintf(prefix, sizeof prefix, "%s/", p->name);
        s->prefix = prefix;
        graft_value gradient = graph_stored(s->graph, p->gradient);
        u->param = graph_stored(s->graph, p);
        u->shape = p->shape;
        u->grad = graft_mul(b, gradient, factor);
        if (s->out->scales != NULL)
            u->lr = graft_scale(b, lr, (double)s->out->scales[p->offset / sizeof(float)]);
        if (s->out->decay_values != NULL)
            u->weight_decay =
                graft_constant(b, (double)s->out->decay_values[p->offset / sizeof(float)]);
        call_plugin(s, settings, u);
        clear(s, gradient);
    }
}

/* ---- after it ---- */

static graft_value hook_updated(void *context, struct graft_builder *b,
                                const struct graft_site *site, const char *name,
                                graft_value *gradient)
{
    struct builder_state *s = context;
    size_t length = strlen(s->prefix), at = 0; /* the prefix ends with a slash */
    const struct stored *p = store_first(s->session->store, STORE_ADAPTER);
    for (; p != NULL; p = p->next, at++)
        if (strncmp(p->name, s->prefix, length - 1) == 0 && p->name[length - 1] == '.' &&
            strcmp(p->name + length, name) == 0)
            break;
    if (p == NULL) {
        graft_fail(b, "%s: %s has no trained parameter of this name", name, site->name);
        return (graft_value){0};
    }
    if (!s->flat) {
        *gradient = s->stepped[at].gradient;
        return s->stepped[at].next;
    }
    int64_t begin = (int64_t)(p->offset / sizeof(float)), count = graft_shape_count(p->shape);
    *gradient = graft_reshape(b, graft_slice(b, s->stepped[0].gradient, 0, begin, count), p->shape);
    return graft_reshape(b, graft_slice(b, s->stepped[0].next, 0, begin, count), p->shape);
}

static void at_site(void *context, const char *key)
{
    struct builder_state *s = context;
    s->prefix = key;
}

static void build_after(struct builder_state *s, struct graft_update *u)
{
    struct graph_hooks hooks = {
        .context = s, .state = hook_state, .assign = hook_assign, .updated = hook_updated};
    if (s->session->adapt == NULL) return;
    u->param = u->grad = (graft_value){0};
    u->shape = graft_shape1(0);
    s->update = u;
    graph_set_hooks(s->graph, &hooks);
    adapt_after(s->session->adapt, s->graph, u, at_site, s);
    graph_set_hooks(s->graph, NULL);
}

static void build(struct session *session, const struct settings *settings, struct graph *graph,
                  struct stepped *stepped, struct update_program *out)
{
    const struct graft_optimizer *optimizer = settings->optimizer.plugin->functions;
    struct graft_builder *b = graph_builder(graph);
    struct builder_state s = {.session = session,
                              .graph = graph,
                              .prefix = "",
                              .out = out,
                              .stepped = stepped,
                              .flat = optimizer->elementwise != 0};
    struct graft_update u = {.struct_size = sizeof u};
    graft_value all = graph_stored(graph, store_flat(session->store, STORE_GRADIENT));
    graft_value unscale = input(&s, "unscale", &out->unscale);
    out->norm = graft_mul(b, graft_unary(b, GRAFT_OP_SQRT, graft_sum(b, graft_mul(b, all, all), 1)),
                          unscale);
    s.guard = graft_unary(b, GRAFT_OP_FINITE, out->norm);
    u.lr = input(&s, "lr", &out->lr);
    u.weight_decay = input(&s, "weight_decay", &out->weight_decay);
    u.step = input(&s, "update", &out->step);
    graph_set_place(graph, "optimizer");
    graft_value factor = gradient_factor(b, out->norm, unscale, settings->train.max_grad_norm);
    if (optimizer->elementwise)
        build_flat(&s, settings, &u, factor);
    else
        build_each(&s, settings, &u, factor);
    build_after(&s, &u);
    graph_keep(graph, out->norm);
}

static struct stored *add_vector(struct session *s, const char *name, size_t count)
{
    return store_add(s->store, STORE_FROZEN, name, GRAFT_DTYPE_F32, graft_shape1((int64_t)count),
                     GRAFT_ROWS_FIXED);
}

/* Learning rates and weight decays of their own, as vectors beside the parameters. */
static enum graft_status plan_vectors(struct session *s, const struct settings *settings,
                                      struct update_program *u, struct error *e)
{
    size_t count = (size_t)(store_bytes(s->store, STORE_ADAPTER) / sizeof(float));
    bool groups = settings->optimizer.group_count != 0;
    enum graft_status status = GRAFT_OK;
    u->scales = mem_zalloc(count, sizeof *u->scales);
    if (groups) u->decay_values = mem_zalloc(count, sizeof *u->decay_values);
    if (u->scales == NULL || (groups && u->decay_values == NULL))
        return error_memory(e, "learning rates", count * sizeof(float));
    for (size_t i = 0; i < count; i++) {
        u->scales[i] = 1.0f;
        if (groups) u->decay_values[i] = (float)settings->optimizer.weight_decay;
    }
    bool scaled = s->adapt != NULL && adapt_lr_scales(s->adapt, u->scales);
    if (groups)
        status = groups_apply(settings->optimizer.groups, settings->optimizer.group_count, s->store,
                              u->scales, u->decay_values, e);
    if (status != GRAFT_OK) return status;
    if (!groups && !scaled) {
        mem_free(u->scales);
        u->scales = NULL;
        return GRAFT_OK;
    }
    u->lr_scales = add_vector(s, "learning rates", count);
    if (groups) u->decays = add_vector(s, "weight decays", count);
    return u->lr_scales != NULL && (!groups || u->decays != NULL)
               ? GRAFT_OK
               : error_memory(e, "learning rates", count * sizeof(float));
}

enum graft_status update_plan(struct session *session, const struct settings *settings,
                              struct update_program *out, struct error *e)
{
    struct update_program u = {.loss_scale = 1.0};
    struct graph *graph = NULL;
    size_t count = 1;
    for (const struct stored *p = store_first(session->store, STORE_ADAPTER); p != NULL;
         p = p->next)
        count++;
    struct stepped *stepped = mem_zalloc(count, sizeof *stepped);
    if (stepped == NULL) return error_memory(e, "an update", count * sizeof *stepped);
    enum graft_status status = plan_vectors(session, settings, &u, e);
    if (status == GRAFT_OK) status = graph_create(&graph, e);
    if (status == GRAFT_OK) {
        build(session, settings, graph, stepped, &u);
        status = session_plan(session, graph, &u.plan, e);
    }
    mem_free(stepped);
    graph_destroy(graph);
    if (status == GRAFT_OK)
        *out = u;
    else
        update_destroy(&u);
    return status;
}

enum graft_status update_compile(struct session *session, struct update_program *u, struct error *e)
{
    enum graft_status status = GRAFT_OK;
    if (u->lr_scales != NULL)
        status = stored_write(u->lr_scales, session->backend, u->scales, u->lr_scales->bytes, e);
    if (status == GRAFT_OK && u->decays != NULL)
        status = stored_write(u->decays, session->backend, u->decay_values, u->decays->bytes, e);
    return status == GRAFT_OK ? session_compile(session, u->plan, &u->program, e) : status;
}

void update_destroy(struct update_program *u)
{
    program_destroy(u->program);
    plan_destroy(u->plan);
    mem_free(u->scales);
    mem_free(u->decay_values);
    *u = (struct update_program){0};
}

enum graft_status update_run(struct session *session, struct update_program *u, double lr,
                             double weight_decay, int64_t step, float *norm, struct error *e)
{
    const int64_t live[GRAFT_ROWS_KINDS] = {0};
    float lr32 = (float)lr, decay32 = (float)weight_decay, step32 = (float)step;
    float unscale32 = (float)(1.0 / u->loss_scale);
    enum graft_status status = stored_write(u->lr, session->backend, &lr32, sizeof lr32, e);
    if (status == GRAFT_OK)
        status = stored_write(u->weight_decay, session->backend, &decay32, sizeof decay32, e);
    if (status == GRAFT_OK)
        status = stored_write(u->step, session->backend, &step32, sizeof step32, e);
    if (status == GRAFT_OK)
        status = stored_write(u->unscale, session->backend, &unscale32, sizeof unscale32, e);
    if (status == GRAFT_OK) status = program_run(u->program, live, e);
    if (status == GRAFT_OK) status = program_read(u->program, u->norm, norm, sizeof *norm, e);
    if (status == GRAFT_OK && session->adapt != NULL)
        status = adapt_rank(session->adapt, step, session->backend, e);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What the builder's entries mean while an adapter is called: parameters by name, the base below,
 * frozen weights, dropout by site, values shared between sites, values for the file.
 */
#include "adapt/internal.h"

#include "base/random.h"

#include <string.h>

static const graft_value none = {0};

/* ---- parameters ---- */

static struct parameter *find_parameter(struct adapt *a, size_t layer, const char *key)
{
    for (size_t i = 0; i < a->parameter_count; i++)
        if (a->parameters[i].adapter == layer && strcmp(a->parameters[i].key, key) == 0)
            return &a->parameters[i];
    return NULL;
}

static struct parameter *add_parameter(struct adapt *a, size_t layer, const char *key,
                                       const struct graft_param_desc *d)
{
    const char *name = a->layer_count > 1 ? arena_format(&a->arena, "%zu/%s", layer, key) : key;
    struct stored *stored = NULL;
    if (name != NULL && d->frozen)
        stored =
            store_add(a->store, STORE_FROZEN, name, GRAFT_DTYPE_F32, d->shape, GRAFT_ROWS_FIXED);
    else if (name != NULL)
        stored = store_add_trained(a->store, name, d->shape);
    if (stored == NULL || !array_reserve(&a->parameters, &a->parameter_capacity,
                                         a->parameter_count + 1, sizeof *a->parameters))
        return NULL;
    struct parameter *p = &a->parameters[a->parameter_count++];
    *p = (struct parameter){.adapter = layer,
                            .key = key,
                            .site = d->site != NULL ? a->frame->model_site : NULL,
                            .stored = stored,
                            .init = d->init,
                            .scale = d->scale,
                            .lr_scale = d->lr_scale != 0 ? d->lr_scale : 1.0,
                            .unsaved = d->unsaved != 0,
                            .computed = d->initial.id != 0};
    return p;
}

static bool same_shape(struct graft_shape a, struct graft_shape b)
{
    return a.rank == b.rank && memcmp(a.dim, b.dim, sizeof a.dim) == 0;
}

static graft_value hook_param(void *context, struct graft_builder *b,
                              const struct graft_param_desc *d)
{
    struct adapt *a = context;
    const struct frame *f = a->frame;
    if (d->site != NULL && (d->site != &f->as.site || f->model_site == NULL)) {
        graft_fail(b, "%s: a parameter belongs to the site at hand, or to none", d->name);
        return none;
    }
    const char *key = d->site == NULL ? arena_strdup(&a->arena, d->name)
                                      : arena_format(&a->arena, "%s.%s", d->site->name, d->name);
    struct parameter *p = key != NULL ? find_parameter(a, f->layer, key) : NULL;
    bool registering = a->purpose == PURPOSE_REGISTER;
    if (p == NULL && key != NULL && registering) p = add_parameter(a, f->layer, key, d);
    if (p == NULL) {
        if (key == NULL || registering)
            graph_fail(a->graph, GRAFT_E_MEMORY, "%s: not enough memory", d->name);
        else
            graft_fail(b, "%s: the plugin asks for it in one program and not in another", d->name);
        return none;
    }
    if (!same_shape(p->stored->shape, d->shape)) {
        graft_fail(b, "%s: asked for with two shapes", d->name);
        return none;
    }
    graft_value v = graph_stored(a->graph, p->stored);
    if (a->purpose == PURPOSE_INIT && d->initial.id != 0)
        graft_binary(b, GRAFT_OP_ASSIGN, v, d->initial);
    return v;
}

/* ---- the base ---- */

/* The linear site that an attention site names as its sibling, or NULL. */
static const struct model_site *sibling_of(const struct adapt *a, const struct frame *f,
                                           const struct graft_site *site)
{
    if (f->model_site == NULL || f->model_site->kind != GRAFT_SITE_ATTENTION) return NULL;
    for (int i = 0; i < 4; i++) {
        const struct model_site *sibling = f->model_site->sibling + i;
        if (site == &a->linears[sibling - a->sites].site) return sibling;
    }
    return NULL;
}

static graft_value join(struct graft_builder *b, graft_value above, graft_value own)
{
    if (above.id == 0) return own;
    if (own.id == 0) return above;
    int64_t first = graft_shape_of(b, above).dim[0], second = graft_shape_of(b, own).dim[0];
    return graft_add(b, graft_place(b, above, 0, 0, first + second),
                     graft_place(b, own, 0, first, first + second));
}

static graft_value hook_base(void *context, struct graft_builder *b, const struct graft_site *site,
                             const graft_value *inputs, uint32_t count)
{
    static const uint32_t counts[] = {[GRAFT_SITE_LINEAR] = 1,
                                      [GRAFT_SITE_ATTENTION] = 5,
                                      [GRAFT_SITE_BLOCK] = 3,
                                      [GRAFT_SITE_EMBEDDING] = 1,
                                      [GRAFT_SITE_NORM] = 1};
    struct adapt *a = context;
    struct frame *f = a->frame;
    const struct model_site *below = site == &f->as.site ? f->model_site : sibling_of(a, f, site);
    graft_value all[5] = {none, none, none, none, none};
    if (below == NULL || count != counts[below->kind]) {
        graft_fail(b, "a base is asked of the site that the adapter was called with");
        return none;
    }
    memcpy(all, inputs, count * sizeof *inputs);
    if (below->kind == GRAFT_SITE_ATTENTION) {
        all[3] = join(b, f->pk, all[3]);
        all[4] = join(b, f->pv, all[4]);
    }
    return adapt_base(a, f->layer, below, f->scope, all);
}

static graft_value hook_weight(void *context, struct graft_builder *b,
                               const struct graft_site *site, int32_t bias)
{
    struct adapt *a = context;
    const struct frame *f = a->frame;
    if (site != &f->as.site || f->model_site == NULL || f->model_site->weight == NULL) {
        graft_fail(b, "a weight is asked of the linear, norm or embedding site at hand");
        return none;
    }
    for (size_t l = 0; l < f->layer; l++)
        if (a->layers[l].matched[f->model_site - a->sites] ||
            a->layers[l].own[f->model_site - a->sites] != 0) {
            graft_fail(b, "%s reads the frozen weight, so it must stand lowest on its site",
                       a->layers[f->layer].settings->method);
            return none;
        }
    if (bias && (a->layers[f->layer].own[f->model_site - a->sites] & OWN_BIAS) != 0)
        return adapt_own_bias(a);
    const struct stored *stored = bias ? f->model_site->bias : f->model_site->weight;
    return stored != NULL ? graph_stored(a->graph, stored) : none;
}

/* ---- the rest ---- */

static graft_value hook_dropout(void *context, struct graft_builder *b, graft_value x, double rate)
{
    struct adapt *a = context;
    struct frame *f = a->frame;
    if (!a->mode.training) return x;
    struct random_key key =
        random_key(a->seed, RANDOM_DROPOUT, (uint32_t)f->layer, f->as.site.name, f->dropouts++);
    union graft_params p = {.dropout = {.rate = rate}};
    memcpy(p.dropout.key, key.word, sizeof p.dropout.key);
    graft_value inputs[4] = {x, a->mode.row, a->mode.token, a->mode.step};
    return b->api->op(b, GRAFT_OP_DROPOUT, inputs, 4, &p);
}

static void hook_share(void *context, struct graft_builder *b, const char *name, graft_value v)
{
    struct adapt *a = context;
    const char *copy = arena_strdup(&a->arena, name);
    (void)b;
    if (copy == NULL ||
        !array_reserve(&a->shared, &a->shared_capacity, a->shared_count + 1, sizeof *a->shared)) {
        graph_fail(a->graph, GRAFT_E_MEMORY, "%s: not enough memory", name);
        return;
    }
    a->shared[a->shared_count++] = (struct shared_value){a->frame->layer, copy, v};
}

static graft_value hook_shared(void *context, struct graft_builder *b, const char *name)
{
    struct adapt *a = context;
    for (size_t i = 0; i < a->shared_count; i++)
        if (a->shared[i].adapter == a->frame->layer && strcmp(a->shared[i].name, name) == 0)
            return a->shared[i].value;
    graft_fail(b, "%s: the model function shared no such value", name);
    return none;
}

static void hook_save(void *context, struct graft_builder *b, const char *key, graft_value v)
{
    struct adapt *a = context;
    const struct model_site *site = a->frame->model_site;
    if (site != NULL && (a->purpose != PURPOSE_SAVE || a->frame->layer != a->saving)) return;
    if (a->purpose != PURPOSE_SAVE) {
        graft_fail(b, "graft_save belongs into the save function");
        return;
    }
    const char *copy = site == NULL ? arena_strdup(&a->arena, key)
                                    : arena_format(&a->arena, "%s.%s", site->name, key);
    if (copy != NULL && site != NULL) copy = adapt_site_key(a, a->saving, copy, &a->arena);
    if (copy == NULL ||
        !array_reserve(&a->saved, &a->saved_capacity, a->saved_count + 1, sizeof *a->saved)) {
        graph_fail(a->graph, GRAFT_E_MEMORY, "%s: not enough memory", key);
        return;
    }
    graph_keep(a->graph, v);
    a->saved[a->saved_count++] = (struct saved_value){copy, v};
}

static void hook_penalty(void *context, struct graft_builder *b, graft_value v)
{
    struct adapt *a = context;
    if (!a->mode.training) return;
    if (graft_shape_count(graft_shape_of(b, v)) != 1) {
        graft_fail(b, "a penalty is one number");
        return;
    }
    v = graft_reshape(b, v, graft_shape1(1));
    a->penalty = a->penalty.id != 0 ? graft_add(b, a->penalty, v) : v;
}

static void hook_save_scaled(void *context, struct graft_builder *b, const char *option,
                             double times)
{
    struct adapt *a = context;
    const char *copy = arena_strdup(&a->arena, option);
    if (a->purpose != PURPOSE_SAVE || a->frame->model_site != NULL) {
        graft_fail(b, "save_scaled belongs into the save function");
        return;
    }
    if (copy == NULL ||
        !array_reserve(&a->scales, &a->scale_capacity, a->scale_count + 1, sizeof *a->scales)) {
        graph_fail(a->graph, GRAFT_E_MEMORY, "%s: not enough memory", option);
        return;
    }
    a->scales[a->scale_count++] = (struct saved_scale){copy, times};
}

static graft_value hook_factor(void *context, struct graft_builder *b,
                               const struct graft_site *site, int32_t kind, int64_t rank,
                               int32_t right)
{
    struct adapt *a = context;
    const struct frame *f = a->frame;
    if (f->model_site == NULL || f->model_site->kind != GRAFT_SITE_LINEAR) {
        graft_fail(b, "factors are asked of the linear site at hand");
        return none;
    }
    /* also refuses what hook_weight refuses */
    if (hook_weight(context, b, site, 0).id == 0) return none;
    return adapt_factor(a, b, kind, rank, right != 0);
}

static graft_value hook_tokens(void *context, struct graft_builder *b, const char *text,
                               int64_t count)
{
    return adapt_tokens(context, b, text, count);
}

static graft_value hook_text_state(void *context, struct graft_builder *b, const char *text,
                                   int64_t count)
{
    return adapt_text_state(context, b, text, count);
}

static int32_t hook_from_file(void *context)
{
    const struct adapt *a = context;
    if (!a->from_files) return 0;
    return a->layers[a->frame->layer].settings->from_peft ? 2 : 1;
}

const struct graph_hooks adapt_hooks = {.param = hook_param,
                                        .base = hook_base,
                                        .weight = hook_weight,
                                        .dropout = hook_dropout,
                                        .share = hook_share,
                                        .shared = hook_shared,
                                        .save = hook_save,
                                        .from_file = hook_from_file,
                                        .tokens = hook_tokens,
                                        .text_state = hook_text_state,
                                        .factor = hook_factor,
                                        .save_scaled = hook_save_scaled,
                                        .penalty = hook_penalty};

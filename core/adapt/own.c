/* SPDX-License-Identifier: Apache-2.0
 *
 * The model's own numbers that an adapter trains beside its parameters: `bias` and
 * `modules_to_save`, with PEFT's rules and keys. What stands at such a site is the frozen layer
 * with trained copies of its numbers; the method, where it matched the site too, wraps that.
 */
#include "adapt/internal.h"

#include "adapt/targets.h"

#include <string.h>

/* ---- which sites ---- */

static bool is_meant(const char *module, const char *name)
{
    return *name != '\0' && text_ends(module, name);
}

static bool can_be_saved(const struct model_site *site)
{
    return site->kind == GRAFT_SITE_LINEAR || site->kind == GRAFT_SITE_NORM ||
           site->kind == GRAFT_SITE_EMBEDDING;
}

static enum graft_status no_module(const struct adapt *a, const char *name, struct error *e)
{
    const struct model_site **all = mem_zalloc(a->site_count, sizeof *all);
    struct str names = {0};
    size_t count = 0;
    if (all == NULL) return error_memory(e, "the sites", a->site_count);
    for (size_t i = 0; i < a->site_count; i++)
        if (can_be_saved(&a->sites[i])) all[count++] = &a->sites[i];
    targets_list(all, count, &names);
    enum graft_status status = error_set(
        e, GRAFT_E_INVALID,
        "modules_to_save: \"%s\" is no linear layer, norm or embedding of this model; it has %s",
        name, names.data != NULL ? names.data : "");
    str_free(&names);
    mem_free(all);
    return status;
}

/* A name means every module whose own name ends with it, dot or no dot. */
static enum graft_status mark_module(struct adapt *a, struct layer *layer, const char *name,
                                     struct error *e)
{
    bool any = false;
    if (model_config(a->model)->qk_norm &&
        (is_meant("self_attn.q_norm", name) || is_meant("self_attn.k_norm", name)))
        return error_set(e, GRAFT_E_INVALID,
                         "modules_to_save: \"%s\" means q_norm or k_norm, too, and those are not "
                         "trained; write input_layernorm, post_attention_layernorm or model.norm",
                         name);
    for (size_t i = 0; i < a->site_count; i++) {
        if (!can_be_saved(&a->sites[i]) || !is_meant(a->sites[i].name, name)) continue;
        layer->own[i] |= OWN_WHOLE;
        any = true;
    }
    return any ? GRAFT_OK : no_module(a, name, e);
}

enum graft_status adapt_mark_modules(struct adapt *a, struct layer *layer, struct error *e)
{
    const struct names *modules = &layer->settings->modules_to_save;
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; i < modules->count && status == GRAFT_OK; i++)
        status = mark_module(a, layer, modules->items[i], e);
    return status;
}

/* Both rules at one site: PEFT's files have no place for it. */
static enum graft_status check_both(const struct adapt *a, const struct layer *layer, size_t site,
                                    struct error *e)
{
    if ((layer->own[site] & OWN_WHOLE) == 0) return GRAFT_OK;
    if (layer->matched[site])
        return error_set(e, GRAFT_E_INVALID,
                         "modules_to_save: a name in it ends %s, which the method acts on: write "
                         "whole names",
                         a->sites[site].name);
    if ((layer->own[site] & OWN_BIAS) != 0)
        return error_set(e, GRAFT_E_INVALID,
                         "bias: all and modules_to_save both train the bias of %s; write "
                         "lora_only, or leave the layer out of modules_to_save",
                         a->sites[site].name);
    return GRAFT_OK;
}

/* They replace what is frozen, so nothing may stand below. */
static enum graft_status check_lowest(const struct adapt *a, size_t index, size_t site,
                                      struct error *e)
{
    for (size_t l = 0; l < index; l++)
        if (a->layers[l].matched[site] || a->layers[l].own[site] != 0)
            return error_set(e, GRAFT_E_INVALID,
                             "bias and modules_to_save train the model's own numbers of %s, so "
                             "the adapter must stand below %s there",
                             a->sites[site].name, a->layers[l].settings->method);
    return GRAFT_OK;
}

enum graft_status adapt_mark_biases(struct adapt *a, size_t index, struct error *e)
{
    struct layer *layer = &a->layers[index];
    int32_t bias = layer->settings->bias;
    enum graft_status status = GRAFT_OK;
    bool any = false;
    for (size_t i = 0; i < a->site_count && status == GRAFT_OK; i++) {
        bool wanted = bias == ADAPTER_BIAS_ALL || (bias == ADAPTER_BIAS_ONLY && layer->matched[i]);
        if (wanted && a->sites[i].bias != NULL) {
            layer->own[i] |= OWN_BIAS;
            any = true;
        }
        status = check_both(a, layer, i, e);
        if (status == GRAFT_OK && layer->own[i] != 0) status = check_lowest(a, index, i, e);
    }
    if (status == GRAFT_OK && bias != ADAPTER_BIAS_NONE && !any)
        return error_set(e, GRAFT_E_INVALID, "bias: %s of this %s model have no bias: write none",
                         bias == ADAPTER_BIAS_ALL ? "the layers" : "the targets",
                         model_config(a->model)->family);
    return status;
}

/* ---- the graph ---- */

static graft_value own_param(struct adapt *a, const char *name, struct graft_shape shape,
                             const struct stored *from)
{
    struct graft_builder *b = graph_builder(a->graph);
    graft_value initial = graph_stored(a->graph, from);
    if (from->dtype != GRAFT_DTYPE_F32) initial = graft_unary(b, GRAFT_OP_DEQUANTIZE, initial);
    struct graft_param_desc d = {.struct_size = sizeof d,
                                 .site = &a->frame->as.site,
                                 .name = name,
                                 .shape = shape,
                                 .initial = initial};
    return b->api->param(b, &d);
}

graft_value adapt_own_bias(struct adapt *a)
{
    const struct model_site *site = a->frame->model_site;
    bool wrapped = a->layers[a->frame->layer].matched[site - a->sites];
    return own_param(a, wrapped ? "base_layer.bias" : "bias", graft_shape1(site->out_features),
                     site->bias);
}

/* x W^T + b, of which the one, the other or both are trained */
static graft_value own_linear(struct adapt *a, const struct model_site *site, bool whole,
                              graft_value x)
{
    struct graft_builder *b = graph_builder(a->graph);
    graft_value W = graph_stored(a->graph, site->weight);
    if (whole)
        W = own_param(a, "weight", graft_shape2(site->out_features, site->in_features),
                      site->weight);
    graft_value y = graft_linear(b, x, W);
    return site->bias != NULL ? graft_add(b, y, adapt_own_bias(a)) : y;
}

/* x / rms(x) * w: the norm's op has no gradient to its weight, so it gets ones. */
static graft_value own_norm(struct adapt *a, const struct model_site *site, graft_value x)
{
    struct graft_builder *b = graph_builder(a->graph);
    struct graft_shape shape = graft_shape1(site->in_features);
    graft_value ones = graft_broadcast(b, graft_constant(b, 1.0), shape);
    return graft_mul(b, model_norm(a->graph, site, x, ones),
                     own_param(a, "weight", shape, site->weight));
}

static graft_value own_embedding(struct adapt *a, const struct model_site *site, graft_value ids)
{
    struct graft_builder *b = graph_builder(a->graph);
    graft_value inputs[2] = {
        ids,
        own_param(a, "weight", graft_shape2(site->in_features, site->out_features), site->weight)};
    union graft_params p = {.embedding = {.first = 0}};
    return b->api->op(b, GRAFT_OP_EMBEDDING, inputs, 2, &p);
}

graft_value adapt_own(struct adapt *a, size_t layer, const struct model_site *site,
                      const graft_value *in)
{
    bool whole = (a->layers[layer].own[site - a->sites] & OWN_WHOLE) != 0;
    struct frame frame = {.model_site = site, .layer = layer, .outer = a->frame};
    graft_value y = in[0];
    frame.as.site = (struct graft_site){.kind = (int32_t)site->kind, .name = site->name};
    a->frame = &frame;
    if (site->kind == GRAFT_SITE_LINEAR)
        y = own_linear(a, site, whole, in[0]);
    else if (site->kind == GRAFT_SITE_NORM)
        y = own_norm(a, site, in[0]);
    else
        y = own_embedding(a, site, in[1]);
    a->frame = frame.outer;
    return y;
}

const struct stored *adapt_own_weight(const struct adapt *a, const struct model_site *site)
{
    size_t length = strlen(site->name);
    for (size_t i = 0; i < a->parameter_count; i++) {
        const struct parameter *p = &a->parameters[i];
        if (a->layers[p->adapter].own[site - a->sites] != 0 &&
            strncmp(p->key, site->name, length) == 0 && strcmp(p->key + length, ".weight") == 0)
            return p->stored;
    }
    return NULL;
}

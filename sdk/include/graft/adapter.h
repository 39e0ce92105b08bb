/* SPDX-License-Identifier: Apache-2.0
 *
 * What an adapter implements. It declares parameters and adds nodes at sites; autodiff writes its
 * backward pass, the host matches targets, saves, loads and merges.
 *
 * Its functions are called anew for every program (training, evaluation, generation), so they have
 * no side effects: a parameter of one name is always one parameter.
 */
#ifndef GRAFT_ADAPTER_H
#define GRAFT_ADAPTER_H

#include <graft/builder.h>
#include <graft/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A linear layer that the recipe targets: a function of x that the adapter wraps. */
struct graft_linear_site {
    uint32_t struct_size;
    int32_t layer;    /* number in the stack of blocks; -1: outside it */
    const char *name; /* as in the checkpoint: "model.layers.3.self_attn.q_proj" */
    int64_t in_features, out_features;
    int32_t has_bias;
    int32_t reserved;
};

/* A fixed field of adapter_config.json beside the options; json is its text. */
struct graft_config_field {
    const char *key, *json;
};

struct graft_adapter {
    uint32_t struct_size;
    int32_t mergeable;     /* 1: a linear site stays affine in x, so it can be merged */
    const char *peft_type; /* "LORA"; NULL: PEFT has no such method */
    const struct graft_config_field *fields; /* ends with key NULL; may be NULL */

    /* What stands at the site now, for input x [T, in] -> [T, out]. `options` is the filled struct,
     * with the patterns of this site applied. */
    graft_value (*linear)(struct graft_builder *b, const void *options,
                          const struct graft_linear_site *site, graft_value x);
};

/* The frozen layer below (or the adapter stacked below), bias included, on any x [.., in]. */
static inline graft_value graft_base(struct graft_builder *b, const struct graft_linear_site *site,
                                     graft_value x)
{
    return b->api->base(b, site, x);
}

/* A trained f32 parameter of this site, saved under NAME. */
static inline graft_value graft_param(struct graft_builder *b, const struct graft_linear_site *site,
                                      const char *name, struct graft_shape shape,
                                      enum graft_init init, double scale)
{
    struct graft_param_desc d;
    memset(&d, 0, sizeof d);
    d.struct_size = (uint32_t)sizeof d;
    d.init = (int32_t)init;
    d.scale = scale;
    d.site = site;
    d.name = name;
    d.shape = shape;
    return b->api->param(b, &d);
}

#ifdef __cplusplus
}
#endif

#endif

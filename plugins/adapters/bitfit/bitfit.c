/* SPDX-License-Identifier: Apache-2.0
 *
 * BitFit: a trained bias on each layer (Ben Zaken et al. 2022, arXiv:2106.10199), as PEFT's BEFT
 * keeps it: added to the output, whether the layer has a bias or not.
 */
#include <graft/adapter.h>

struct bitfit {
    int32_t init_weights;
};

static const struct graft_option options[] = {
    {.key = "init_weights",
     .type = GRAFT_OPTION_BOOL,
     .offset = offsetof(struct bitfit, init_weights),
     .fallback = "true",
     .help = "begin at 0, which changes nothing; false: normal draws"},
};

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *s, graft_value x)
{
    const struct bitfit *o = (const struct bitfit *)settings;
    graft_value bias = graft_param(b, &s->site, "beft_bias", graft_shape2(1, s->out_features),
                                   o->init_weights ? GRAFT_INIT_ZEROS : GRAFT_INIT_NORMAL, 1.0);
    return graft_add(b, graft_base(b, s, x), bias);
}

static const struct graft_config_field fields[] = {
    {.key = "modules_to_save", .json = "null"},
    {.key = "layers_to_transform", .json = GRAFT_CONFIG_IGNORED},
    {.key = "exclude_modules", .json = GRAFT_CONFIG_IGNORED},
    {.key = NULL}};

static int32_t identity(const void *settings)
{
    const struct bitfit *o = (const struct bitfit *)settings;
    return o->init_weights;
}

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .mergeable = 1,
                                               .peft_type = "BEFT",
                                               .default_targets = "v_proj",
                                               .fields = fields,
                                               .linear = linear,
                                               .identity = identity};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct bitfit),
    .name = "bitfit",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "trained biases on linear layers",
    .options = options,
    .functions = &functions,
};

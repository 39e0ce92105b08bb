/* SPDX-License-Identifier: Apache-2.0
 *
 * IA3: one trained vector a layer, on its outputs or, for feed-forward layers, on its inputs
 * (Liu et al. 2022, arXiv:2205.05638).
 */
#include <graft/adapter.h>

struct ia3 {
    int32_t feedforward; /* is this site one? */
    int32_t init_ia3_weights;
};

static const struct graft_option options[] = {
    {.key = "feedforward_modules",
     .type = GRAFT_OPTION_SITES,
     .offset = offsetof(struct ia3, feedforward),
     .fallback = "down_proj",
     .help = "targets whose inputs are scaled instead of their outputs"},
    {.key = "init_ia3_weights",
     .type = GRAFT_OPTION_BOOL,
     .offset = offsetof(struct ia3, init_ia3_weights),
     .fallback = "true",
     .help = "begin at 1, which changes nothing; false: normal draws"},
};

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *s, graft_value x /* [T, in] */)
{
    const struct ia3 *o = (const struct ia3 *)settings;
    int64_t size = o->feedforward ? s->in_features : s->out_features;
    struct graft_shape shape = o->feedforward ? graft_shape2(1, size) : graft_shape2(size, 1);
    enum graft_init init = o->init_ia3_weights ? GRAFT_INIT_ONES : GRAFT_INIT_NORMAL;
    graft_value l = graft_param(b, &s->site, "ia3_l", shape, init, 1.0);

    l = graft_reshape(b, l, graft_shape1(size));
    return o->feedforward ? graft_base(b, s, graft_mul(b, x, l))
                          : graft_mul(b, graft_base(b, s, x), l);
}

static const struct graft_config_field fields[] = {
    {.key = "fan_in_fan_out", .json = "false"},
    {.key = "modules_to_save", .json = "null"},
    {.key = "layers_to_transform", .json = GRAFT_CONFIG_IGNORED},
    {.key = NULL}};

static int32_t identity(const void *settings)
{
    const struct ia3 *o = (const struct ia3 *)settings;
    return o->init_ia3_weights;
}

static const struct graft_family_targets family_targets[] = {
    {"qwen2", "q_proj v_proj down_proj"}, {"qwen3", "q_proj v_proj down_proj"}, {NULL, NULL}};

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .mergeable = 1,
                                               .peft_type = "IA3",
                                               .default_targets = "k_proj v_proj down_proj",
                                               .fields = fields,
                                               .linear = linear,
                                               .identity = identity,
                                               .family_targets = family_targets};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct ia3),
    .name = "ia3",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "learned scales on the outputs or inputs of linear layers",
    .options = options,
    .functions = &functions,
};

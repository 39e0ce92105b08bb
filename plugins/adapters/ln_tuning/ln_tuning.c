/* SPDX-License-Identifier: Apache-2.0
 *
 * LN tuning: the scales of the norms are trained (Zhao et al. 2023, arXiv:2312.11420).
 */
#include <graft/adapter.h>

struct ln_tuning {
    int64_t unused; /* it has no options */
};

/* x / rms(x) * w', w' beginning as the norm's own w */
static graft_value norm(struct graft_builder *b, const void *settings,
                        const struct graft_norm_site *s, graft_value x)
{
    graft_value from = graft_base_weight(b, &s->site);
    (void)settings;
    return graft_norm(b, s, x,
                      graft_param_as(b, &s->site,
                                     (struct graft_param_desc){.name = "ln_tuning_layers.weight",
                                                               .shape = graft_shape1(s->size),
                                                               .initial = from}));
}

static const struct graft_config_field fields[] = {
    {.key = "modules_to_save", .json = "null"},
    {.key = "layers_to_transform", .json = GRAFT_CONFIG_IGNORED},
    {.key = NULL}};

static int32_t identity(const void *settings)
{
    (void)settings;
    return 1;
}

static const struct graft_family_targets family_targets[] = {
    {"qwen2", "post_attention_layernorm"}, {"qwen3", "post_attention_layernorm"}, {NULL, NULL}};

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .peft_type = "LN_TUNING",
                                               .default_targets =
                                                   "input_layernorm post_attention_layernorm norm",
                                               .fields = fields,
                                               .norm = norm,
                                               .identity = identity,
                                               .family_targets = family_targets};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    .magic = GRAFT_PLUGIN_MAGIC,
    .struct_size = (uint32_t)sizeof(struct graft_plugin),
    .abi_major = GRAFT_ABI_MAJOR,
    .abi_minor = GRAFT_ABI_MINOR,
    .kind = GRAFT_PLUGIN_ADAPTER,
    .option_stride = (uint32_t)sizeof(struct graft_option),
    .options_size = (uint32_t)sizeof(struct ln_tuning),
    .name = "ln_tuning",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "trained scales of the norms",
    .functions = &functions,
};

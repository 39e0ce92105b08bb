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
    struct graft_param_desc d;
    union graft_params p;
    graft_value inputs[2];
    (void)settings;
    memset(&d, 0, sizeof d);
    d.struct_size = (uint32_t)sizeof d;
    d.site = &s->site;
    d.name = "ln_tuning_layers.weight";
    d.shape = graft_shape1(s->size);
    d.initial = graft_base_weight(b, &s->site);
    /* The norm's op has no gradient to its weight: it gets ones, and w' is multiplied after it. */
    memset(&p, 0, sizeof p);
    p.shape = graft_shape1(s->size);
    inputs[0] = graft_constant(b, 1.0);
    inputs[1] = b->api->op(b, GRAFT_OP_BROADCAST, inputs, 1, &p);
    inputs[0] = x;
    memset(&p, 0, sizeof p);
    p.norm.eps = s->eps;
    return graft_mul(b, b->api->op(b, GRAFT_OP_RMS_NORM, inputs, 2, &p), b->api->param(b, &d));
}

static const struct graft_config_field fields[] = {{.key = "modules_to_save", .json = "null"},
                                                   {.key = NULL}};

static int32_t identity(const void *settings)
{
    (void)settings;
    return 1;
}

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .peft_type = "LN_TUNING",
                                               .default_targets =
                                                   "input_layernorm post_attention_layernorm norm",
                                               .fields = fields,
                                               .norm = norm,
                                               .identity = identity};

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

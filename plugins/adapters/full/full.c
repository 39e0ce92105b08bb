/* SPDX-License-Identifier: Apache-2.0
 *
 * Full fine-tuning: the weights of layers are trained themselves, in f32 and from what the model
 * holds, biases and the scales of norms with them. Names are the checkpoint's own.
 */
#include <graft/adapter.h>

struct full {
    int64_t unused; /* it has no options */
};

static graft_value trained(struct graft_builder *b, const struct graft_site *s, const char *name,
                           struct graft_shape shape, graft_value from)
{
    return graft_param_as(b, s,
                          (struct graft_param_desc){.name = name, .shape = shape, .initial = from});
}

/* y = x W'^T + b' */
static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *s, graft_value x)
{
    (void)settings;
    graft_value from = graft_unary(b, GRAFT_OP_DEQUANTIZE, graft_base_weight(b, &s->site));
    graft_value W =
        trained(b, &s->site, "weight", graft_shape2(s->out_features, s->in_features), from);
    graft_value y = graft_linear(b, x, W);
    if (!s->has_bias) return y;
    return graft_add(
        b, y,
        trained(b, &s->site, "bias", graft_shape1(s->out_features), graft_base_bias(b, &s->site)));
}

static graft_value norm(struct graft_builder *b, const void *settings,
                        const struct graft_norm_site *s, graft_value x)
{
    graft_value from = graft_base_weight(b, &s->site);
    (void)settings;
    return graft_norm(b, s, x, trained(b, &s->site, "weight", graft_shape1(s->size), from));
}

static int32_t identity(const void *settings)
{
    (void)settings;
    return 1;
}

static const struct graft_adapter functions = {
    .struct_size = (uint32_t)sizeof functions,
    .mergeable = 1,
    .default_targets = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj",
    .linear = linear,
    .norm = norm,
    .layout = GRAFT_LAYOUT_FULL,
    .identity = identity};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    .magic = GRAFT_PLUGIN_MAGIC,
    .struct_size = (uint32_t)sizeof(struct graft_plugin),
    .abi_major = GRAFT_ABI_MAJOR,
    .abi_minor = GRAFT_ABI_MINOR,
    .kind = GRAFT_PLUGIN_ADAPTER,
    .option_stride = (uint32_t)sizeof(struct graft_option),
    .options_size = (uint32_t)sizeof(struct full),
    .name = "full",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "the weights of layers, trained themselves",
    .functions = &functions,
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * my: an adapter to start from: y = base(x) + x W^T, W a trained matrix of zeros. Rename the file,
 * the name below and the target in CMakeLists.txt together.
 */
#include <graft/adapter.h>

struct my {
    double scale;
};

static const struct graft_option options[] = {
    {.key = "scale",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct my, scale),
     .fallback = "1.0",
     .min = 0.001,
     .max = 1000,
     .help = "factor on what is added"},
};

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *site, graft_value x)
{
    const struct my *o = (const struct my *)settings;
    graft_value w =
        graft_param(b, &site->site, "my.weight",
                    graft_shape2(site->out_features, site->in_features), GRAFT_INIT_ZEROS, 0.0);
    graft_value delta = graft_scale(b, graft_linear(b, x, w), o->scale);
    return graft_add(b, graft_base(b, site, x), delta);
}

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .mergeable = 1,
                                               .default_targets = "q_proj v_proj",
                                               .linear = linear};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct my),
    .name = "my",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .summary = "an adapter to start from",
    .options = options,
    .functions = &functions,
};

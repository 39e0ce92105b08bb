/* SPDX-License-Identifier: Apache-2.0
 *
 * gain: a trained factor for each output of a linear layer, 1 at the start. A complete adapter:
 *   cc -shared -fPIC -I .../include -o adapter-hello.so hello.c
 */
#include <graft/adapter.h>

struct hello {
    double strength;
};

static const struct graft_option options[] = {
    {.key = "strength",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct hello, strength),
     .fallback = "1.0",
     .min = 0.001,
     .max = 100,
     .help = "how fast the gain moves"},
};

/* y = base(x) * (1 + strength * gain) */
static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *site, graft_value x)
{
    const struct hello *o = (const struct hello *)settings;
    graft_value gain = graft_param(b, &site->site, "gain", graft_shape1(site->out_features),
                                   GRAFT_INIT_ZEROS, 0.0);
    graft_value y = graft_base(b, site, x);
    return graft_mul(b, y, graft_affine(b, gain, o->strength, 1.0));
}

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .mergeable = 1,
                                               .default_targets = "q_proj v_proj",
                                               .linear = linear};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct hello),
    .name = "hello",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "a trained factor for each output of a linear layer",
    .options = options,
    .functions = &functions,
};

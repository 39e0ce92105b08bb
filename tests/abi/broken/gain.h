/* SPDX-License-Identifier: Apache-2.0
 *
 * What the deliberately broken adapters share: a gain on each output of q_proj and v_proj, and a
 * descriptor. Each file breaks one thing; broken.sh says which check must find it.
 */
#ifndef TESTS_ABI_BROKEN_GAIN_H
#define TESTS_ABI_BROKEN_GAIN_H

#include <graft/adapter.h>

#include <stdio.h>
#include <stdlib.h>

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *site, graft_value x);

static inline graft_value gain(struct graft_builder *b, const struct graft_linear_site *site)
{
    return graft_param(b, &site->site, "gain", graft_shape1(site->out_features), GRAFT_INIT_ZEROS,
                       0.0);
}

/* base(x) * (1 + g) */
static inline graft_value scaled(struct graft_builder *b, const struct graft_linear_site *site,
                                 graft_value x, graft_value g)
{
    return graft_mul(b, graft_base(b, site, x), graft_affine(b, g, 1.0, 1.0));
}

struct broken {
    int32_t unused;
};

static const struct graft_option options[] = {
    {.key = "unused",
     .type = GRAFT_OPTION_BOOL,
     .offset = offsetof(struct broken, unused),
     .fallback = "false",
     .help = "has no effect"},
};

/* What a file promises about the start. */
#ifndef IDENTITY
#define IDENTITY NULL
#endif

#define BROKEN_PLUGIN(name_, mergeable_)                                                           \
    static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,      \
                                                   .mergeable = mergeable_,                        \
                                                   .default_targets = "q_proj v_proj",             \
                                                   .linear = linear,                               \
                                                   .identity = IDENTITY};                          \
    GRAFT_EXPORT const struct graft_plugin graft_plugin = {                                        \
        GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct broken),                           \
        .name = name_,                                                                             \
        .version = "1.0.0",                                                                        \
        .license = "Apache-2.0",                                                                   \
        .summary = "broken on purpose",                                                            \
        .options = options,                                                                        \
        .functions = &functions,                                                                   \
    };

#endif

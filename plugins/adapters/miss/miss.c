/* SPDX-License-Identifier: Apache-2.0
 *
 * MiSS: a trained matrix [r, out] that every r inputs share (Kang and Yin 2024, arXiv:2409.15371;
 * PEFT's successor of Bone).
 */
#include <graft/adapter.h>

struct miss {
    int64_t r;
    double miss_dropout;
    int32_t init_weights;
};

static const struct graft_option options[] = {
    {.key = "r",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct miss, r),
     .fallback = "64",
     .min = 1,
     .max = 65536,
     .help = "rows of the trained matrix: inputs i, i + r, i + 2r, ... share one"},
    {.key = "miss_dropout",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct miss, miss_dropout),
     .fallback = "0.0",
     .min = 0,
     .max = 0.999,
     .help = "share of the branch's inputs that training zeroes"},
    {.key = "init_weights",
     .type = GRAFT_OPTION_BOOL,
     .offset = offsetof(struct miss, init_weights),
     .fallback = "true",
     .help = "begin at 0, which changes nothing; false: uniform as torch's Linear"},
};

/* y = base(x) + (sum of the r-sized pieces of x) M, the last piece filled up with zeros */
static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *s, graft_value x /* [T, in] */)
{
    const struct miss *o = (const struct miss *)settings;
    int64_t pieces = (s->in_features + o->r - 1) / o->r, tokens = graft_shape_of(b, x).dim[0];

    if (o->r > s->in_features) {
        graft_fail(b, "r: %lld exceeds the layer's %lld inputs; choose a smaller r",
                   (long long)o->r, (long long)s->in_features);
        return x;
    }
    graft_value block =
        graft_param(b, &s->site, "miss_block", graft_shape2(o->r, s->out_features),
                    o->init_weights ? GRAFT_INIT_ZEROS : GRAFT_INIT_KAIMING_UNIFORM, 0.0);
    graft_value h = graft_dropout(b, x, o->miss_dropout);
    if (pieces * o->r != s->in_features) h = graft_place(b, h, 1, 0, pieces * o->r);
    h = graft_sum(b, graft_reshape(b, h, graft_shape3(tokens, pieces, o->r)), 2 /* axis 1 */);
    h = graft_reshape(b, h, graft_shape2(tokens, o->r));
    return graft_add(b, graft_base(b, s, x), graft_matmul(b, h, block, 0, 0));
}

static const struct graft_config_field fields[] = {{.key = "mini_r", .json = "1"},
                                                   {.key = "modules_to_save", .json = "null"},
                                                   {.key = "bias", .json = "\"none\""},
                                                   {.key = NULL}};

static int32_t identity(const void *settings)
{
    const struct miss *o = (const struct miss *)settings;
    return o->init_weights;
}

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .mergeable = 1,
                                               .peft_type = "MISS",
                                               .default_targets = "q_proj v_proj",
                                               .fields = fields,
                                               .linear = linear,
                                               .identity = identity};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct miss),
    .name = "miss",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "matrix shards: one small matrix shared by all pieces of a layer's input",
    .options = options,
    .functions = &functions,
};

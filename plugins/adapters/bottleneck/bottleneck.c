/* SPDX-License-Identifier: Apache-2.0
 *
 * Bottleneck adapters: a small network with one hidden layer at the end of a block, as AdapterHub
 * defines them. Houlsby et al. 2019 (arXiv:1902.00751): mh_adapter and output_adapter on,
 * original_ln_before off, swish. Pfeiffer et al. 2020 (arXiv:2005.00052): the defaults. Parallel,
 * He et al. 2022 (arXiv:2110.04366): is_parallel on, original_ln_before off, reduction_factor 2,
 * scaling 4, init_weights mam_adapter. A decoder passes no layer norm of its own: the ln in these
 * keys' names stands for the sum with the stream alone.
 * Letters: T tokens, C channels, d the bottleneck's width.
 */
#include <graft/adapter.h>

#include <math.h>

enum activation { RELU, GELU, GELU_NEW, SILU, SWISH, TANH };
enum init { INIT_BERT, INIT_MAM };

struct bottleneck {
    int32_t mh_adapter, output_adapter;
    double reduction_factor;
    int32_t non_linearity; /* enum activation */
    int32_t original_ln_before, original_ln_after, ln_after;
    int32_t residual_before_ln, adapter_residual_before_ln, is_parallel;
    double scaling, dropout;
    int32_t init_weights; /* enum init */
};

static const char *const activations[] = {"relu",  "gelu", "gelu_new", "silu",
                                          "swish", "tanh", NULL};
static const enum graft_op activation_ops[] = {GRAFT_OP_RELU, GRAFT_OP_GELU, GRAFT_OP_GELU_TANH,
                                               GRAFT_OP_SILU, GRAFT_OP_SILU, GRAFT_OP_TANH};
static const char *const inits[] = {"bert", "mam_adapter", NULL};

#define FLAG(key_, fallback_, help_)                                                               \
    {                                                                                              \
        .key = #key_, .type = GRAFT_OPTION_BOOL, .offset = offsetof(struct bottleneck, key_),      \
        .fallback = fallback_, .help = help_                                                       \
    }

static const struct graft_option options[] = {
    FLAG(mh_adapter, "false", "an adapter after attention"),
    FLAG(output_adapter, "true", "an adapter after the MLP"),
    {.key = "reduction_factor",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct bottleneck, reduction_factor),
     .fallback = "16",
     .min = 0.01,
     .max = 1e6,
     .help = "the bottleneck's width is hidden / reduction_factor, downwards, at least 1"},
    {.key = "non_linearity",
     .type = GRAFT_OPTION_CHOICE,
     .offset = offsetof(struct bottleneck, non_linearity),
     .fallback = "relu",
     .choices = activations,
     .help = "between the two layers"},
    FLAG(original_ln_before, "true", "the adapter sees branch + stream, not the branch alone"),
    FLAG(original_ln_after, "true", "the stream is added after the adapter"),
    FLAG(ln_after, "false", "a trained layer norm on what the adapter gives"),
    FLAG(residual_before_ln, "true", "the adapter is added to the branch, not to what it sees"),
    FLAG(adapter_residual_before_ln, "false", "ln_after comes after that sum"),
    FLAG(is_parallel, "false", "the adapter sees the stream before the block"),
    {.key = "scaling",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct bottleneck, scaling),
     .fallback = "1.0",
     .min = -1e6,
     .max = 1e6,
     .help = "factor on what the adapter gives"},
    {.key = "dropout",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct bottleneck, dropout),
     .fallback = "0.0",
     .min = 0,
     .max = 0.999,
     .help = "share of what the adapter gives that training zeroes"},
    {.key = "init_weights",
     .type = GRAFT_OPTION_CHOICE,
     .offset = offsetof(struct bottleneck, init_weights),
     .fallback = "bert",
     .choices = inits,
     .help = "bert: normal, deviation 0.02; mam_adapter: begins as no change"},
};

/* (x - mean) / sqrt(variance + 1e-5) * w + b, over the channels (Ba et al. 2016) */
static graft_value layer_norm(struct graft_builder *b, const struct graft_block_site *s,
                              graft_value x /* [T, C] */)
{
    double share = 1.0 / (double)s->hidden;
    struct graft_shape shape = graft_shape1(s->hidden);
    graft_value w =
        graft_param(b, &s->site, "adapter_norm_after.weight", shape, GRAFT_INIT_ONES, 0);
    graft_value shift =
        graft_param(b, &s->site, "adapter_norm_after.bias", shape, GRAFT_INIT_ZEROS, 0);
    graft_value d = graft_sub(b, x, graft_scale(b, graft_sum(b, x, 2), share));
    graft_value variance = graft_sum(b, graft_mul(b, d, d), 2);
    graft_value deviation = graft_unary(b, GRAFT_OP_SQRT, graft_affine(b, variance, share, 1e-5));
    return graft_add(b, graft_mul(b, graft_div(b, d, deviation), w), shift);
}

/* scaling * dropout(W2 act(W1 x + b1) + b2) */
static graft_value network(struct graft_builder *b, const struct bottleneck *o,
                           const struct graft_block_site *s, graft_value x /* [T, C] */)
{
    int64_t C = s->hidden, d = (int64_t)floor((double)C / o->reduction_factor);
    int mam = o->init_weights == INIT_MAM;
    if (d < 1) d = 1;
    graft_value w1 = graft_param(b, &s->site, "adapter_down.0.weight", graft_shape2(d, C),
                                 mam ? GRAFT_INIT_KAIMING_UNIFORM : GRAFT_INIT_NORMAL, 0.02);
    graft_value b1 =
        graft_param(b, &s->site, "adapter_down.0.bias", graft_shape1(d), GRAFT_INIT_ZEROS, 0.0);
    graft_value w2 = graft_param(b, &s->site, "adapter_up.weight", graft_shape2(C, d),
                                 mam ? GRAFT_INIT_ZEROS : GRAFT_INIT_NORMAL, 0.02);
    graft_value b2 =
        graft_param(b, &s->site, "adapter_up.bias", graft_shape1(C), GRAFT_INIT_ZEROS, 0.0);
    graft_value h = graft_unary(b, activation_ops[o->non_linearity],
                                graft_add(b, graft_linear(b, x, w1), b1)); /* [T, d] */
    graft_value y = graft_add(b, graft_linear(b, h, w2), b2);
    return graft_dropout(b, graft_scale(b, y, o->scaling), o->dropout);
}

/* The branch in place of the block's own, so that `stream + branch` is AdapterHub's result. */
static graft_value adapted(struct graft_builder *b, const struct bottleneck *o,
                           const struct graft_block_site *s, graft_value stream, graft_value branch)
{
    if (o->is_parallel) {
        graft_value y = network(b, o, s, stream);
        return graft_add(b, branch, o->ln_after ? layer_norm(b, s, y) : y);
    }
    graft_value x = o->original_ln_before ? graft_add(b, branch, stream) : branch;
    graft_value residual = o->residual_before_ln ? branch : x, y = network(b, o, s, x);
    if (o->adapter_residual_before_ln) y = graft_add(b, y, residual);
    if (o->ln_after) y = layer_norm(b, s, y);
    return o->adapter_residual_before_ln ? y : graft_add(b, y, residual);
}

static graft_value block(struct graft_builder *b, const void *settings,
                         const struct graft_block_site *s, graft_value stream, graft_value normed,
                         graft_value branch)
{
    const struct bottleneck *o = (const struct bottleneck *)settings;
    int here = s->part == GRAFT_BLOCK_ATTENTION ? o->mh_adapter : o->output_adapter;
    if (!here) return graft_base_block(b, s, stream, normed, branch);
    graft_value y = adapted(b, o, s, stream, branch);
    if (!o->original_ln_after) return y;
    return graft_base_block(b, s, stream, normed, y);
}

/* What the library's config holds besides, at its defaults. */
static const struct graft_config_field fields[] = {
    {.key = "architecture", .json = "null"},
    {.key = "cross_adapter", .json = "false"},
    {.key = "factorized_phm_W", .json = "true"},
    {.key = "factorized_phm_rule", .json = "false"},
    {.key = "hypercomplex_nonlinearity", .json = "\"glorot-uniform\""},
    {.key = "init_weights_seed", .json = "null"},
    {.key = "inv_adapter", .json = "null"},
    {.key = "inv_adapter_reduction_factor", .json = "null"},
    {.key = "learn_phm", .json = "true"},
    {.key = "ln_before", .json = "false"},
    {.key = "phm_bias", .json = "true"},
    {.key = "phm_c_init", .json = "\"normal\""},
    {.key = "phm_dim", .json = "4"},
    {.key = "phm_init_range", .json = "0.0001"},
    {.key = "phm_layer", .json = "false"},
    {.key = "phm_rank", .json = "1"},
    {.key = "shared_W_phm", .json = "false"},
    {.key = "shared_phm_rule", .json = "true"},
    {.key = "stochastic_depth", .json = "0.0"},
    {.key = "use_gating", .json = "false"},
    {.key = NULL}};

/* mam_adapter's network begins at 0; what it is added to must be the branch where the stream
 * follows, else their sum. */
static int32_t identity(const void *settings)
{
    const struct bottleneck *o = (const struct bottleneck *)settings;
    int32_t bare = o->is_parallel || o->residual_before_ln || !o->original_ln_before;
    return o->init_weights == INIT_MAM && !o->ln_after && bare == o->original_ln_after;
}

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .layout = GRAFT_LAYOUT_ADAPTERHUB,
                                               .fields = fields,
                                               .block = block,
                                               .identity = identity};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct bottleneck),
    .name = "bottleneck",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "small networks after attention or MLP, as AdapterHub has them",
    .options = options,
    .functions = &functions,
};

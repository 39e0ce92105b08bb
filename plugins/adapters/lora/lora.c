/* SPDX-License-Identifier: Apache-2.0
 *
 * LoRA: a frozen layer plus a trained product of rank r (Hu et al. 2021, arXiv:2106.09685), with
 * rank-stabilized scaling (Kalajdzievski 2023, arXiv:2312.03732), a learning rate of its own for B
 * (LoRA+, Hayou et al. 2024, arXiv:2402.12354), trained row norms (DoRA, Liu et al. 2024,
 * arXiv:2402.09353), the weight's own factors to begin with (PiSSA, Meng et al. 2024,
 * arXiv:2404.02948; OLoRA, Buyukakyuz 2024, arXiv:2406.01775) and PEFT's keys.
 */
#include <graft/adapter.h>

#include <math.h>

enum init { INIT_DEFAULT, INIT_GAUSSIAN, INIT_RANDOM, INIT_PISSA, INIT_OLORA };

struct lora {
    int64_t r;
    double lora_alpha;
    double lora_dropout;
    int32_t use_rslora;
    int32_t use_dora;
    int32_t init_lora_weights; /* enum init */
    double loraplus_lr_ratio;
};

static const char *const inits[] = {"true", "gaussian", "false", "pissa", "olora", NULL};

static const struct graft_option options[] = {
    {.key = "r",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct lora, r),
     .fallback = "8",
     .min = 1,
     .max = 65536,
     .pattern = "rank_pattern",
     .help = "rank of the trained product"},
    {.key = "lora_alpha",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct lora, lora_alpha),
     .fallback = "8",
     .min = 1e-6,
     .max = 1e6,
     .pattern = "alpha_pattern",
     .help = "scaling: the product is multiplied by lora_alpha / r"},
    {.key = "lora_dropout",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct lora, lora_dropout),
     .fallback = "0.0",
     .min = 0,
     .max = 0.999,
     .help = "share of the branch's inputs that training zeroes"},
    {.key = "use_rslora",
     .type = GRAFT_OPTION_BOOL,
     .offset = offsetof(struct lora, use_rslora),
     .fallback = "false",
     .help = "scale by lora_alpha / sqrt(r) instead"},
    {.key = "use_dora",
     .type = GRAFT_OPTION_BOOL,
     .offset = offsetof(struct lora, use_dora),
     .fallback = "false",
     .help = "train the norms of the weight's rows beside their directions"},
    {.key = "init_lora_weights",
     .type = GRAFT_OPTION_CHOICE,
     .offset = offsetof(struct lora, init_lora_weights),
     .fallback = "true",
     .choices = inits,
     .help = "A uniform as torch's Linear or normal with deviation 1/r, and B 0; false: both "
             "uniform; pissa, olora: the weight's SVD or QR, saved as a product of rank 2 r",
     .training = 1},
    {.key = "loraplus_lr_ratio",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct lora, loraplus_lr_ratio),
     .fallback = "1.0",
     .min = 1e-3,
     .max = 1e3,
     .help = "the learning rate of B over that of A (LoRA+)",
     .training = 1},
};

/* W' = m (W + s B A) / |W + s B A|, row by row, the norm taken as a constant (Liu et al. 2024, eq.
 * 5 and section 4.3). As PEFT computes it, the frozen part sees the branch's dropout, too. */
static graft_value dora(struct graft_builder *b, const struct graft_linear_site *s, graft_value x,
                        graft_value dropped, graft_value change /* s B A [out, in] */,
                        graft_value branch /* s B A dropped [T, out] */)
{
    graft_value y = graft_base(b, s, x), bias = graft_base_bias(b, &s->site);
    graft_value seen = dropped.id == x.id ? y : graft_base(b, s, dropped);
    graft_value W = graft_unary(b, GRAFT_OP_DEQUANTIZE, graft_base_weight(b, &s->site));
    graft_value whole = graft_add(b, W, change);
    graft_value norm = graft_sum(b, graft_mul(b, whole, whole), 2 /* axis 1 */);
    norm = graft_reshape(b, graft_unary(b, GRAFT_OP_SQRT, norm), graft_shape1(s->out_features));
    graft_value m = graft_param_as(b, &s->site,
                                   (struct graft_param_desc){.name = "lora_magnitude_vector",
                                                             .shape = graft_shape1(s->out_features),
                                                             .initial = norm});
    graft_value gain = graft_div(b, m, graft_unary(b, GRAFT_OP_DETACH, norm));
    if (bias.id != 0) seen = graft_sub(b, seen, bias);
    seen = graft_mul(b, graft_affine(b, gain, 1.0, -1.0), seen);
    return graft_add(b, y, graft_add(b, seen, graft_mul(b, gain, branch)));
}

static int begins_factored(const struct lora *o)
{
    return o->init_lora_weights == INIT_PISSA || o->init_lora_weights == INIT_OLORA;
}

/* y = base(x) + scaling (B A dropout(x) - B0 A0 x), A and B beginning as A0 and B0. PEFT takes
 * B0 A0 off the base instead; our file holds [A; A0] and [B, -B0], for the base as it is. A file of
 * PEFT's that was not converted so holds A and B alone. */
static graft_value factored(struct graft_builder *b, const struct lora *o,
                            const struct graft_linear_site *s, graft_value x, double scaling)
{
    int svd = o->init_lora_weights == INIT_PISSA, raw = b->api->from_file(b) == 2;
    int32_t kind = svd ? GRAFT_FACTOR_SVD : GRAFT_FACTOR_QR;
    double size = svd ? 1.0 / sqrt(scaling) : 1.0;
    graft_value A0 = graft_scale(b, b->api->factor(b, &s->site, kind, o->r, 1), size);
    graft_value B0 = graft_scale(b, b->api->factor(b, &s->site, kind, o->r, 0), size);
    graft_value A =
        graft_param_as(b, &s->site,
                       (struct graft_param_desc){.name = "lora_A.weight",
                                                 .shape = graft_shape2(o->r, s->in_features),
                                                 .initial = A0,
                                                 .unsaved = !raw});
    graft_value B =
        graft_param_as(b, &s->site,
                       (struct graft_param_desc){.name = "lora_B.weight",
                                                 .shape = graft_shape2(s->out_features, o->r),
                                                 .initial = B0,
                                                 .unsaved = !raw,
                                                 .lr_scale = o->loraplus_lr_ratio});
    if (!raw) {
        graft_save(
            b, "lora_A.weight",
            graft_add(b, graft_place(b, A, 0, 0, 2 * o->r), graft_place(b, A0, 0, o->r, 2 * o->r)));
        graft_save(
            b, "lora_B.weight",
            graft_sub(b, graft_place(b, B, 1, 0, 2 * o->r), graft_place(b, B0, 1, o->r, 2 * o->r)));
    }
    graft_value change =
        graft_sub(b, graft_linear(b, graft_linear(b, graft_dropout(b, x, o->lora_dropout), A), B),
                  graft_linear(b, graft_linear(b, x, A0), B0));
    return graft_add(b, graft_base(b, s, x), graft_scale(b, change, scaling));
}

/* A file of factored() is one of twice the rank with the same scaling. */
static void save(struct graft_builder *b, const void *settings, const struct graft_model_site *m)
{
    const struct lora *o = (const struct lora *)settings;
    (void)m;
    if (!begins_factored(o) || b->api->from_file(b)) return;
    b->api->save_scaled(b, "r", 2.0);
    b->api->save_scaled(b, "lora_alpha", o->use_rslora ? sqrt(2.0) : 2.0);
}

/* y = base(x) + scaling * B A dropout(x)   (Hu et al. 2021, eq. 3) */
static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *s, graft_value x /* [T, in] */)
{
    const struct lora *o = (const struct lora *)settings;
    double scaling = o->lora_alpha / (o->use_rslora ? sqrt((double)o->r) : (double)o->r);
    int gaussian = o->init_lora_weights == INIT_GAUSSIAN;
    int64_t rank = begins_factored(o) ? 2 * o->r : o->r; /* of our file */

    if (!b->api->from_file(b) && (o->r > s->in_features || o->r > s->out_features)) {
        graft_fail(b, "r: %lld exceeds the layer's %lld inputs or %lld outputs; choose a smaller r",
                   (long long)o->r, (long long)s->in_features, (long long)s->out_features);
        return x;
    }
    if (begins_factored(o) && o->use_dora) {
        graft_fail(b, "init_lora_weights: %s; with use_dora it is true, gaussian or false",
                   inits[o->init_lora_weights]);
        return x;
    }
    if (begins_factored(o) && b->api->from_file(b) != 1) return factored(b, o, s, x, scaling);
    graft_value A =
        graft_param(b, &s->site, "lora_A.weight", graft_shape2(rank, s->in_features),
                    gaussian ? GRAFT_INIT_NORMAL : GRAFT_INIT_KAIMING_UNIFORM, 1.0 / (double)rank);
    graft_value B = graft_param_as(
        b, &s->site,
        (struct graft_param_desc){
            .name = "lora_B.weight",
            .shape = graft_shape2(s->out_features, rank),
            .init = o->init_lora_weights == INIT_RANDOM ? GRAFT_INIT_KAIMING_UNIFORM : 0,
            .lr_scale = o->loraplus_lr_ratio});
    graft_value dropped = graft_dropout(b, x, o->lora_dropout);
    /* scaled where it is narrow: [T, r] */
    graft_value branch = graft_linear(b, graft_scale(b, graft_linear(b, dropped, A), scaling), B);
    if (!o->use_dora) return graft_add(b, graft_base(b, s, x), branch);
    return dora(b, s, x, dropped, graft_scale(b, graft_matmul(b, B, A, 0, 0), scaling), branch);
}

static const struct graft_config_field fields[] = {{.key = "fan_in_fan_out", .json = "false"},
                                                   {.key = "modules_to_save", .json = "null"},
                                                   {.key = "bias", .json = "\"none\""},
                                                   {.key = NULL}};

/* B begins at 0, or B A as what is taken off again; only false draws both. */
static int32_t identity(const void *settings)
{
    return ((const struct lora *)settings)->init_lora_weights != INIT_RANDOM;
}

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .mergeable = 1,
                                               .peft_type = "LORA",
                                               .default_targets = "q_proj v_proj",
                                               .fields = fields,
                                               .save = save,
                                               .linear = linear,
                                               .identity = identity};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct lora),
    .name = "lora",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "low-rank adaptation of linear layers",
    .options = options,
    .functions = &functions,
};

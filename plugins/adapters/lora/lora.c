/* SPDX-License-Identifier: Apache-2.0
 *
 * LoRA: a frozen layer plus a trained product of rank r (Hu et al. 2021, arXiv:2106.09685), with
 * rank-stabilized scaling (Kalajdzievski 2023, arXiv:2312.03732) and PEFT's keys.
 */
#include <graft/adapter.h>

#include <math.h>

enum init { INIT_DEFAULT, INIT_GAUSSIAN };

struct lora {
    int64_t r;
    double lora_alpha;
    double lora_dropout;
    int32_t use_rslora;
    int32_t init_lora_weights; /* enum init */
};

static const char *const inits[] = {"true", "gaussian", NULL};

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
    {.key = "init_lora_weights",
     .type = GRAFT_OPTION_CHOICE,
     .offset = offsetof(struct lora, init_lora_weights),
     .fallback = "true",
     .choices = inits,
     .help =
         "how A begins: uniform as torch's Linear, or normal with deviation 1/r; B begins at 0"},
};

/* y = base(x) + scaling * B A dropout(x)   (Hu et al. 2021, eq. 3) */
static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *s, graft_value x /* [T, in] */)
{
    const struct lora *o = (const struct lora *)settings;
    double scaling = o->lora_alpha / (o->use_rslora ? sqrt((double)o->r) : (double)o->r);
    int gaussian = o->init_lora_weights == INIT_GAUSSIAN;

    if (o->r > s->in_features || o->r > s->out_features) {
        graft_fail(b, "r: %lld exceeds the layer's %lld inputs or %lld outputs; choose a smaller r",
                   (long long)o->r, (long long)s->in_features, (long long)s->out_features);
        return x;
    }
    graft_value A =
        graft_param(b, &s->site, "lora_A.weight", graft_shape2(o->r, s->in_features),
                    gaussian ? GRAFT_INIT_NORMAL : GRAFT_INIT_KAIMING_UNIFORM, 1.0 / (double)o->r);
    graft_value B = graft_param(b, &s->site, "lora_B.weight", graft_shape2(s->out_features, o->r),
                                GRAFT_INIT_ZEROS, 0.0);
    graft_value h = graft_linear(b, graft_dropout(b, x, o->lora_dropout), A); /* [T, r] */
    return graft_add(b, graft_base(b, s, x), graft_scale(b, graft_linear(b, h, B), scaling));
}

static const struct graft_config_field fields[] = {
    {"fan_in_fan_out", "false"}, {"modules_to_save", "null"}, {"use_dora", "false"}, {NULL, NULL}};

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .mergeable = 1,
                                               .peft_type = "LORA",
                                               .default_targets = "q_proj v_proj",
                                               .fields = fields,
                                               .linear = linear};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct lora),
    .name = "lora",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "low-rank adaptation of linear layers",
    .options = options,
    .functions = &functions,
};

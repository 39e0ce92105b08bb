/* SPDX-License-Identifier: Apache-2.0
 *
 * LoHa: the weight's change is the elementwise product of two products of rank r (Hyeon-Woo et al.
 * 2021, arXiv:2108.06098; LyCORIS, arXiv:2309.14859), with PEFT's keys.
 */
#include <graft/adapter.h>

struct loha {
    int64_t r;
    double alpha;
    int32_t init_weights;
};

static const struct graft_option options[] = {
    {.key = "r",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct loha, r),
     .fallback = "8",
     .min = 1,
     .max = 65536,
     .pattern = "rank_pattern",
     .help = "rank of each of the two products"},
    {.key = "alpha",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct loha, alpha),
     .fallback = "8",
     .min = 1e-6,
     .max = 1e6,
     .pattern = "alpha_pattern",
     .help = "scaling: the change is multiplied by alpha / r"},
    {.key = "init_weights",
     .type = GRAFT_OPTION_BOOL,
     .offset = offsetof(struct loha, init_weights),
     .fallback = "true",
     .help = "begin with one of the four matrices 0, which changes nothing; false: none"},
};

static graft_value product(struct graft_builder *b, const struct graft_site *site,
                           const char *const names[2], struct graft_shape shape, int64_t r,
                           enum graft_init last)
{
    graft_value left = graft_param(b, site, names[0], graft_shape2(shape.dim[0], r),
                                   GRAFT_INIT_KAIMING_UNIFORM, 0.0);
    graft_value right = graft_param(b, site, names[1], graft_shape2(r, shape.dim[1]), last, 0.0);
    return graft_matmul(b, left, right, 0, 0);
}

/* dW = alpha / r * (A1 B1) * (A2 B2)   (Hyeon-Woo et al. 2021, eq. 3) */
static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *s, graft_value x /* [T, in] */)
{
    static const char *const first[] = {"hada_w1_a", "hada_w1_b"};
    static const char *const second[] = {"hada_w2_a", "hada_w2_b"};
    const struct loha *o = (const struct loha *)settings;
    struct graft_shape shape = graft_shape2(s->out_features, s->in_features);
    graft_value w1 = product(b, &s->site, first, shape, o->r, GRAFT_INIT_KAIMING_UNIFORM);
    graft_value w2 = product(b, &s->site, second, shape, o->r,
                             o->init_weights ? GRAFT_INIT_ZEROS : GRAFT_INIT_KAIMING_UNIFORM);
    graft_value change = graft_scale(b, graft_mul(b, w1, w2), o->alpha / (double)o->r);
    return graft_add(b, graft_base(b, s, x), graft_linear(b, x, change));
}

static const struct graft_config_field fields[] = {{.key = "rank_dropout", .json = "0.0"},
                                                   {.key = "module_dropout", .json = "0.0"},
                                                   {.key = "use_effective_conv2d", .json = "false"},
                                                   {.key = "modules_to_save", .json = "null"},
                                                   {.key = NULL}};

static int32_t identity(const void *settings)
{
    const struct loha *o = (const struct loha *)settings;
    return o->init_weights;
}

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .mergeable = 1,
                                               .peft_type = "LOHA",
                                               .default_targets = "q_proj v_proj",
                                               .fields = fields,
                                               .linear = linear,
                                               .identity = identity};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct loha),
    .name = "loha",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "low-rank Hadamard products on linear layers",
    .options = options,
    .functions = &functions,
};

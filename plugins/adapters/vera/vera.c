/* SPDX-License-Identifier: Apache-2.0
 *
 * VeRA: two frozen random matrices that all layers share, and two trained vectors a layer (Kopiczko
 * et al. 2023, arXiv:2310.11454). The matrices go into the file, as in PEFT with save_projection.
 */
#include <graft/adapter.h>

#include <math.h>

struct vera {
    int64_t r;
    double d_initial;
    double vera_dropout;
    int64_t projection_prng_key;
    int32_t init_weights;
};

static const struct graft_option options[] = {
    {.key = "r",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct vera, r),
     .fallback = "256",
     .min = 1,
     .max = 65536,
     .help = "rank of the shared matrices"},
    {.key = "d_initial",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct vera, d_initial),
     .fallback = "0.1",
     .min = -1e3,
     .max = 1e3,
     .help = "how the vector between the matrices begins"},
    {.key = "vera_dropout",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct vera, vera_dropout),
     .fallback = "0.0",
     .min = 0,
     .max = 0.999,
     .help = "share of the branch's inputs that training zeroes"},
    {.key = "projection_prng_key",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct vera, projection_prng_key),
     .fallback = "0",
     .help = "noted for PEFT alone: here the seed draws the matrices and the file holds them"},
    {.key = "init_weights",
     .type = GRAFT_OPTION_BOOL,
     .offset = offsetof(struct vera, init_weights),
     .fallback = "true",
     .help = "begin at 0, which changes nothing; false: 1 and normal draws"},
};

/* PEFT's Kaiming draw with gain sqrt 2. */
static graft_value shared_matrix(struct graft_builder *b, const char *name, int64_t rows,
                                 int64_t columns)
{
    struct graft_param_desc d;
    memset(&d, 0, sizeof d);
    d.init = GRAFT_INIT_UNIFORM;
    d.scale = sqrt(6.0 / (double)columns);
    d.name = name;
    d.shape = graft_shape2(rows, columns);
    d.frozen = 1;
    return graft_param_as(b, NULL, d);
}

static void model(struct graft_builder *b, const void *settings, const struct graft_model_site *m)
{
    const struct vera *o = (const struct vera *)settings;
    int64_t in = 1, out = 1;
    for (uint32_t i = 0; i < m->site_count; i++) {
        const struct graft_linear_site *s = (const struct graft_linear_site *)m->sites[i];
        in = s->in_features > in ? s->in_features : in;
        out = s->out_features > out ? s->out_features : out;
    }
    graft_share(b, "A", shared_matrix(b, "base_model.vera_A", o->r, in));
    graft_share(b, "B", shared_matrix(b, "base_model.vera_B", out, o->r));
}

/* y = base(x) + lambda_b * (B (lambda_d * (A dropout(x))))   (Kopiczko et al. 2023, eq. 2) */
static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *s, graft_value x /* [T, in] */)
{
    const struct vera *o = (const struct vera *)settings;
    graft_value A = graft_slice(b, graft_shared(b, "A"), 1, 0, s->in_features);
    graft_value B = graft_slice(b, graft_shared(b, "B"), 0, 0, s->out_features);
    graft_value inner = graft_param(b, &s->site, "vera_lambda_d", graft_shape1(o->r),
                                    o->init_weights ? GRAFT_INIT_CONSTANT : GRAFT_INIT_NORMAL,
                                    o->init_weights ? o->d_initial : 1.0);
    graft_value outer = graft_param(b, &s->site, "vera_lambda_b", graft_shape1(s->out_features),
                                    o->init_weights ? GRAFT_INIT_ZEROS : GRAFT_INIT_ONES, 0.0);
    graft_value h = graft_linear(b, graft_dropout(b, x, o->vera_dropout), A); /* [T, r] */
    h = graft_linear(b, graft_mul(b, h, inner), B);
    return graft_add(b, graft_base(b, s, x), graft_mul(b, h, outer));
}

static const struct graft_config_field fields[] = {
    {.key = "save_projection", .json = "true"},
    {.key = "fan_in_fan_out", .json = "false"},
    {.key = "modules_to_save", .json = "null"},
    {.key = "bias", .json = "\"none\""},
    {.key = "exclude_modules", .json = GRAFT_CONFIG_IGNORED},
    {.key = NULL}};

static int32_t identity(const void *settings)
{
    const struct vera *o = (const struct vera *)settings;
    return o->init_weights;
}

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .mergeable = 1,
                                               .peft_type = "VERA",
                                               .default_targets = "q_proj v_proj",
                                               .fields = fields,
                                               .model = model,
                                               .linear = linear,
                                               .identity = identity};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct vera),
    .name = "vera",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "trained vectors around random matrices that all layers share",
    .options = options,
    .functions = &functions,
};

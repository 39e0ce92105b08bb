/* SPDX-License-Identifier: Apache-2.0
 *
 * HRA: a chain of r trained Householder reflections before a frozen layer (Yuan et al. 2024,
 * arXiv:2405.17484), with PEFT's keys.
 */
#include <graft/adapter.h>

struct hra {
    int64_t r;
    int32_t apply_GS;
    int32_t init_weights;
};

static const struct graft_option options[] = {
    {.key = "r",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct hra, r),
     .fallback = "8",
     .min = 1,
     .max = 1024,
     .help = "number of reflections; even: they begin in pairs that cancel"},
    {.key = "apply_GS",
     .type = GRAFT_OPTION_BOOL,
     .offset = offsetof(struct hra, apply_GS),
     .fallback = "false",
     .help = "make the reflections' vectors orthogonal (Gram-Schmidt)"},
    {.key = "init_weights",
     .type = GRAFT_OPTION_BOOL,
     .offset = offsetof(struct hra, init_weights),
     .fallback = "true",
     .help = "begin in pairs; false: each by itself"},
};

/* u [in, r]. Pairs of equal columns begin as one draw [in, r / 2]. */
static graft_value vectors(struct graft_builder *b, const struct hra *o,
                           const struct graft_linear_site *s)
{
    int64_t in = s->in_features, half = o->r / 2;
    struct graft_param_desc d;
    memset(&d, 0, sizeof d);
    d.init = GRAFT_INIT_KAIMING_UNIFORM;
    if (o->init_weights && o->r % 2 == 0) {
        d.name = "hra_half";
        d.shape = graft_shape2(in, half);
        d.frozen = d.unsaved = 1;
        graft_value once =
            graft_reshape(b, graft_param_as(b, &s->site, d), graft_shape3(in, half, 1));
        once = graft_broadcast(b, once, graft_shape3(in, half, 2));
        d.initial = graft_reshape(b, once, graft_shape2(in, o->r));
        d.frozen = d.unsaved = 0;
    }
    d.name = "hra_u";
    d.shape = graft_shape2(in, o->r);
    return graft_param_as(b, &s->site, d);
}

static graft_value normalize(struct graft_builder *b, graft_value columns)
{
    graft_value squares = graft_sum(b, graft_mul(b, columns, columns), 1 /* axis 0 */);
    return graft_div(b, columns, graft_unary(b, GRAFT_OP_SQRT, squares));
}

/* The product of the reflections H_1 .. H_r is I - W U^T with W's columns w_k = 2 (u_k - W_k-1 U^T
 * u_k) (Bischof and Van Loan 1987); x meets its transpose: x - (x U) W^T. With Gram-Schmidt, U's
 * columns are made orthogonal, and W = 2 U. */
static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *s, graft_value x /* [T, in] */)
{
    const struct hra *o = (const struct hra *)settings;
    if (o->apply_GS && o->r > s->in_features) {
        graft_fail(b, "r: %lld vectors of %lld numbers cannot be orthogonal; choose a smaller r",
                   (long long)o->r, (long long)s->in_features);
        return x;
    }
    if (o->apply_GS && o->init_weights && o->r % 2 == 0 && !b->api->from_file(b)) {
        graft_fail(b,
                   "apply_GS: an even r begins with pairs of equal vectors, which cannot be made "
                   "orthogonal; set init_weights: false or an odd r");
        return x;
    }
    graft_value u = vectors(b, o, s), w = {0};
    graft_value U = o->apply_GS ? u : normalize(b, u);
    for (int64_t k = 0; k < o->r; k++) {
        graft_value column = graft_slice(b, U, 1, k, 1); /* [in, 1] */
        if (k > 0) {
            graft_value other = o->apply_GS ? w : graft_slice(b, U, 1, 0, k); /* [in, k] */
            graft_value along = graft_matmul(b, other, column, 1, 0);         /* [k, 1] */
            column = graft_sub(b, column, graft_matmul(b, w, along, 0, 0));
        }
        column = o->apply_GS ? normalize(b, column) : graft_scale(b, column, 2.0);
        w = k == 0
                ? column
                : graft_add(b, graft_place(b, w, 1, 0, k + 1), graft_place(b, column, 1, k, k + 1));
    }
    if (o->apply_GS) {
        U = w;
        w = graft_scale(b, w, 2.0);
    }
    graft_value turned = graft_linear(b, graft_matmul(b, x, U, 0, 0), w);
    return graft_base(b, s, graft_sub(b, x, turned));
}

static const struct graft_config_field fields[] = {
    {.key = "modules_to_save", .json = "null"}, {.key = "bias", .json = "\"none\""}, {.key = NULL}};

static int32_t identity(const void *settings)
{
    const struct hra *o = (const struct hra *)settings;
    return o->init_weights && o->r % 2 == 0 && !o->apply_GS;
}

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .mergeable = 1,
                                               .peft_type = "HRA",
                                               .default_targets = "q_proj v_proj",
                                               .fields = fields,
                                               .linear = linear,
                                               .identity = identity};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct hra),
    .name = "hra",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "trained Householder reflections before linear layers",
    .options = options,
    .functions = &functions,
};

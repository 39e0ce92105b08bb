/* SPDX-License-Identifier: Apache-2.0
 *
 * Adam (Kingma and Ba 2015) with weight decay added to the gradient, the operations ordered as in
 * torch.optim.Adam.
 */
#include <graft/optimizer.h>

#include <math.h>

struct adam {
    double beta1, beta2, eps;
};

static const struct graft_option options[] = {
    {.key = "beta1",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct adam, beta1),
     .fallback = "0.9",
     .min = 0,
     .max = 0.999999,
     .help = "decay of the first moment"},
    {.key = "beta2",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct adam, beta2),
     .fallback = "0.999",
     .min = 0,
     .max = 0.999999,
     .help = "decay of the second moment"},
    {.key = "eps",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct adam, eps),
     .fallback = "1e-8",
     .min = 1e-30,
     .max = 1,
     .help = "added to the root of the second moment"},
};

static void update(struct graft_builder *b, const void *settings, const struct graft_update *u)
{
    const struct adam *o = (const struct adam *)settings;
    graft_value m0 = graft_state(b, u, "exp_avg", u->shape, GRAFT_DTYPE_F32, GRAFT_INIT_ZEROS);
    graft_value v0 = graft_state(b, u, "exp_avg_sq", u->shape, GRAFT_DTYPE_F32, GRAFT_INIT_ZEROS);
    graft_value g = graft_add(b, u->grad, graft_mul(b, u->param, u->weight_decay));
    graft_value g2 = graft_mul(b, g, g);
    graft_value m = graft_assign(b, m0, graft_lerp(b, m0, g, 1.0 - o->beta1));
    graft_value v = graft_assign(b, v0, graft_lerp(b, v0, g2, 1.0 - o->beta2));

    /* theta - lr / bc1 * m / (sqrt(v) / sqrt(bc2) + eps) */
    graft_value bc1 = graft_bias_correction(b, u->step, log(o->beta1));
    graft_value bc2 = graft_bias_correction(b, u->step, log(o->beta2));
    graft_value root =
        graft_div(b, graft_unary(b, GRAFT_OP_SQRT, v), graft_unary(b, GRAFT_OP_SQRT, bc2));
    graft_value direction = graft_div(b, m, graft_affine(b, root, 1.0, o->eps));
    graft_value rate = graft_div(b, u->lr, bc1);
    graft_assign(b, u->param, graft_sub(b, u->param, graft_mul(b, rate, direction)));
}

static const struct graft_optimizer functions = {
    .struct_size = (uint32_t)sizeof functions, .elementwise = 1, .update = update};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_OPTIMIZER, options, struct adam),
    .name = "adam",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "Adam, weight decay in the gradient",
    .options = options,
    .functions = &functions,
};

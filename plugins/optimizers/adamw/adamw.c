/* SPDX-License-Identifier: Apache-2.0
 *
 * AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), the operations
 * ordered as in torch.optim.AdamW.
 */
#include <graft/optimizer.h>

#include <math.h>

struct adamw {
    double beta1, beta2, eps;
};

static const struct graft_option options[] = {
    {.key = "beta1",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct adamw, beta1),
     .fallback = "0.9",
     .min = 0,
     .max = 0.999999,
     .help = "decay of the first moment"},
    {.key = "beta2",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct adamw, beta2),
     .fallback = "0.999",
     .min = 0,
     .max = 0.999999,
     .help = "decay of the second moment"},
    {.key = "eps",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct adamw, eps),
     .fallback = "1e-8",
     .min = 1e-30,
     .max = 1,
     .help = "added to the root of the second moment"},
};

static void update(struct graft_builder *b, const void *settings, const struct graft_update *u)
{
    const struct adamw *o = (const struct adamw *)settings;
    graft_value m0 = graft_state(b, u, "exp_avg", u->shape, GRAFT_DTYPE_F32, GRAFT_INIT_ZEROS);
    graft_value v0 = graft_state(b, u, "exp_avg_sq", u->shape, GRAFT_DTYPE_F32, GRAFT_INIT_ZEROS);
    graft_value g2 = graft_mul(b, u->grad, u->grad);
    graft_value m = graft_assign(b, m0, graft_lerp(b, m0, u->grad, 1.0 - o->beta1));
    graft_value v = graft_assign(b, v0, graft_lerp(b, v0, g2, 1.0 - o->beta2));

    /* theta (1 - lr wd) - lr / bc1 * m / (sqrt(v) / sqrt(bc2) + eps) */
    graft_value bc1 = graft_bias_correction(b, u->step, log(o->beta1));
    graft_value bc2 = graft_bias_correction(b, u->step, log(o->beta2));
    graft_value root =
        graft_div(b, graft_unary(b, GRAFT_OP_SQRT, v), graft_unary(b, GRAFT_OP_SQRT, bc2));
    graft_value direction = graft_div(b, m, graft_affine(b, root, 1.0, o->eps));
    graft_value keep = graft_affine(b, graft_mul(b, u->lr, u->weight_decay), -1.0, 1.0);
    graft_value decayed = graft_mul(b, u->param, keep);
    graft_assign(b, u->param,
                 graft_sub(b, decayed, graft_mul(b, graft_div(b, u->lr, bc1), direction)));
}

static const struct graft_optimizer functions = {
    .struct_size = (uint32_t)sizeof functions, .elementwise = 1, .update = update};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_OPTIMIZER, options, struct adamw),
    .name = "adamw",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "Adam with decoupled weight decay",
    .options = options,
    .functions = &functions,
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Lion (Chen et al. 2023, algorithm 2): the sign of an interpolated momentum, decoupled weight
 * decay.
 */
#include <graft/optimizer.h>

struct lion {
    double beta1, beta2;
};

static const struct graft_option options[] = {
    {.key = "beta1",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct lion, beta1),
     .fallback = "0.9",
     .min = 0,
     .max = 0.999999,
     .help = "share of the momentum in the direction"},
    {.key = "beta2",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct lion, beta2),
     .fallback = "0.99",
     .min = 0,
     .max = 0.999999,
     .help = "decay of the momentum"},
};

static void update(struct graft_builder *b, const void *settings, const struct graft_update *u)
{
    const struct lion *o = (const struct lion *)settings;
    graft_value m = graft_state(b, u, "exp_avg", u->shape, GRAFT_DTYPE_F32, GRAFT_INIT_ZEROS);
    graft_value sign = graft_unary(b, GRAFT_OP_SIGN, graft_lerp(b, m, u->grad, 1.0 - o->beta1));
    graft_value keep = graft_affine(b, graft_mul(b, u->lr, u->weight_decay), -1.0, 1.0);

    graft_assign(b, m, graft_lerp(b, m, u->grad, 1.0 - o->beta2));
    graft_assign(b, u->param,
                 graft_sub(b, graft_mul(b, u->param, keep), graft_mul(b, u->lr, sign)));
}

static const struct graft_optimizer functions = {
    .struct_size = (uint32_t)sizeof functions, .elementwise = 1, .update = update};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_OPTIMIZER, options, struct lion),
    .name = "lion",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "the sign of the momentum, one state",
    .options = options,
    .functions = &functions,
};

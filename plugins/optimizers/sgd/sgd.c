/* SPDX-License-Identifier: Apache-2.0
 *
 * Stochastic gradient descent with momentum, as torch.optim.SGD with dampening 0: weight decay is
 * added to the gradient.
 */
#include <graft/optimizer.h>

struct sgd {
    double momentum;
    int32_t nesterov;
};

static const struct graft_option options[] = {
    {.key = "momentum",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct sgd, momentum),
     .fallback = "0.0",
     .min = 0,
     .max = 0.999999,
     .help = "share of the last direction that stays"},
    {.key = "nesterov",
     .type = GRAFT_OPTION_BOOL,
     .offset = offsetof(struct sgd, nesterov),
     .fallback = "false",
     .help = "look one step ahead along the momentum"},
};

static void update(struct graft_builder *b, const void *settings, const struct graft_update *u)
{
    const struct sgd *o = (const struct sgd *)settings;
    graft_value g = graft_add(b, u->grad, graft_mul(b, u->param, u->weight_decay));
    graft_value direction = g;
    if (o->nesterov && o->momentum == 0.0)
        graft_fail(b, "nesterov: true needs a momentum above 0, found 0");
    if (o->momentum > 0.0) {
        graft_value old =
            graft_state(b, u, "momentum_buffer", u->shape, GRAFT_DTYPE_F32, GRAFT_INIT_ZEROS);
        graft_value buffer =
            graft_assign(b, old, graft_add(b, graft_scale(b, old, o->momentum), g));
        direction = o->nesterov ? graft_add(b, g, graft_scale(b, buffer, o->momentum)) : buffer;
    }
    graft_assign(b, u->param, graft_sub(b, u->param, graft_mul(b, u->lr, direction)));
}

static const struct graft_optimizer functions = {
    .struct_size = (uint32_t)sizeof functions, .elementwise = 1, .update = update};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_OPTIMIZER, options, struct sgd),
    .name = "sgd",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "gradient descent with momentum",
    .options = options,
    .functions = &functions,
};

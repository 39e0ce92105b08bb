/* SPDX-License-Identifier: Apache-2.0
 *
 * AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), the operations
 * ordered as in torch.optim.AdamW.
 */
#include <graft/optimizer.h>

static const struct graft_option options[] = {
    {.key = "beta1",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct graft_adam, beta1),
     .fallback = "0.9",
     .min = 0,
     .max = 0.999999,
     .help = "decay of the first moment"},
    {.key = "beta2",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct graft_adam, beta2),
     .fallback = "0.999",
     .min = 0,
     .max = 0.999999,
     .help = "decay of the second moment"},
    {.key = "eps",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct graft_adam, eps),
     .fallback = "1e-8",
     .min = 1e-30,
     .max = 1,
     .help = "added to the root of the second moment"},
};

/* theta (1 - lr wd) - step */
static void update(struct graft_builder *b, const void *settings, const struct graft_update *u)
{
    graft_value step = graft_adam(b, u, (const struct graft_adam *)settings, u->grad);
    graft_value keep = graft_affine(b, graft_mul(b, u->lr, u->weight_decay), -1.0, 1.0);
    graft_assign(b, u->param, graft_sub(b, graft_mul(b, u->param, keep), step));
}

static const struct graft_optimizer functions = {
    .struct_size = (uint32_t)sizeof functions, .elementwise = 1, .update = update};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_OPTIMIZER, options, struct graft_adam),
    .name = "adamw",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "Adam with decoupled weight decay",
    .options = options,
    .functions = &functions,
};

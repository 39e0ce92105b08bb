/* SPDX-License-Identifier: Apache-2.0
 *
 * Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon, github.com/KellerJordan/Muon): the
 * momentum of a matrix is orthogonalized by a quintic Newton-Schulz iteration, here in f32 where
 * the published code and torch.optim.Muon take bfloat16. What is no matrix is updated by AdamW.
 */
#include <graft/optimizer.h>

#include <math.h>

enum { ORIGINAL, MATCH_RMS_ADAMW };

struct muon {
    double momentum;
    int32_t nesterov;
    int64_t ns_steps;
    int32_t adjust_lr_fn;
    double beta1, beta2, eps;
};

static const char *const adjustments[] = {"original", "match_rms_adamw", NULL};

static const struct graft_option options[] = {
    {.key = "momentum",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct muon, momentum),
     .fallback = "0.95",
     .min = 0,
     .max = 0.999999,
     .help = "decay of a matrix's momentum"},
    {.key = "nesterov",
     .type = GRAFT_OPTION_BOOL,
     .offset = offsetof(struct muon, nesterov),
     .fallback = "true",
     .help = "look one step ahead along the momentum"},
    {.key = "ns_steps",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct muon, ns_steps),
     .fallback = "5",
     .min = 1,
     .max = 20,
     .help = "iterations of the orthogonalization"},
    {.key = "adjust_lr_fn",
     .type = GRAFT_OPTION_CHOICE,
     .offset = offsetof(struct muon, adjust_lr_fn),
     .fallback = "original",
     .choices = adjustments,
     .help =
         "a matrix's rate: times sqrt(max(1, out/in)), or 0.2 sqrt(max(out, in)) for AdamW's lr"},
    {.key = "beta1",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct muon, beta1),
     .fallback = "0.9",
     .min = 0,
     .max = 0.999999,
     .help = "AdamW: decay of the first moment"},
    {.key = "beta2",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct muon, beta2),
     .fallback = "0.999",
     .min = 0,
     .max = 0.999999,
     .help = "AdamW: decay of the second moment"},
    {.key = "eps",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct muon, eps),
     .fallback = "1e-8",
     .min = 1e-30,
     .max = 1,
     .help = "AdamW: added to the root of the second moment"},
};

/* a x + b (x x') x + c (x x')^2 x, `steps` times, from x / |x|; on the shorter side. */
static graft_value orthogonal(struct graft_builder *b, graft_value x, struct graft_shape s,
                              int64_t steps)
{
    int tall = s.dim[0] > s.dim[1];
    graft_value norm = graft_unary(b, GRAFT_OP_SQRT, graft_sum(b, graft_mul(b, x, x), 3));
    x = graft_div(b, x, graft_maximum(b, norm, graft_constant(b, 1e-7)));
    for (int64_t i = 0; i < steps; i++) {
        graft_value gram = graft_matmul(b, x, x, tall, !tall);
        graft_value poly = graft_add(b, graft_scale(b, gram, -4.7750),
                                     graft_scale(b, graft_matmul(b, gram, gram, 0, 0), 2.0315));
        graft_value turned = tall ? graft_matmul(b, x, poly, 0, 0) : graft_matmul(b, poly, x, 0, 0);
        x = graft_add(b, graft_scale(b, x, 3.4445), turned);
    }
    return x;
}

static graft_value matrix_step(struct graft_builder *b, const struct muon *o,
                               const struct graft_update *u)
{
    double out = (double)u->shape.dim[0], in = (double)u->shape.dim[1];
    double factor = o->adjust_lr_fn == ORIGINAL ? sqrt(out > in ? out / in : 1.0)
                                                : 0.2 * sqrt(out > in ? out : in);
    graft_value old =
        graft_state(b, u, "momentum_buffer", u->shape, GRAFT_DTYPE_F32, GRAFT_INIT_ZEROS);
    graft_value m = graft_assign(b, old, graft_lerp(b, old, u->grad, 1.0 - o->momentum));
    graft_value direction = o->nesterov ? graft_lerp(b, u->grad, m, o->momentum) : m;
    direction = orthogonal(b, direction, u->shape, o->ns_steps);
    return graft_mul(b, graft_scale(b, u->lr, factor), direction);
}

static void update(struct graft_builder *b, const void *settings, const struct graft_update *u)
{
    const struct muon *o = (const struct muon *)settings;
    const struct graft_adam other = {o->beta1, o->beta2, o->eps};
    graft_value step =
        u->shape.rank == 2 ? matrix_step(b, o, u) : graft_adam(b, u, &other, u->grad);
    graft_value keep = graft_affine(b, graft_mul(b, u->lr, u->weight_decay), -1.0, 1.0);
    graft_assign(b, u->param, graft_sub(b, graft_mul(b, u->param, keep), step));
}

static const struct graft_optimizer functions = {.struct_size = (uint32_t)sizeof functions,
                                                 .update = update};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_OPTIMIZER, options, struct muon),
    .name = "muon",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "orthogonalized momentum for matrices, AdamW for the rest",
    .options = options,
    .functions = &functions,
};

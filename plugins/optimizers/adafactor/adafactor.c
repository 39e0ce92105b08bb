/* SPDX-License-Identifier: Apache-2.0
 *
 * Adafactor (Shazeer and Stern 2018) with the arithmetic of torch.optim.Adafactor: a matrix keeps
 * the means of its squared gradients by row and by column, everything else keeps them in full. The
 * learning rate is the upper bound of the relative step.
 */
#include <graft/optimizer.h>

#include <math.h>

struct adafactor {
    double beta2_decay, eps1, eps2, d;
};

static const struct graft_option options[] = {
    {.key = "beta2_decay",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct adafactor, beta2_decay),
     .fallback = "-0.8",
     .min = -1,
     .max = 0,
     .help = "the second moment's decay in step t is 1 - t^beta2_decay"},
    {.key = "eps1",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct adafactor, eps1),
     .fallback = "1.1920928955078125e-07",
     .min = 1e-18,
     .max = 1,
     .help = "smallest second moment's root"},
    {.key = "eps2",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct adafactor, eps2),
     .fallback = "1e-3",
     .min = 0,
     .max = 1e3,
     .help = "smallest root mean square of a parameter that scales its step"},
    {.key = "d",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct adafactor, d),
     .fallback = "1.0",
     .min = 1,
     .max = 1e6,
     .help = "root mean square above which an update is scaled down"},
};

static graft_value root(struct graft_builder *b, graft_value x)
{
    return graft_unary(b, GRAFT_OP_SQRT, x);
}

/* x^p for 0 <= p <= 1, from the roots that p's binary digits choose: the op set has no logarithm.
 */
static graft_value power(struct graft_builder *b, graft_value x, double p)
{
    graft_value y = p >= 1.0 ? x : graft_constant(b, 1.0);
    double rest = p >= 1.0 ? 0.0 : p;
    for (int i = 0; i < 24 && rest > 0.0; i++) {
        x = root(b, x);
        rest *= 2.0;
        if (rest < 1.0) continue;
        y = graft_mul(b, y, x);
        rest -= 1.0;
    }
    return y;
}

/* The mean over the axes of the mask; `count` numbers each. */
static graft_value mean(struct graft_builder *b, graft_value x, int32_t axes, int64_t count)
{
    return graft_scale(b, graft_sum(b, x, axes), 1.0 / (double)count);
}

/* Root mean square of everything, [1]. */
static graft_value rms(struct graft_builder *b, graft_value x, struct graft_shape s)
{
    graft_value square = mean(b, graft_mul(b, x, x), (1 << s.rank) - 1, graft_shape_count(s));
    return root(b, graft_reshape(b, square, graft_shape1(1)));
}

/* A state that moves to `now` by t, [1]; its new value. */
static graft_value average(struct graft_builder *b, const struct graft_update *u, const char *name,
                           graft_value now, graft_value t)
{
    graft_value old =
        graft_state(b, u, name, graft_shape_of(b, now), GRAFT_DTYPE_F32, GRAFT_INIT_ZEROS);
    return graft_assign(b, old, graft_add(b, old, graft_mul(b, t, graft_sub(b, now, old))));
}

static graft_value second_moment(struct graft_builder *b, const struct adafactor *o,
                                 const struct graft_update *u, graft_value t)
{
    graft_value g2 = graft_mul(b, u->grad, u->grad);
    int64_t rows = u->shape.dim[0], columns = u->shape.dim[1];
    if (u->shape.rank != 2) return average(b, u, "variance", g2, t);
    graft_value row = average(b, u, "row_var", mean(b, g2, 2, columns), t);
    graft_value column = average(b, u, "col_var", mean(b, g2, 1, rows), t);
    graft_value middle = graft_maximum(b, mean(b, row, 1, rows), graft_constant(b, o->eps1));
    return graft_div(b, graft_mul(b, row, column), middle);
}

static void update(struct graft_builder *b, const void *settings, const struct graft_update *u)
{
    const struct adafactor *o = (const struct adafactor *)settings;
    graft_value one = graft_constant(b, 1.0);
    graft_value t = graft_div(b, one, power(b, u->step, -o->beta2_decay));
    graft_value rho = graft_minimum(b, u->lr, graft_div(b, one, root(b, u->step)));
    graft_value alpha =
        graft_mul(b, rho, graft_maximum(b, rms(b, u->param, u->shape), graft_constant(b, o->eps2)));

    graft_value v =
        graft_maximum(b, second_moment(b, o, u, t), graft_constant(b, o->eps1 * o->eps1));
    graft_value direction = graft_div(b, u->grad, root(b, v));
    graft_value large = graft_scale(b, rms(b, direction, u->shape), 1.0 / o->d);
    alpha = graft_div(b, alpha, graft_maximum(b, large, one));

    graft_value keep = graft_affine(b, graft_mul(b, u->lr, u->weight_decay), -1.0, 1.0);
    graft_assign(b, u->param,
                 graft_sub(b, graft_mul(b, u->param, keep), graft_mul(b, alpha, direction)));
}

static const struct graft_optimizer functions = {.struct_size = (uint32_t)sizeof functions,
                                                 .update = update};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_OPTIMIZER, options, struct adafactor),
    .name = "adafactor",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "second moments of matrices by row and column, no first moment",
    .options = options,
    .functions = &functions,
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * LoKr: the weight's change is a Kronecker product, its larger factor of rank r (LyCORIS, Yeh et
 * al. 2023, arXiv:2309.14859), with PEFT's keys.
 */
#include <graft/adapter.h>

enum init { INIT_DEFAULT, INIT_RANDOM, INIT_LYCORIS };

struct lokr {
    int64_t r;
    double alpha;
    int32_t decompose_both;
    int64_t decompose_factor;
    int32_t init_weights; /* enum init */
};

static const char *const inits[] = {"true", "false", "lycoris", NULL};

static const struct graft_option options[] = {
    {.key = "r",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct lokr, r),
     .fallback = "8",
     .min = 1,
     .max = 65536,
     .pattern = "rank_pattern",
     .help = "rank of a factor; one of at most twice this size stays whole"},
    {.key = "alpha",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct lokr, alpha),
     .fallback = "8",
     .min = 1e-6,
     .max = 1e6,
     .pattern = "alpha_pattern",
     .help = "scaling: the change is multiplied by alpha / r"},
    {.key = "decompose_both",
     .type = GRAFT_OPTION_BOOL,
     .offset = offsetof(struct lokr, decompose_both),
     .fallback = "false",
     .help = "rank r for the smaller factor, too"},
    {.key = "decompose_factor",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct lokr, decompose_factor),
     .fallback = "-1",
     .min = -1,
     .max = 65536,
     .help = "the smaller factor's size at most; -1: as square as the layer allows"},
    {.key = "init_weights",
     .type = GRAFT_OPTION_CHOICE,
     .offset = offsetof(struct lokr, init_weights),
     .fallback = "true",
     .choices = inits,
     .help = "which factor begins at 0: the smaller, none, or as LyCORIS the larger"},
};

/* n = first * second, as PEFT's factorization(n, factor): first is the factor where it divides n,
 * else the largest divisor up to it and to the square root of n. */
static void factorize(int64_t n, int64_t factor, int64_t *first, int64_t *second)
{
    *first = 1;
    if (factor > 0 && n % factor == 0)
        *first = factor;
    else
        for (int64_t d = 2; d <= n / d && (factor < 0 || d <= factor); d++)
            if (n % d == 0) *first = d;
    *second = n / *first;
}

/* A factor: NAME whole, or NAME_a NAME_b of rank r. `zero`: it begins at 0, by its part a or b. */
struct factor {
    const char *name, *a, *b;
    int whole, zero_whole, zero_a, zero_b;
};

static graft_value make(struct graft_builder *b, const struct graft_site *site,
                        const struct factor *f, int64_t rows, int64_t columns, int64_t r)
{
    static const enum graft_init inits_of[] = {GRAFT_INIT_KAIMING_UNIFORM, GRAFT_INIT_ZEROS};
    if (f->whole)
        return graft_param(b, site, f->name, graft_shape2(rows, columns), inits_of[f->zero_whole],
                           0.0);
    graft_value left = graft_param(b, site, f->a, graft_shape2(rows, r), inits_of[f->zero_a], 0.0);
    graft_value right =
        graft_param(b, site, f->b, graft_shape2(r, columns), inits_of[f->zero_b], 0.0);
    return graft_matmul(b, left, right, 0, 0);
}

/* dW = alpha / r * kron(W1 [l, m], W2 [k, n]), out = l k, in = m n */
static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *s, graft_value x /* [T, in] */)
{
    const struct lokr *o = (const struct lokr *)settings;
    int64_t l, k, m, n;
    factorize(s->in_features, o->decompose_factor, &m, &n);
    factorize(s->out_features, o->decompose_factor, &l, &k);
    int usual = o->init_weights == INIT_DEFAULT, lycoris = o->init_weights == INIT_LYCORIS;
    struct factor first = {"lokr_w1", "lokr_w1_a", "lokr_w1_b", 1, usual, usual, 0};
    struct factor second = {"lokr_w2", "lokr_w2_a", "lokr_w2_b", 1, lycoris, 0, lycoris};
    first.whole = !(o->decompose_both && 2 * o->r < (l > m ? l : m));
    second.whole = !(2 * o->r < (k > n ? k : n));

    graft_value w1 = make(b, &s->site, &first, l, m, o->r);
    graft_value w2 = make(b, &s->site, &second, k, n, o->r);
    graft_value change = graft_mul(b, graft_reshape(b, w1, graft_shape4(l, 1, m, 1)),
                                   graft_reshape(b, w2, graft_shape4(1, k, 1, n)));
    change = graft_reshape(b, change, graft_shape2(s->out_features, s->in_features));
    change = graft_scale(b, change, o->alpha / (double)o->r);
    return graft_add(b, graft_base(b, s, x), graft_linear(b, x, change));
}

static const struct graft_config_field fields[] = {{.key = "rank_dropout", .json = "0.0"},
                                                   {.key = "module_dropout", .json = "0.0"},
                                                   {.key = "rank_dropout_scale", .json = "false"},
                                                   {.key = "use_effective_conv2d", .json = "false"},
                                                   {.key = "modules_to_save", .json = "null"},
                                                   {.key = NULL}};

static int32_t identity(const void *settings)
{
    const struct lokr *o = (const struct lokr *)settings;
    return o->init_weights != INIT_RANDOM;
}

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .mergeable = 1,
                                               .peft_type = "LOKR",
                                               .default_targets = "q_proj v_proj",
                                               .fields = fields,
                                               .linear = linear,
                                               .identity = identity};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct lokr),
    .name = "lokr",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "low-rank Kronecker products on linear layers",
    .options = options,
    .functions = &functions,
};

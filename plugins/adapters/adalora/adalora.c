/* SPDX-License-Identifier: Apache-2.0
 *
 * AdaLoRA: a product B E A with a diagonal E, whose rank moves to where it matters (Zhang et al.
 * 2023, arXiv:2303.10512). A term of the loss keeps A and B near orthonormal; the sensitivity of
 * each entry is smoothed over the steps; now and then the entries of all layers are ranked, and the
 * least are set to zero until a budget is met. Constants, order and keys are PEFT's.
 */
#include <graft/adapter.h>

#include <math.h>
#include <stdlib.h>

struct adalora {
    int64_t target_r, init_r, tinit, tfinal, deltaT, total_step;
    double beta1, beta2, orth_reg_weight, lora_alpha, lora_dropout;
    int32_t init_lora_weights;
};

static const struct graft_option options[] = {
    {.key = "target_r",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct adalora, target_r),
     .fallback = "8",
     .min = 1,
     .max = 65536,
     .help = "mean rank of a layer at the end"},
    {.key = "init_r",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct adalora, init_r),
     .fallback = "12",
     .min = 1,
     .max = 65536,
     .help = "rank of every layer at first"},
    {.key = "tinit",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct adalora, tinit),
     .fallback = "0",
     .min = 0,
     .max = 1e9,
     .help = "steps before the first ranking"},
    {.key = "tfinal",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct adalora, tfinal),
     .fallback = "0",
     .min = 0,
     .max = 1e9,
     .help = "steps after the last ranking"},
    {.key = "deltaT",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct adalora, deltaT),
     .fallback = "1",
     .min = 1,
     .max = 1e9,
     .help = "steps from one ranking to the next"},
    {.key = "beta1",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct adalora, beta1),
     .fallback = "0.85",
     .min = 1e-6,
     .max = 0.999999,
     .help = "smoothing of an entry's sensitivity"},
    {.key = "beta2",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct adalora, beta2),
     .fallback = "0.85",
     .min = 1e-6,
     .max = 0.999999,
     .help = "smoothing of its uncertainty"},
    {.key = "orth_reg_weight",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct adalora, orth_reg_weight),
     .fallback = "0.5",
     .min = 0,
     .max = 1e6,
     .help = "weight of the term of the loss that keeps A and B near orthonormal"},
    {.key = "total_step",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct adalora, total_step),
     .min = 1,
     .max = 1e9,
     .help = "steps of the whole run (train.max_steps)"},
    {.key = "lora_alpha",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct adalora, lora_alpha),
     .fallback = "8",
     .min = 1e-6,
     .max = 1e6,
     .help = "scaling: the product is multiplied by lora_alpha / init_r"},
    {.key = "lora_dropout",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct adalora, lora_dropout),
     .fallback = "0.0",
     .min = 0,
     .max = 0.999,
     .help = "share of the branch's inputs that training zeroes"},
    {.key = "init_lora_weights",
     .type = GRAFT_OPTION_BOOL,
     .offset = offsetof(struct adalora, init_lora_weights),
     .fallback = "true",
     .help = "begin with E at 0, which changes nothing; false: normal draws"},
};

/* The last step whose ranking counts. */
static int64_t last_ranking(const struct adalora *o)
{
    return o->total_step - o->tfinal;
}

/* What the penalty is a mean over. */
static void model(struct graft_builder *b, const void *settings, const struct graft_model_site *m)
{
    const struct adalora *o = (const struct adalora *)settings;
    if (o->target_r > o->init_r)
        graft_fail(b, "target_r: %lld exceeds init_r %lld: ranks only shrink",
                   (long long)o->target_r, (long long)o->init_r);
    if (o->tinit >= last_ranking(o))
        graft_fail(b,
                   "tinit: %lld leaves no step to rank in: it must be below total_step %lld - "
                   "tfinal %lld",
                   (long long)o->tinit, (long long)o->total_step, (long long)o->tfinal);
    graft_share(b, "matrices", graft_constant(b, 2.0 * (double)m->site_count));
}

/* weight |P P^T - I| / matrices, P = A or B^T (Zhang et al. 2023, eq. 4, the root as in PEFT). What
 * is added under the root keeps the gradient finite where P is orthonormal to the last bit. */
static void penalize(struct graft_builder *b, const struct adalora *o, graft_value gram)
{
    float *eye = (float *)calloc((size_t)(o->init_r * o->init_r), sizeof *eye);
    if (eye == NULL) {
        graft_fail(b, "not enough memory for init_r: %lld", (long long)o->init_r);
        return;
    }
    for (int64_t i = 0; i < o->init_r; i++) eye[i * o->init_r + i] = 1.0F;
    graft_value I = graft_reshape(b, graft_table(b, eye, o->init_r * o->init_r),
                                  graft_shape2(o->init_r, o->init_r));
    free(eye);
    graft_value off = graft_sub(b, gram, I);
    graft_value square = graft_reshape(b, graft_sum(b, graft_mul(b, off, off), 3), graft_shape1(1));
    graft_value norm = graft_unary(b, GRAFT_OP_SQRT, graft_affine(b, square, 1.0, 1e-30));
    norm = graft_div(b, norm, graft_shared(b, "matrices"));
    graft_penalty(b, graft_scale(b, norm, o->orth_reg_weight));
}

/* y = base(x) + alpha / (init_r + 1e-5) B E A dropout(x)   (eq. 3) */
static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *s, graft_value x /* [T, in] */)
{
    const struct adalora *o = (const struct adalora *)settings;
    enum graft_init E_init = o->init_lora_weights ? GRAFT_INIT_ZEROS : GRAFT_INIT_NORMAL;
    double deviation = o->init_lora_weights ? 0.02 : 1.0;
    graft_value A = graft_param(b, &s->site, "lora_A", graft_shape2(o->init_r, s->in_features),
                                GRAFT_INIT_NORMAL, deviation);
    graft_value B = graft_param(b, &s->site, "lora_B", graft_shape2(s->out_features, o->init_r),
                                GRAFT_INIT_NORMAL, deviation);
    graft_value E =
        graft_param(b, &s->site, "lora_E", graft_shape2(o->init_r, 1), E_init, deviation);
    if (o->orth_reg_weight > 0) {
        penalize(b, o, graft_matmul(b, A, A, 0, 1));
        penalize(b, o, graft_matmul(b, B, B, 1, 0));
    }
    graft_value branch = graft_linear(b, graft_dropout(b, x, o->lora_dropout), graft_mul(b, A, E));
    branch = graft_linear(b, branch, B);
    return graft_add(b, graft_base(b, s, x),
                     graft_scale(b, branch, o->lora_alpha / ((double)o->init_r + 1e-5)));
}

/* ---- importances ---- */

/* old + open (new - old): exactly one of them, as open is 1 or 0 */
static graft_value gated(struct graft_builder *b, graft_value open, graft_value from,
                         graft_value to)
{
    return graft_add(b, graft_mul(b, open, to),
                     graft_mul(b, graft_affine(b, open, -1.0, 1.0), from));
}

/* The score of every number of a parameter (eqs. 8 to 10): sensitivity |p g| and uncertainty, both
 * smoothed. */
static graft_value score(struct graft_builder *b, const struct adalora *o,
                         const struct graft_site *s, const struct graft_update *u, graft_value open,
                         const char *const names[3])
{
    graft_value g, p = graft_updated(b, s, names[0], &g);
    struct graft_shape shape = graft_shape_of(b, p);
    graft_value I0 = graft_state(b, u, names[1], shape, GRAFT_DTYPE_F32, GRAFT_INIT_ZEROS);
    graft_value U0 = graft_state(b, u, names[2], shape, GRAFT_DTYPE_F32, GRAFT_INIT_ZEROS);
    graft_value now = graft_unary(b, GRAFT_OP_ABS, graft_mul(b, p, g));
    graft_value I = gated(b, open, I0, graft_lerp(b, I0, now, 1.0 - o->beta1));
    graft_value apart = graft_unary(b, GRAFT_OP_ABS, graft_sub(b, now, I));
    graft_value U = gated(b, open, U0, graft_lerp(b, U0, apart, 1.0 - o->beta2));
    return graft_mul(b, graft_assign(b, I0, I), graft_assign(b, U0, U));
}

static graft_value mean(struct graft_builder *b, graft_value x, int32_t axis)
{
    double count = (double)graft_shape_of(b, x).dim[axis];
    return graft_scale(b, graft_sum(b, x, 1 << axis), 1.0 / count);
}

/* Of an entry: E's score, and the means of its row of A and its column of B (eq. 7). */
static void after(struct graft_builder *b, const void *settings, const struct graft_site *s,
                  const struct graft_update *u)
{
    static const char *const A[3] = {"lora_A", "ipt_A", "unc_A"},
                             *const B[3] = {"lora_B", "ipt_B", "unc_B"},
                             *const E[3] = {"lora_E", "ipt_E", "unc_E"};
    const struct adalora *o = (const struct adalora *)settings;
    struct graft_shape shape = graft_shape2(o->init_r, 1);
    /* 1 before the last ranking, whose step is not looked at any more */
    graft_value open = graft_affine(b, u->step, -1.0, (double)last_ranking(o));
    open = graft_minimum(b, graft_maximum(b, open, graft_constant(b, 0.0)), graft_constant(b, 1.0));
    graft_value a = mean(b, score(b, o, s, u, open, A), 1);
    graft_value c = graft_reshape(b, mean(b, score(b, o, s, u, open, B), 0), shape);
    graft_value sum = graft_add(b, score(b, o, s, u, open, E), graft_add(b, a, c));
    graft_assign(b, graft_state(b, u, "score", shape, GRAFT_DTYPE_F32, GRAFT_INIT_ZEROS), sum);
    graft_state(b, u, "pruned", shape, GRAFT_DTYPE_F32, GRAFT_INIT_ZEROS);
}

/* ---- rankings ---- */

static int32_t due(const void *settings, int64_t step)
{
    const struct adalora *o = (const struct adalora *)settings;
    return step >= last_ranking(o) || (step > o->tinit && step % o->deltaT == 0);
}

/* Entries that stay after this step: a cubic from all to target_r a layer (section 3.3). */
static int64_t budget(const struct adalora *o, const struct graft_ranking *r)
{
    double first = (double)r->begin[r->site_count], last = (double)(o->target_r * r->site_count);
    double left = 1.0 - (double)(r->step - o->tinit) / (double)(last_ranking(o) - o->tinit);
    return (int64_t)((first - last) * pow(left, 3.0) + last);
}

/* Else the budget would never be met. */
static int32_t check_steps(const void *settings, int64_t steps, char *text, size_t size)
{
    const struct adalora *o = (const struct adalora *)settings;
    if (steps >= last_ranking(o)) return 1;
    snprintf(text, size,
             "total_step: %lld, less tfinal %lld, puts the last ranking past the end of a run of "
             "%lld steps; write total_step: %lld",
             (long long)o->total_step, (long long)o->tfinal, (long long)steps, (long long)steps);
    return 0;
}

static int rising(const void *x, const void *y)
{
    float a = *(const float *)x, c = *(const float *)y;
    return (a > c) - (a < c);
}

static void rank(const void *settings, struct graft_ranking *r)
{
    const struct adalora *o = (const struct adalora *)settings;
    int64_t count = r->begin[r->site_count];
    if (r->step <= last_ranking(o)) {
        int64_t gone = count - budget(o, r);
        memcpy(r->scratch, r->score, (size_t)count * sizeof *r->score);
        qsort(r->scratch, (size_t)count, sizeof *r->scratch, rising);
        for (int64_t i = 0; i < count; i++)
            r->pruned[i] = gone > 0 && r->score[i] <= r->scratch[gone - 1] ? 1.0F : 0.0F;
    }
    for (int64_t i = 0; i < count; i++)
        if (r->pruned[i] != 0.0F) r->value[i] = 0.0F;
}

static const struct graft_ranked ranked[] = {{.name = "lora_E", .axis = 0},
                                             {.name = "lora_A", .axis = 0},
                                             {.name = "lora_B", .axis = 1},
                                             {.name = NULL}};

static const struct graft_config_field fields[] = {{.key = "r", .json = GRAFT_CONFIG_IGNORED},
                                                   {.key = "fan_in_fan_out", .json = "false"},
                                                   {.key = "modules_to_save", .json = "null"},
                                                   {.key = "bias", .json = "\"none\""},
                                                   {.key = NULL}};

static int32_t identity(const void *settings)
{
    return ((const struct adalora *)settings)->init_lora_weights;
}

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .mergeable = 1,
                                               .peft_type = "ADALORA",
                                               .default_targets = "q_proj v_proj",
                                               .fields = fields,
                                               .model = model,
                                               .linear = linear,
                                               .identity = identity,
                                               .after = after,
                                               .ranked = ranked,
                                               .due = due,
                                               .rank = rank,
                                               .check_steps = check_steps};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct adalora),
    .name = "adalora",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "low-rank adaptation whose ranks go to the layers that need them",
    .options = options,
    .functions = &functions,
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * OFT: a trained rotation of a layer's input, block by block (Qiu et al. 2023, arXiv:2306.07280),
 * by the Cayley transform as a Neumann series (OFTv2, Qiu et al. 2025, arXiv:2506.19847).
 */
#include <graft/adapter.h>

struct oft {
    int64_t r;
    int64_t oft_block_size;
    int32_t block_share;
    int64_t num_cayley_neumann_terms;
    int32_t init_weights;
};

static const struct graft_option options[] = {
    {.key = "r",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct oft, r),
     .fallback = "0",
     .min = 0,
     .max = 65536,
     .help = "number of blocks; 0: by oft_block_size"},
    {.key = "oft_block_size",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct oft, oft_block_size),
     .fallback = "32",
     .min = 0,
     .max = 8192,
     .help = "inputs that one block turns; 0: by r; the nearest divisor of the inputs is used"},
    {.key = "block_share",
     .type = GRAFT_OPTION_BOOL,
     .offset = offsetof(struct oft, block_share),
     .fallback = "false",
     .help = "one rotation for all blocks of a layer"},
    {.key = "num_cayley_neumann_terms",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct oft, num_cayley_neumann_terms),
     .fallback = "5",
     .min = 2,
     .max = 64,
     .help = "terms of the series: more come nearer to a rotation"},
    {.key = "init_weights",
     .type = GRAFT_OPTION_BOOL,
     .offset = offsetof(struct oft, init_weights),
     .fallback = "true",
     .help = "begin at 0, which turns nothing; false: normal draws"},
};

/* The divisor of n nearest to `wanted`, the smaller of two. */
static int64_t divisor(int64_t n, int64_t wanted)
{
    int64_t low = wanted, high = wanted;
    if (wanted >= n) return n;
    while (n % low != 0) low--;
    while (n % high != 0) high++;
    return wanted - low <= high - wanted ? low : high;
}

/* What the series (I - Q)(I + Q)^-1 = I + 2Q + 2Q^2 + .. has beside I, for Q := -Q; the last power
 * counts once, and PEFT has one power more than its `terms` say at 3. */
static graft_value series(struct graft_builder *b, graft_value q, int64_t terms)
{
    graft_value sum = graft_scale(b, q, 2.0), power = q;
    if (terms == 2) return sum;
    power = graft_matmul(b, q, q, 0, 0);
    sum = graft_add(b, sum, graft_scale(b, power, 2.0));
    for (int64_t i = 3; i < terms - 1; i++) {
        power = graft_matmul(b, power, q, 0, 0);
        sum = graft_add(b, sum, graft_scale(b, power, 2.0));
    }
    return graft_add(b, sum, graft_matmul(b, power, q, 0, 0));
}

/* Blocks [r or 1, n, n] on the diagonal of [in, in]. The mask [r, r] is 1 where SKEW has its 0s. */
static graft_value diagonal(struct graft_builder *b, graft_value blocks, int64_t r, int64_t n)
{
    int64_t stored = graft_shape_of(b, blocks).dim[0];
    if (r == 1) return graft_reshape(b, blocks, graft_shape2(n, n));
    graft_value ones = graft_broadcast(b, graft_constant(b, 1.0), graft_shape2(1, r * (r - 1) / 2));
    graft_value mask = graft_unary(b, GRAFT_OP_ABS, graft_skew(b, ones, (int32_t)r));
    mask = graft_reshape(b, graft_affine(b, mask, -1.0, 1.0), graft_shape4(r, 1, r, 1));
    blocks = graft_reshape(b, blocks, graft_shape4(stored, n, 1, n));
    return graft_reshape(b, graft_mul(b, mask, blocks), graft_shape2(r * n, r * n));
}

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *s, graft_value x /* [T, in] */)
{
    const struct oft *o = (const struct oft *)settings;
    if ((o->r == 0) == (o->oft_block_size == 0)) {
        graft_fail(b, "r: %lld and oft_block_size: %lld: one of them is 0, the other follows",
                   (long long)o->r, (long long)o->oft_block_size);
        return x;
    }
    int64_t wanted = o->r != 0 ? o->r : o->oft_block_size, found = divisor(s->in_features, wanted);
    int64_t r = o->r != 0 ? found : s->in_features / found, n = s->in_features / r;
    if (n < 2) {
        graft_fail(b, "blocks of one of %lld inputs turn nothing: choose larger ones",
                   (long long)s->in_features);
        return x;
    }
    graft_value v = graft_param(b, &s->site, "oft_R.weight",
                                graft_shape2(o->block_share ? 1 : r, n * (n - 1) / 2),
                                o->init_weights ? GRAFT_INIT_ZEROS : GRAFT_INIT_NORMAL, 0.1);
    graft_value change = series(b, graft_skew(b, v, (int32_t)n), o->num_cayley_neumann_terms);
    graft_value turned = graft_matmul(b, x, diagonal(b, change, r, n), 0, 0);
    return graft_base(b, s, graft_add(b, x, turned));
}

/* The series is that of PEFT 0.18 and later, and a reader wants to be told. */
static const struct graft_config_field fields[] = {{.key = "use_cayley_neumann", .json = "true"},
                                                   {.key = "coft", .json = "false"},
                                                   {.key = "eps", .json = "6e-05"},
                                                   {.key = "module_dropout", .json = "0.0"},
                                                   {.key = "fan_in_fan_out", .json = "false"},
                                                   {.key = "modules_to_save", .json = "null"},
                                                   {.key = "bias", .json = "\"none\""},
                                                   {.key = "peft_version", .json = "\"0.18.0\""},
                                                   {.key = NULL}};

static int32_t identity(const void *settings)
{
    const struct oft *o = (const struct oft *)settings;
    return o->init_weights;
}

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .mergeable = 1,
                                               .peft_type = "OFT",
                                               .default_targets = "q_proj v_proj",
                                               .fields = fields,
                                               .linear = linear,
                                               .identity = identity};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct oft),
    .name = "oft",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "trained rotations before linear layers",
    .options = options,
    .functions = &functions,
};

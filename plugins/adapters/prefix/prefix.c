/* SPDX-License-Identifier: Apache-2.0
 *
 * Prefix tuning: trained keys and values in front of those of every layer (Li and Liang 2021,
 * arXiv:2101.00190), as PEFT has it: no RoPE on the keys, the tokens' positions begin at P.
 * Letters: P virtual tokens, L layers, G key/value heads, D head size, E the encoder's width.
 */
#include <graft/adapter.h>

#include <math.h>

enum init { INIT_RANDOM, INIT_ZERO };

struct prefix {
    int64_t num_virtual_tokens;
    int32_t prefix_projection;
    int64_t encoder_hidden_size;
    int32_t init_weights; /* enum init */
    const char *init_text;
};

static const char *const inits[] = {"null", "zero", NULL};

static const struct graft_option options[] = {
    {.key = "num_virtual_tokens",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct prefix, num_virtual_tokens),
     .fallback = "20",
     .min = 1,
     .max = 65536,
     .help = "keys and values in front of every row"},
    {.key = "prefix_projection",
     .type = GRAFT_OPTION_BOOL,
     .offset = offsetof(struct prefix, prefix_projection),
     .fallback = "false",
     .help = "train a small network that makes the keys and values; the file holds what it makes"},
    {.key = "encoder_hidden_size",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct prefix, encoder_hidden_size),
     .fallback = "0",
     .min = 0,
     .max = 65536,
     .help = "width of that network; 0: as wide as a layer's keys"},
    {.key = "init_weights",
     .type = GRAFT_OPTION_CHOICE,
     .offset = offsetof(struct prefix, init_weights),
     .fallback = "null",
     .choices = inits,
     .help = "zero: keys and values begin at 0; null: drawn from a normal distribution"},
    {.key = "init_text",
     .type = GRAFT_OPTION_STRING,
     .offset = offsetof(struct prefix, init_text),
     .fallback = "",
     .training = 1,
     .help = "begin as the model's own keys and values of this text, repeated or cut"},
};

/* [P, 2 L G D] = W2 tanh(W1 embedding + b1) + b2 */
static graft_value projected(struct graft_builder *b, const struct prefix *o, int64_t size,
                             int64_t width)
{
    int64_t E = o->encoder_hidden_size != 0 ? o->encoder_hidden_size : size;
    int zero = o->init_weights == INIT_ZERO;
    graft_value x = graft_hidden_param(
        b, "embedding.weight", graft_shape2(o->num_virtual_tokens, size), GRAFT_INIT_NORMAL, 1.0);
    graft_value w1 = graft_hidden_param(b, "transform.0.weight", graft_shape2(E, size),
                                        GRAFT_INIT_KAIMING_UNIFORM, 0.0);
    graft_value b1 = graft_hidden_param(b, "transform.0.bias", graft_shape1(E), GRAFT_INIT_UNIFORM,
                                        1.0 / sqrt((double)size));
    graft_value w2 = graft_hidden_param(b, "transform.2.weight", graft_shape2(width, E),
                                        zero ? GRAFT_INIT_ZEROS : GRAFT_INIT_KAIMING_UNIFORM, 0.0);
    graft_value b2 =
        graft_hidden_param(b, "transform.2.bias", graft_shape1(width),
                           zero ? GRAFT_INIT_ZEROS : GRAFT_INIT_UNIFORM, 1.0 / sqrt((double)E));
    graft_value h =
        graft_unary(b, GRAFT_OP_TANH, graft_add(b, graft_linear(b, x, w1), b1)); /* [P, E] */
    return graft_add(b, graft_linear(b, h, w2), b2);
}

/* [P, 2 L G D] itself, as the file has it */
static graft_value plain(struct graft_builder *b, const struct prefix *o, int64_t width)
{
    struct graft_param_desc d;
    memset(&d, 0, sizeof d);
    d.name = "prompt_embeddings";
    d.shape = graft_shape2(o->num_virtual_tokens, width);
    d.init = o->init_weights == INIT_ZERO ? GRAFT_INIT_ZEROS : GRAFT_INIT_NORMAL;
    d.scale = 1.0;
    if (o->init_text[0] != '\0' && !b->api->from_file(b))
        d.initial = b->api->text_state(b, o->init_text, o->num_virtual_tokens);
    return graft_param_as(b, NULL, d);
}

static int computed(struct graft_builder *b, const struct prefix *o)
{
    return o->prefix_projection && !b->api->from_file(b);
}

static void model(struct graft_builder *b, const void *settings, const struct graft_model_site *m)
{
    const struct prefix *o = (const struct prefix *)settings;
    int64_t size = (int64_t)m->kv_heads * m->head_size, width = 2 * m->layers * size;
    if (m->site_count != m->layers) {
        graft_fail(b, "prefix: a prefix stands in every layer; leave the targets out");
        return;
    }
    if (o->prefix_projection && o->init_text[0] != '\0') {
        graft_fail(b,
                   "init_text: prefix_projection makes the keys and values, so they cannot begin "
                   "as a text's; leave one of the two out");
        return;
    }
    graft_share(b, "table", computed(b, o) ? projected(b, o, size, width) : plain(b, o, width));
}

static void save(struct graft_builder *b, const void *settings, const struct graft_model_site *m)
{
    (void)m;
    if (computed(b, (const struct prefix *)settings))
        graft_save(b, "prompt_embeddings", graft_shared(b, "table"));
}

static void rows(const void *settings, struct graft_rows_change *change)
{
    change->position_offset = ((const struct prefix *)settings)->num_virtual_tokens;
}

/* Columns of layer l: keys at 2 l, values at 2 l + 1, G D numbers each. */
static graft_value attention(struct graft_builder *b, const void *settings,
                             const struct graft_attention_site *s, graft_value q, graft_value k,
                             graft_value v)
{
    graft_value table = graft_shared(b, "table");
    int64_t size = (int64_t)s->kv_heads * s->head_size, at = 2 * s->site.layer * size;
    (void)settings;
    return graft_base_attention(b, s, q, k, v, graft_slice(b, table, 1, at, size),
                                graft_slice(b, table, 1, at + size, size));
}

static const struct graft_config_field fields[] = {
    {.key = "token_dim", .json = GRAFT_CONFIG_KV_SIZE},
    {.key = "num_attention_heads", .json = GRAFT_CONFIG_KV_HEADS},
    {.key = "num_layers", .json = GRAFT_CONFIG_LAYERS},
    {.key = "num_transformer_submodules", .json = "1"},
    {.key = "modules_to_save", .json = "null"},
    {.key = NULL}};

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .peft_type = "PREFIX_TUNING",
                                               .layout = GRAFT_LAYOUT_PEFT_PROMPT,
                                               .fields = fields,
                                               .model = model,
                                               .save = save,
                                               .rows = rows,
                                               .attention = attention};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct prefix),
    .name = "prefix",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "trained keys and values in front of every layer",
    .options = options,
    .functions = &functions,
};

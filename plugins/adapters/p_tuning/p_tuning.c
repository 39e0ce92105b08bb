/* SPDX-License-Identifier: Apache-2.0
 *
 * P-tuning: virtual tokens whose embeddings a small network makes (Liu et al. 2021,
 * arXiv:2103.10385), with PEFT's MLP; the file holds what it makes, as prompt tuning does.
 * Letters: P virtual tokens, C channels, E the network's width.
 */
#include <graft/adapter.h>

#include <math.h>
#include <stdio.h>

struct p_tuning {
    int64_t num_virtual_tokens;
    int32_t encoder_reparameterization_type; /* MLP alone */
    int64_t encoder_hidden_size;
};

static const char *const types[] = {"MLP", NULL};

static const struct graft_option options[] = {
    {.key = "num_virtual_tokens",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct p_tuning, num_virtual_tokens),
     .fallback = "20",
     .min = 1,
     .max = 65536,
     .help = "trained tokens in front of every row"},
    {.key = "encoder_reparameterization_type",
     .type = GRAFT_OPTION_CHOICE,
     .offset = offsetof(struct p_tuning, encoder_reparameterization_type),
     .fallback = "MLP",
     .choices = types,
     .help = "the network: three linear layers with ReLU between"},
    {.key = "encoder_hidden_size",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct p_tuning, encoder_hidden_size),
     .fallback = "0",
     .min = 0,
     .max = 65536,
     .help = "width of the network; 0: the model's hidden size"},
};

/* Layer `number` of the MLP: W x + b, begun as torch's Linear */
static graft_value layer(struct graft_builder *b, int number, graft_value x, int64_t in,
                         int64_t out)
{
    char name[32];
    snprintf(name, sizeof name, "mlp_head.%d.weight", number);
    graft_value w =
        graft_hidden_param(b, name, graft_shape2(out, in), GRAFT_INIT_KAIMING_UNIFORM, 0.0);
    snprintf(name, sizeof name, "mlp_head.%d.bias", number);
    graft_value bias =
        graft_hidden_param(b, name, graft_shape1(out), GRAFT_INIT_UNIFORM, 1.0 / sqrt((double)in));
    return graft_add(b, graft_linear(b, x, w), bias);
}

static graft_value table(struct graft_builder *b, const struct p_tuning *o, int64_t C)
{
    struct graft_shape shape = graft_shape2(o->num_virtual_tokens, C);
    int64_t E = o->encoder_hidden_size != 0 ? o->encoder_hidden_size : C;
    if (b->api->from_file(b))
        return graft_param(b, NULL, "prompt_embeddings", shape, GRAFT_INIT_ZEROS, 0.0);
    graft_value x = graft_hidden_param(b, "embedding.weight", shape, GRAFT_INIT_NORMAL, 1.0);
    x = graft_unary(b, GRAFT_OP_RELU, layer(b, 0, x, C, E));
    x = graft_unary(b, GRAFT_OP_RELU, layer(b, 2, x, E, E));
    return layer(b, 4, x, E, C);
}

static void model(struct graft_builder *b, const void *settings, const struct graft_model_site *m)
{
    graft_share(b, "table", table(b, (const struct p_tuning *)settings, m->hidden));
}

static void save(struct graft_builder *b, const void *settings, const struct graft_model_site *m)
{
    (void)settings;
    (void)m;
    if (!b->api->from_file(b)) graft_save(b, "prompt_embeddings", graft_shared(b, "table"));
}

static graft_value embedding(struct graft_builder *b, const void *settings,
                             const struct graft_embedding_site *s, graft_value ids, graft_value x)
{
    (void)settings;
    return graft_virtual_rows(b, s, ids, x, graft_shared(b, "table"));
}

static void rows(const void *settings, struct graft_rows_change *change)
{
    change->virtual_tokens = ((const struct p_tuning *)settings)->num_virtual_tokens;
}

static const struct graft_config_field fields[] = {
    {.key = "token_dim", .json = GRAFT_CONFIG_HIDDEN},
    {.key = "num_attention_heads", .json = GRAFT_CONFIG_HEADS},
    {.key = "num_layers", .json = GRAFT_CONFIG_LAYERS},
    {.key = "encoder_num_layers", .json = "2"},
    {.key = "encoder_dropout", .json = "0.0"},
    {.key = "num_transformer_submodules", .json = "1"},
    {.key = "modules_to_save", .json = "null"},
    {.key = NULL}};

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .peft_type = "P_TUNING",
                                               .layout = GRAFT_LAYOUT_PEFT_PROMPT,
                                               .fields = fields,
                                               .model = model,
                                               .save = save,
                                               .rows = rows,
                                               .embedding = embedding};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct p_tuning),
    .name = "p_tuning",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "virtual tokens made by a small network",
    .options = options,
    .functions = &functions,
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Prompt tuning: trained embeddings of P virtual tokens in front of every row (Lester et al. 2021,
 * arXiv:2104.08691).
 */
#include <graft/adapter.h>

enum init { INIT_RANDOM, INIT_SAMPLE_VOCAB, INIT_TEXT };

struct prompt {
    int64_t num_virtual_tokens;
    int32_t prompt_tuning_init; /* enum init */
    const char *prompt_tuning_init_text;
};

static const char *const inits[] = {"RANDOM", "SAMPLE_VOCAB", "TEXT", NULL};

static const struct graft_option options[] = {
    {.key = "num_virtual_tokens",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct prompt, num_virtual_tokens),
     .fallback = "20",
     .min = 1,
     .max = 65536,
     .help = "trained tokens in front of every row"},
    {.key = "prompt_tuning_init",
     .type = GRAFT_OPTION_CHOICE,
     .offset = offsetof(struct prompt, prompt_tuning_init),
     .fallback = "RANDOM",
     .choices = inits,
     .help = "they begin as normal draws, as embeddings of drawn tokens, or as those of a text"},
    {.key = "prompt_tuning_init_text",
     .type = GRAFT_OPTION_STRING,
     .offset = offsetof(struct prompt, prompt_tuning_init_text),
     .fallback = "",
     .help = "the text of TEXT, repeated or cut to the number of tokens"},
};

/* Rows of the model's own embedding table; 0 for RANDOM. */
static graft_value initial(struct graft_builder *b, const struct prompt *o,
                           const struct graft_site *s)
{
    graft_value inputs[2] = {{0}, {0}};
    if (o->prompt_tuning_init == INIT_RANDOM || b->api->from_file(b)) return inputs[0];
    int text = o->prompt_tuning_init == INIT_TEXT;
    if (text && o->prompt_tuning_init_text[0] == '\0') {
        graft_fail(b, "prompt_tuning_init_text: TEXT begins with a text; none is given");
        return inputs[0];
    }
    inputs[0] = b->api->tokens(b, text ? o->prompt_tuning_init_text : NULL, o->num_virtual_tokens);
    inputs[1] = graft_base_weight(b, s);
    return b->api->op(b, GRAFT_OP_EMBEDDING, inputs, 2, NULL);
}

static graft_value embedding(struct graft_builder *b, const void *settings,
                             const struct graft_embedding_site *s, graft_value ids, graft_value x)
{
    const struct prompt *o = (const struct prompt *)settings;
    struct graft_param_desc d;
    memset(&d, 0, sizeof d);
    d.name = "prompt_embeddings";
    d.shape = graft_shape2(o->num_virtual_tokens, s->hidden);
    d.init = GRAFT_INIT_NORMAL;
    d.scale = 1.0;
    d.initial = initial(b, o, &s->site);
    return graft_virtual_rows(b, s, ids, x, graft_param_as(b, NULL, d));
}

static void rows(const void *settings, struct graft_rows_change *change)
{
    change->virtual_tokens = ((const struct prompt *)settings)->num_virtual_tokens;
}

static const struct graft_config_field fields[] = {
    {.key = "token_dim", .json = GRAFT_CONFIG_HIDDEN},
    {.key = "num_attention_heads", .json = GRAFT_CONFIG_HEADS},
    {.key = "num_layers", .json = GRAFT_CONFIG_LAYERS},
    {.key = "tokenizer_name_or_path", .json = GRAFT_CONFIG_NAME},
    {.key = "tokenizer_kwargs", .json = "null"},
    {.key = "num_transformer_submodules", .json = "1"},
    {.key = "modules_to_save", .json = "null"},
    {.key = NULL}};

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .peft_type = "PROMPT_TUNING",
                                               .layout = GRAFT_LAYOUT_PEFT_PROMPT,
                                               .fields = fields,
                                               .rows = rows,
                                               .embedding = embedding};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct prompt),
    .name = "prompt",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "trained embeddings of virtual tokens in front of every row",
    .options = options,
    .functions = &functions,
};

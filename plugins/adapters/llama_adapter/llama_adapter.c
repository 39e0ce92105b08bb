/* SPDX-License-Identifier: Apache-2.0
 *
 * LLaMA-Adapter: in the last layers every token also attends to A trained prompts, behind a gate
 * that begins at zero (Zhang et al. 2023, arXiv:2303.16199), as PEFT has it.
 */
#include <graft/adapter.h>

struct llama_adapter {
    int64_t adapter_len, adapter_layers;
};

static const struct graft_option options[] = {
    {.key = "adapter_len",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct llama_adapter, adapter_len),
     .fallback = "10",
     .min = 1,
     .max = 65536,
     .help = "prompts in a layer"},
    {.key = "adapter_layers",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct llama_adapter, adapter_layers),
     .fallback = NULL,
     .min = 1,
     .max = 65536,
     .help = "how many layers have them, counted from the last"},
};

/* base + gate softmax(q k^T) v, before o_proj; k and v are the layer's own of the prompts */
static graft_value attention(struct graft_builder *b, const void *settings,
                             const struct graft_attention_site *s, graft_value q, graft_value k,
                             graft_value v)
{
    const struct llama_adapter *o = (const struct llama_adapter *)settings;
    const graft_value none = {0};
    graft_value y = graft_base_attention(b, s, q, k, v, none, none);
    if (o->adapter_layers > s->site.layers)
        graft_fail(b, "adapter_layers: %lld; the model has %d", (long long)o->adapter_layers,
                   s->site.layers);
    if (s->site.layer < s->site.layers - o->adapter_layers) return y;
    graft_value prompt =
        graft_param(b, &s->site, "adaption_prompt", graft_shape3(1, o->adapter_len, s->hidden),
                    GRAFT_INIT_NORMAL, 1.0);
    graft_value gate =
        graft_param(b, &s->site, "adaption_gate", graft_shape1(1), GRAFT_INIT_ZEROS, 0.0);
    graft_value x = graft_reshape(b, prompt, graft_shape2(o->adapter_len, s->hidden));
    graft_value pk = graft_base(b, s->k_proj, x), pv = graft_base(b, s->v_proj, x);
    return graft_add(b, y, graft_mul(b, graft_attend(b, s, q, pk, pv), gate));
}

static const struct graft_config_field fields[] = {
    {.key = "target_modules", .json = "\"self_attn\""},
    {.key = "modules_to_save", .json = "null"},
    {.key = NULL}};

static int32_t identity(const void *settings)
{
    (void)settings;
    return 1;
}

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .peft_type = "ADAPTION_PROMPT",
                                               .layout = GRAFT_LAYOUT_PEFT_PROMPT,
                                               .fields = fields,
                                               .attention = attention,
                                               .identity = identity};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct llama_adapter),
    .name = "llama_adapter",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "gated attention to trained prompts in the last layers",
    .options = options,
    .functions = &functions,
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * The families that graft knows. A family that differs only in these columns is one more row.
 * Values that a config.json leaves out are those of transformers' configuration classes.
 */
#include "model/parts.h"

#include <stdio.h>
#include <string.h>

static const struct family families[] = {
    {.name = "llama",
     .architecture = "LlamaForCausalLM",
     .gguf = "llama",
     .gguf_turned = true,
     .qkv_bias = RULE_ASKED,
     .output_bias = RULE_ASKED,
     .mlp_bias = RULE_ASKED,
     .theta = 1e4,
     .norm_eps = 1e-6},
    {.name = "mistral",
     .architecture = "MistralForCausalLM",
     .window = RULE_ALWAYS,
     .window_size = 4096,
     .kv_heads = 8,
     .theta = 1e4,
     .norm_eps = 1e-6},
    {.name = "qwen2",
     .architecture = "Qwen2ForCausalLM",
     .gguf = "qwen2",
     .qkv_bias = RULE_ALWAYS,
     .window = RULE_ASKED,
     .window_size = 4096,
     .max_window_layers = 28,
     .theta = 1e4,
     .norm_eps = 1e-6},
    {.name = "qwen3",
     .architecture = "Qwen3ForCausalLM",
     .gguf = "qwen3",
     .qk_norm = true,
     .qkv_bias = RULE_ASKED,
     .output_bias = RULE_ASKED,
     .window = RULE_ASKED,
     .window_size = 4096,
     .max_window_layers = 28,
     .head_size = 128,
     .theta = 1e4,
     .norm_eps = 1e-6},
};

enum { FAMILIES = sizeof families / sizeof families[0] };

static bool same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

const struct family *family_find(const char *name, const char *architecture)
{
    for (size_t i = 0; i < FAMILIES; i++)
        if (same(families[i].architecture, architecture)) return &families[i];
    for (size_t i = 0; i < FAMILIES; i++)
        if (same(families[i].name, name)) return &families[i];
    return NULL;
}

const struct family *family_of_gguf(const char *architecture)
{
    for (size_t i = 0; i < FAMILIES; i++)
        if (same(families[i].gguf, architecture)) return &families[i];
    return NULL;
}

const char *family_list(bool gguf, char *out)
{
    size_t at = 0;
    for (size_t i = 0; i < FAMILIES && at < 256; i++) {
        const char *name = gguf ? families[i].gguf : families[i].name;
        if (name == NULL) continue;
        at += (size_t)snprintf(out + at, 256 - at, at == 0 ? "%s" : ", %s", name);
    }
    return out;
}

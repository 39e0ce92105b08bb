/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF metadata to a model_config, by the keys and defaults of llama.cpp. Biases are there where
 * the file has them, since no key tells.
 */
#include "file/gguf.h"
#include "model/parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LAYERS = 4096, MAX_HEADS = 65536 };

/* Reads keys below the architecture's name; the first fault stays. */
struct reader {
    const struct gguf *file;
    const char *architecture;
    struct error *first;
};

static const char *full_key(const struct reader *r, const char *key, char out[128])
{
    snprintf(out, 128, "%s.%s", r->architecture, key);
    return out;
}

static bool has(const struct reader *r, const char *key)
{
    char full[128];
    return gguf_has(r->file, full_key(r, key, full));
}

/* A whole number of 1..max; fallback 0: the key must be there. */
static int64_t whole(const struct reader *r, const char *key, int64_t fallback, int64_t max)
{
    char full[128];
    int64_t value = 0;
    full_key(r, key, full);
    if (fallback != 0 && !gguf_has(r->file, full)) return fallback;
    if (gguf_get_int(r->file, full, &value) && value >= 1 && value <= max) return value;
    if (r->first->status != GRAFT_OK) return 1;
    if (!gguf_has(r->file, full))
        error_set(r->first, GRAFT_E_INVALID, "%s is missing", full);
    else if (gguf_array_count(r->file, full) > 0)
        error_set(r->first, GRAFT_E_UNSUPPORTED,
                  "%s is a list, one number per layer, which no family that graft knows has", full);
    else
        error_set(r->first, GRAFT_E_INVALID, "%s must be a whole number from 1 to %lld", full,
                  (long long)max);
    return 1;
}

/* A number above 0; fallback 0: the key must be there. */
static double positive(const struct reader *r, const char *key, double fallback)
{
    char full[128];
    double value = 0.0;
    full_key(r, key, full);
    if (fallback != 0.0 && !gguf_has(r->file, full)) return fallback;
    if (gguf_get_number(r->file, full, &value) && value > 0.0 && isfinite(value)) return value;
    if (r->first->status == GRAFT_OK)
        error_set(r->first, GRAFT_E_INVALID,
                  gguf_has(r->file, full) ? "%s must be a number above 0" : "%s is missing", full);
    return 1.0;
}

static const struct family *read_family(struct reader *r)
{
    char known[256];
    size_t length;
    if (!gguf_get_string(r->file, "general.architecture", &r->architecture, &length)) {
        error_set(r->first, GRAFT_E_INVALID,
                  "general.architecture is missing: not a file with a model");
        return NULL;
    }
    const struct family *family = family_of_gguf(r->architecture);
    if (family == NULL)
        error_set(r->first, GRAFT_E_INVALID, "general.architecture is %s; graft knows %s",
                  r->architecture, family_list(true, known));
    return family;
}

static void read_sizes(const struct reader *r, const struct weights *weights,
                       struct model_config *c)
{
    const struct tensor_view *table = weights_find(weights, "token_embd.weight");
    c->layers = whole(r, "block_count", 0, MAX_LAYERS);
    c->hidden = whole(r, "embedding_length", 0, INT32_MAX);
    c->intermediate = whole(r, "feed_forward_length", 0, INT32_MAX);
    c->context = whole(r, "context_length", 0, INT64_MAX);
    c->heads = (int32_t)whole(r, "attention.head_count", 0, MAX_HEADS);
    c->kv_heads = (int32_t)whole(r, "attention.head_count_kv", c->heads, MAX_HEADS);
    if (c->hidden % c->heads != 0 && !has(r, "attention.key_length") &&
        r->first->status == GRAFT_OK)
        error_set(r->first, GRAFT_E_INVALID,
                  "%s.attention.head_count %d does not divide embedding_length %lld",
                  r->architecture, (int)c->heads, (long long)c->hidden);
    int64_t head_size = c->hidden >= c->heads ? c->hidden / c->heads : 1;
    c->head_size = (int32_t)whole(r, "attention.key_length", head_size, MAX_HEADS);
    int64_t value_size = whole(r, "attention.value_length", c->head_size, MAX_HEADS);
    if (value_size != c->head_size && r->first->status == GRAFT_OK)
        error_set(r->first, GRAFT_E_UNSUPPORTED,
                  "%s.attention.value_length %lld differs from key_length %d", r->architecture,
                  (long long)value_size, (int)c->head_size);
    /* vocab_size is written for some architectures only; the table always tells. */
    c->vocab = table != NULL ? table->shape.dim[0] : 1;
}

/* ---- RoPE ---- */

static void read_yarn(const struct reader *r, struct model_config *c)
{
    double factor = positive(r, "rope.scaling.factor", 0.0);
    c->rope.scaling = ROPE_YARN;
    c->rope.factor = factor;
    c->rope.truncate = true;
    c->rope.original_context =
        whole(r, "rope.scaling.original_context_length", c->context, INT64_MAX);
    c->rope.beta_fast = positive(r, "rope.scaling.yarn_beta_fast", 32.0);
    c->rope.beta_slow = positive(r, "rope.scaling.yarn_beta_slow", 1.0);
    c->rope.attention_factor = rope_yarn_scale(factor, 1.0) *
                               positive(r, "rope.scaling.attn_factor", 1.0) *
                               positive(r, "rope.scaling.yarn_attn_factor", 1.0);
    static const char *const others[] = {"rope.scaling.yarn_ext_factor",
                                         "rope.scaling.yarn_log_multiplier"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (has(r, others[i]) && r->first->status == GRAFT_OK)
            error_set(r->first, GRAFT_E_UNSUPPORTED, "%s.%s is not known to graft", r->architecture,
                      others[i]);
}

/* llama.cpp's default is linear, whose default factor is 1. */
static void read_scaling(const struct reader *r, struct model_config *c)
{
    char full[128];
    const char *type = "linear";
    size_t length;
    gguf_get_string(r->file, full_key(r, "rope.scaling.type", full), &type, &length);
    if (strcmp(type, "none") == 0) {
        c->rope.scaling = ROPE_PLAIN;
    } else if (strcmp(type, "linear") == 0) {
        double old = positive(r, "rope.scale_linear", 1.0);
        c->rope.factor = positive(r, "rope.scaling.factor", old);
        c->rope.scaling = c->rope.factor == 1.0 ? ROPE_PLAIN : ROPE_LINEAR;
    } else if (strcmp(type, "yarn") == 0) {
        read_yarn(r, c);
    } else if (r->first->status == GRAFT_OK) {
        error_set(r->first, GRAFT_E_UNSUPPORTED,
                  "%s is %.32s; it must be none, linear or yarn, which graft knows", full, type);
    }
}

/* llama3's scaling comes as a tensor of divisors. */
static void read_factors(const struct reader *r, const struct weights *weights, struct arena *arena,
                         struct model_config *c)
{
    const struct tensor_view *t = weights_find(weights, "rope_freqs.weight");
    if (t == NULL || r->first->status != GRAFT_OK) return;
    if (t->dtype != GRAFT_DTYPE_F32 || t->shape.rank != 1 ||
        t->shape.dim[0] != c->rope.rotary / 2 || c->rope.scaling != ROPE_PLAIN) {
        error_set(
            r->first, GRAFT_E_INVALID,
            "rope_freqs.weight must be F32 with %d numbers and have no other scaling beside it",
            (int)c->rope.rotary / 2);
        return;
    }
    float *factors = arena_alloc(arena, (size_t)t->shape.dim[0], sizeof *factors);
    if (factors == NULL) {
        error_memory(r->first, "rope_freqs.weight", t->bytes);
        return;
    }
    memcpy(factors, t->data, (size_t)t->shape.dim[0] * sizeof *factors);
    for (int64_t i = 0; i < t->shape.dim[0]; i++)
        if (!(factors[i] > 0.0F) || !isfinite(factors[i]))
            error_set(r->first, GRAFT_E_INVALID, "rope_freqs.weight: number %lld is not above 0",
                      (long long)i);
    c->rope.factors = factors;
    c->rope.scaling = ROPE_FACTORS;
}

static void read_window(const struct reader *r, struct arena *arena, struct model_config *c)
{
    char full[128];
    int64_t value = 0;
    gguf_get_int(r->file, full_key(r, "attention.sliding_window", full), &value);
    if (!has(r, "attention.sliding_window") || (value == 0 && gguf_array_count(r->file, full) == 0))
        return;
    c->window = (int32_t)whole(r, "attention.sliding_window", 0, INT32_MAX);
    uint8_t *slides = arena_alloc(arena, (size_t)c->layers, sizeof *slides);
    if (slides == NULL)
        error_memory(r->first, "the layers", (size_t)c->layers);
    else
        memset(slides, 1, (size_t)c->layers);
    c->slides = slides;
}

static bool ruled(enum rule rule, const struct weights *weights, const char *tensor)
{
    return rule == RULE_ASKED ? weights_find(weights, tensor) != NULL : rule == RULE_ALWAYS;
}

enum graft_status config_from_gguf(const struct weights *weights, struct arena *arena,
                                   struct model_config *config, struct error *e)
{
    struct error first = {0};
    struct reader r = {weights_gguf(weights), "", &first};
    struct model_config c = {.rope = {.factor = 1.0, .attention_factor = 1.0}};
    const struct family *family = read_family(&r);
    if (family != NULL) {
        snprintf(c.family, sizeof c.family, "%s", family->name);
        read_sizes(&r, weights, &c);
        c.norm_eps = positive(&r, "attention.layer_norm_rms_epsilon", 0.0);
        c.tied = weights_find(weights, "output.weight") == NULL;
        c.qkv_bias = ruled(family->qkv_bias, weights, "blk.0.attn_q.bias");
        c.output_bias = ruled(family->output_bias, weights, "blk.0.attn_output.bias");
        c.mlp_bias = ruled(family->mlp_bias, weights, "blk.0.ffn_gate.bias");
        c.qk_norm = family->qk_norm;
        c.rope.theta = positive(&r, "rope.freq_base", 1e4);
        c.rope.rotary = (int32_t)whole(&r, "rope.dimension_count", c.head_size, c.head_size);
        read_scaling(&r, &c);
        read_factors(&r, weights, arena, &c);
        read_window(&r, arena, &c);
    }
    if (first.status == GRAFT_OK && config_check(&c, &first) == GRAFT_OK) {
        *config = c;
        return GRAFT_OK;
    }
    return error_set(e, first.status, "%s", first.text);
}

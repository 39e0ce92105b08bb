/* SPDX-License-Identifier: Apache-2.0
 *
 * config.json to a model_config. RoPE in the old form (rope_theta, rope_scaling) and in the new
 * (rope_parameters); what is left out is the family's default; what would change the arithmetic
 * and is not known is refused by its key.
 */
#include "model/parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LAYERS = 4096, MAX_HEADS = 65536 };

/* Reads members of one object; the first fault stays and later reads give the fallback. */
struct reader {
    const json_t *object;
    const char *prefix; /* "rope_scaling." */
    struct error *first;
};

static const json_t *member(const struct reader *r, const char *key)
{
    const json_t *value = json_object_get(r->object, key);
    return json_is_null(value) ? NULL : value;
}

static void refuse(const struct reader *r, const char *key, const char *allowed)
{
    char found[64];
    const json_t *value = member(r, key);
    if (r->first->status != GRAFT_OK) return;
    if (value == NULL) {
        error_set(r->first, GRAFT_E_INVALID, "%s%s is missing; it must be %s", r->prefix, key,
                  allowed);
        return;
    }
    size_t length = json_dumpb(value, found, sizeof found, JSON_ENCODE_ANY | JSON_COMPACT);
    size_t shown = length < sizeof found ? length : sizeof found;
    error_set(r->first, GRAFT_E_INVALID, "%s%s is %.*s%s; it must be %s", r->prefix, key,
              (int)shown, found, shown < length ? "..." : "", allowed);
}

/* A whole number of 1..max. fallback 0: the key must be there. */
static int64_t whole(const struct reader *r, const char *key, int64_t fallback, int64_t max)
{
    const json_t *value = member(r, key);
    char allowed[64];
    if (value == NULL && fallback != 0) return fallback;
    if (json_is_integer(value) && json_integer_value(value) >= 1 &&
        json_integer_value(value) <= max)
        return json_integer_value(value);
    snprintf(allowed, sizeof allowed, "a whole number from 1 to %lld", (long long)max);
    refuse(r, key, allowed);
    return 1;
}

/* A number above 0. fallback 0: the key must be there. */
static double positive(const struct reader *r, const char *key, double fallback)
{
    const json_t *value = member(r, key);
    if (value == NULL && fallback != 0.0) return fallback;
    double number = json_number_value(value);
    if (json_is_number(value) && number > 0.0 && isfinite(number)) return number;
    refuse(r, key, "a number above 0");
    return 1.0;
}

static bool flag(const struct reader *r, const char *key, bool fallback)
{
    const json_t *value = member(r, key);
    if (value == NULL) return fallback;
    if (!json_is_boolean(value)) refuse(r, key, "true or false");
    return json_is_true(value);
}

static bool ruled(const struct reader *r, enum rule rule, const char *key)
{
    return rule == RULE_ASKED ? flag(r, key, false) : rule == RULE_ALWAYS;
}

static const char *text(const struct reader *r, const char *key)
{
    const json_t *value = member(r, key);
    if (value != NULL && !json_is_string(value)) refuse(r, key, "a string");
    return json_string_value(value);
}

/* ---- the family ---- */

static const struct family *read_family(const struct reader *r)
{
    char known[256];
    const json_t *list = member(r, "architectures");
    const char *name = text(r, "model_type");
    const char *architecture = json_string_value(json_array_get(list, 0));
    const struct family *family = family_find(name, architecture);
    if (family != NULL || r->first->status != GRAFT_OK) return family;
    if (name == NULL && architecture == NULL)
        error_set(r->first, GRAFT_E_INVALID, "names no model_type; graft knows %s",
                  family_list(false, known));
    else
        error_set(r->first, GRAFT_E_INVALID, "model_type is %s (%s); graft knows %s",
                  name != NULL ? name : "missing",
                  architecture != NULL ? architecture : "no architectures",
                  family_list(false, known));
    return NULL;
}

static void check_activation(const struct reader *r)
{
    const char *name = text(r, "hidden_act");
    if (name != NULL && strcmp(name, "silu") != 0 && strcmp(name, "swish") != 0)
        refuse(r, "hidden_act", "\"silu\" in this family");
}

/* ---- RoPE ---- */

static void read_llama3(const struct reader *r, struct model_config *c)
{
    c->rope.scaling = ROPE_LLAMA3;
    c->rope.factor = positive(r, "factor", 0.0);
    c->rope.low_freq = positive(r, "low_freq_factor", 0.0);
    c->rope.high_freq = positive(r, "high_freq_factor", 0.0);
    if (c->rope.high_freq <= c->rope.low_freq)
        refuse(r, "high_freq_factor", "above low_freq_factor");
}

static void read_yarn(const struct reader *r, struct model_config *c)
{
    double ratio = (double)c->context / (double)c->rope.original_context;
    c->rope.scaling = ROPE_YARN;
    c->rope.factor = positive(r, "factor", ratio);
    c->rope.beta_fast = positive(r, "beta_fast", 32.0);
    c->rope.beta_slow = positive(r, "beta_slow", 1.0);
    c->rope.truncate = flag(r, "truncate", true);
    c->rope.attention_factor = rope_yarn_scale(c->rope.factor, 1.0);
    double mscale = json_number_value(member(r, "mscale"));
    double all = json_number_value(member(r, "mscale_all_dim"));
    if (mscale != 0.0 && all != 0.0)
        c->rope.attention_factor =
            rope_yarn_scale(c->rope.factor, mscale) / rope_yarn_scale(c->rope.factor, all);
    c->rope.attention_factor = positive(r, "attention_factor", c->rope.attention_factor);
}

static void read_scaling(const struct reader *r, struct model_config *c)
{
    const char *key = member(r, "rope_type") != NULL ? "rope_type" : "type";
    const char *type = text(r, key);
    c->rope.original_context = whole(r, "original_max_position_embeddings", c->context, INT64_MAX);
    if (type == NULL || strcmp(type, "default") == 0) {
        c->rope.scaling = ROPE_PLAIN;
    } else if (strcmp(type, "linear") == 0) {
        c->rope.scaling = ROPE_LINEAR;
        c->rope.factor = positive(r, "factor", 0.0);
    } else if (strcmp(type, "llama3") == 0) {
        read_llama3(r, c);
    } else if (strcmp(type, "yarn") == 0) {
        read_yarn(r, c);
    } else {
        refuse(r, key, "default, linear, llama3 or yarn, which graft knows");
    }
}

/* The object with the scaling, in either form; an empty one where there is none. */
static struct reader rope_object(const struct reader *root)
{
    struct reader r = {json_object_get(root->object, "rope_parameters"), "rope_parameters.",
                       root->first};
    const char *key = "rope_parameters";
    if (r.object == NULL || json_is_null(r.object)) {
        key = "rope_scaling";
        r.object = json_object_get(root->object, key);
        r.prefix = "rope_scaling.";
    }
    if (r.object != NULL && !json_is_null(r.object) && !json_is_object(r.object))
        refuse(root, key, "an object or null");
    if (json_is_object(json_object_get(r.object, "full_attention")))
        error_set(r.first, GRAFT_E_UNSUPPORTED,
                  "%s holds one RoPE per layer type, which no family that graft knows has", key);
    return r;
}

static void read_rope(const struct reader *root, const struct family *family,
                      struct model_config *c)
{
    struct reader r = rope_object(root);
    double theta = positive(root, "rope_theta", family->theta);
    double partial = positive(root, "partial_rotary_factor", 1.0);
    c->rope.theta = positive(&r, "rope_theta", theta);
    partial = positive(&r, "partial_rotary_factor", partial);
    if (partial > 1.0) refuse(root, "partial_rotary_factor", "at most 1");
    c->rope.rotary = (int32_t)(c->head_size * fmin(partial, 1.0));
    read_scaling(&r, c);
}

/* ---- the sliding window ---- */

/* `layer_types` says it layer by layer; without it, layers from max_window_layers on slide. */
static void read_slides(const struct reader *r, const struct family *family, uint8_t *slides,
                        int64_t layers)
{
    const json_t *types = family->window == RULE_ASKED ? member(r, "layer_types") : NULL;
    int64_t first = 0;
    if (family->window == RULE_ASKED && types == NULL) {
        const json_t *value = member(r, "max_window_layers");
        first = value == NULL ? family->max_window_layers : json_integer_value(value);
        if (value != NULL && (!json_is_integer(value) || first < 0))
            refuse(r, "max_window_layers", "a whole number of at least 0");
    }
    if (types != NULL && json_array_size(types) != (size_t)layers)
        refuse(r, "layer_types", "a list with one entry per layer");
    for (int64_t i = 0; i < layers; i++) {
        const char *type = json_string_value(json_array_get(types, (size_t)i));
        bool slides_here = type != NULL && strcmp(type, "sliding_attention") == 0;
        if (types != NULL && !slides_here && (type == NULL || strcmp(type, "full_attention") != 0))
            refuse(r, "layer_types", "a list of \"full_attention\" and \"sliding_attention\"");
        slides[i] = types != NULL ? slides_here : i >= first;
    }
}

static void read_window(const struct reader *r, const struct family *family, struct arena *arena,
                        struct model_config *c)
{
    const json_t *value = json_object_get(r->object, "sliding_window");
    if (!ruled(r, family->window, "use_sliding_window") || json_is_null(value)) return;
    c->window = (int32_t)whole(r, "sliding_window", family->window_size, INT32_MAX);
    uint8_t *slides = arena_alloc(arena, (size_t)c->layers, sizeof *slides);
    if (slides == NULL) {
        error_memory(r->first, "the layers", (size_t)c->layers);
        return;
    }
    read_slides(r, family, slides, c->layers);
    c->slides = slides;
}

/* ---- all of it ---- */

static void read_sizes(const struct reader *r, const struct family *family, struct model_config *c)
{
    c->layers = whole(r, "num_hidden_layers", 0, MAX_LAYERS);
    c->hidden = whole(r, "hidden_size", 0, INT32_MAX);
    c->intermediate = whole(r, "intermediate_size", 0, INT32_MAX);
    c->vocab = whole(r, "vocab_size", 0, INT32_MAX);
    c->context = whole(r, "max_position_embeddings", 0, INT64_MAX);
    c->heads = (int32_t)whole(r, "num_attention_heads", 0, MAX_HEADS);
    bool kv_null = json_is_null(json_object_get(r->object, "num_key_value_heads"));
    int32_t kv_heads = family->kv_heads == 0 || kv_null ? c->heads : family->kv_heads;
    c->kv_heads = (int32_t)whole(r, "num_key_value_heads", kv_heads, MAX_HEADS);
    int64_t head_size = family->head_size != 0 ? family->head_size : c->hidden / c->heads;
    if (family->head_size == 0 && member(r, "head_dim") == NULL && c->hidden % c->heads != 0)
        refuse(r, "num_attention_heads", "a divisor of hidden_size where head_dim is missing");
    c->head_size = (int32_t)whole(r, "head_dim", head_size, MAX_HEADS);
}

enum graft_status config_from_hf(const json_t *root, struct arena *arena,
                                 struct model_config *config, struct error *e)
{
    struct error first = {0};
    struct reader r = {root, "", &first};
    struct model_config c = {.rope = {.factor = 1.0, .attention_factor = 1.0}};
    if (!json_is_object(root)) return error_set(e, GRAFT_E_INVALID, "holds no JSON object");
    const struct family *family = read_family(&r);
    if (family != NULL) {
        snprintf(c.family, sizeof c.family, "%s", family->name);
        read_sizes(&r, family, &c);
        check_activation(&r);
        c.norm_eps = positive(&r, "rms_norm_eps", family->norm_eps);
        c.tied = flag(&r, "tie_word_embeddings", false);
        c.qkv_bias = ruled(&r, family->qkv_bias, "attention_bias");
        c.output_bias = ruled(&r, family->output_bias, "attention_bias");
        c.mlp_bias = ruled(&r, family->mlp_bias, "mlp_bias");
        c.qk_norm = family->qk_norm;
        read_rope(&r, family, &c);
        if (first.status == GRAFT_OK) read_window(&r, family, arena, &c);
    }
    if (first.status == GRAFT_OK && config_check(&c, &first) == GRAFT_OK) {
        *config = c;
        return GRAFT_OK;
    }
    return error_set(e, first.status, "%s", first.text);
}

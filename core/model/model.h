/* SPDX-License-Identifier: Apache-2.0
 *
 * A decoder described by tables: what the file says (config.json or GGUF metadata) decides norms,
 * biases, heads, RoPE and activation; one function builds the graph for all families. Inside graft
 * every weight is [out, in] in Hugging Face's row order. Knows no adapter: whoever builds a graph
 * may wrap each linear site.
 */
#ifndef CORE_MODEL_MODEL_H
#define CORE_MODEL_MODEL_H

#include "file/weights.h"
#include "graph/graph.h"

#include <graft/site.h>

/* ROPE_FACTORS: a table in the file (GGUF's rope_freqs.weight, made from llama3's scaling). */
enum rope_scaling { ROPE_PLAIN, ROPE_LINEAR, ROPE_LLAMA3, ROPE_YARN, ROPE_FACTORS };

struct model_config {
    char family[32]; /* "llama", "qwen2", "qwen3", "mistral": Hugging Face's model_type */
    int64_t layers, hidden, intermediate, vocab, context;
    int32_t heads, kv_heads, head_size;
    double norm_eps;
    bool tied; /* the head is the embedding table */
    bool qkv_bias, output_bias, mlp_bias;
    bool qk_norm; /* RMS norms of q and k, per head, before RoPE */
    struct {
        double theta, factor, low_freq, high_freq, beta_fast, beta_slow;
        double attention_factor; /* cosines and sines are multiplied by it */
        int64_t original_context;
        const float *factors; /* [rotary / 2], ROPE_FACTORS: frequencies are divided by them */
        int32_t rotary;       /* dimensions of a head that turn */
        bool interleaved;
        bool truncate; /* yarn: whole dimensions bound the ramp */
        enum rope_scaling scaling;
    } rope;
    int32_t window;        /* sliding window; 0: none */
    const uint8_t *slides; /* [layers], 1: the window holds there; NULL when window is 0 */
};

/* A named place that adapters may wrap. Names as in the Hugging Face checkpoint, whatever the file:
 * "model.layers.3.self_attn.q_proj". Which members are set depends on the kind. */
struct model_site {
    const char *name;
    enum graft_site_kind kind;
    int32_t layer;                     /* -1: outside the blocks */
    int64_t in_features, out_features; /* LINEAR; NORM, BLOCK, ATTENTION: hidden; EMBEDDING: V, C */
    const struct stored *weight; /* LINEAR [out, in] any type; NORM [C] f32; EMBEDDING [V, C] */
    const struct stored *bias;   /* LINEAR: [out] f32, or NULL */
    double eps;                  /* NORM */
    const struct model_site *sibling; /* ATTENTION: its q_proj; k_proj, v_proj, o_proj follow */
    int32_t part;                     /* BLOCK: enum graft_block_part */
};

struct model;

struct model_options {
    const char *quantize; /* "keep", "nf4" */
};

/* Opens the file or folder, reads and checks the configuration, finds every weight with its shape
 * and registers it in `store` (STORE_BASE). Moves no data. Errors name file, tensor and key; the
 * store then holds entries without use. */
GRAFT_MUST_USE enum graft_status model_open(const char *path, const struct model_options *options,
                                            struct store *store, struct model **model,
                                            struct error *e);
/* Gives every weight its buffer: imported from the mapping where the backend can and nothing
 * changes, else written (rows of q and k of GGUF `llama` files moved back to Hugging Face's order;
 * quantized on request). Once. The backend outlives the model. */
GRAFT_MUST_USE enum graft_status model_upload(struct model *model, const struct backend *backend,
                                              struct error *e);
void model_close(struct model *model); /* frees the buffers of the weights; NULL is fine */

const struct model_config *model_config(const struct model *model);
struct weights *model_weights(const struct model *model); /* for the tokenizer */
/* Of every kind; the embedding, the last norm and lm_head stand at the end, in this order. */
const struct model_site *model_sites(const struct model *model, size_t *count);
/* "SmolLM2 135M, llama, 30 layers, Q4_1" for messages and reports; parameters of the base. */
const char *model_title(const struct model *model);
const char *model_class(const struct model *model); /* transformers': "LlamaForCausalLM" */
int64_t model_parameters(const struct model *model);
uint64_t model_bytes(const struct model *model); /* of all weights on the device */

/* What the graph reads: values of stored inputs. */
struct model_inputs {
    graft_value tokens;      /* i32 [T] */
    graft_value positions;   /* i32 [T] */
    graft_value first, last; /* i32 [T]: the keys each query sees (ops.h, ATTENTION) */
    graft_value cache_rows;  /* i32 [T]: where new keys go; only with caches */
};

/* The graph of one program while it is built: what the base of a site needs. */
struct model_scope;
struct graph *model_scope_graph(const struct model_scope *scope);

/* Queries and keys after RoPE, values: [T, heads * D], [T, G * D], [T, G * D]. */
struct model_heads {
    graft_value q, k, v;
};

/* Wraps sites; NULL members leave their kind bare. Each may call the base below for what stands
 * there without it. */
struct model_wrap {
    void *context;
    graft_value (*linear)(void *context, struct graph *graph, const struct model_site *site,
                          graft_value x);
    graft_value (*norm)(void *context, struct graph *graph, const struct model_site *site,
                        graft_value x);
    /* x: the looked-up rows [T, C] */
    graft_value (*embedding)(void *context, struct graph *graph, const struct model_site *site,
                             graft_value ids, graft_value x);
    /* gives [T, heads * D], before o_proj */
    graft_value (*attention)(void *context, const struct model_scope *scope,
                             const struct model_site *site, const struct model_heads *heads);
    /* gives the new stream */
    graft_value (*block)(void *context, struct graph *graph, const struct model_site *site,
                         graft_value stream, graft_value normed, graft_value branch);
};

/* Keys and values of one layer for generation, [slots, kv_heads * head_size] f32, STORE_CACHE. */
struct model_cache {
    const struct stored *keys, *values;
};

/* The frozen layer: x W^T (+ bias). */
graft_value model_linear(struct graph *graph, const struct model_site *site, graft_value x);
/* x normed and multiplied by w [C]; the site's own weight where w is 0. */
graft_value model_norm(struct graph *graph, const struct model_site *site, graft_value x,
                       graft_value w);
/* Attention with the program's own masks and caches; pk, pv [P, G * D]: a prefix, or 0. */
graft_value model_attention(const struct model_scope *scope, const struct model_site *site,
                            const struct model_heads *heads, graft_value pk, graft_value pv);
/* Tokens to the normed output of the last block [T, hidden]. caches: one per layer, or NULL for
 * packed documents (training). Blocks are numbered for recomputing. */
graft_value model_hidden(const struct model *model, struct graph *graph,
                         const struct model_inputs *inputs, const struct model_wrap *wrap,
                         const struct model_cache *caches);
/* x [R, hidden] to logits [R, vocab], through the lm_head site. */
graft_value model_logits(const struct model *model, struct graph *graph, graft_value x,
                         const struct model_wrap *wrap);
/* nll [R] of targets i32 [R] (output 1: argmax): fused unless lm_head is wrapped. */
graft_value model_loss(const struct model *model, struct graph *graph, graft_value x,
                       graft_value targets, const struct model_wrap *wrap, bool head_wrapped);

#endif

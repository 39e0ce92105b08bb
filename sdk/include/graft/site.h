/* SPDX-License-Identifier: Apache-2.0
 *
 * Sites: the named places of a model that an adapter wraps. The host makes these structs; they grow
 * at their ends. Names are the checkpoint's ("model.layers.3.self_attn.q_proj").
 */
#ifndef GRAFT_SITE_H
#define GRAFT_SITE_H

#include <graft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum graft_site_kind {
    GRAFT_SITE_LINEAR = 1,    /* x [T, in] -> [T, out] */
    GRAFT_SITE_ATTENTION = 2, /* heads after RoPE -> their output, before o_proj */
    GRAFT_SITE_BLOCK = 3,     /* stream, branch -> new stream */
    GRAFT_SITE_EMBEDDING = 4, /* ids -> [T, C] */
    GRAFT_SITE_NORM = 5       /* x [T, C] -> [T, C] */
};

/* What all sites begin with. A pointer to a site is a pointer to this. */
struct graft_site {
    uint32_t struct_size;
    int32_t kind;   /* enum graft_site_kind */
    int32_t layer;  /* number in the stack of blocks; -1: outside it */
    int32_t layers; /* blocks in the stack */
    const char *name;
};

struct graft_linear_site {
    struct graft_site site;
    int64_t in_features, out_features;
    int32_t has_bias;
    int32_t reserved;
};

/* D head size, G key/value heads. The projections are sites that graft_base may be called with. */
struct graft_attention_site {
    struct graft_site site;
    int64_t hidden;
    int32_t heads, kv_heads, head_size;
    int32_t reserved;
    const struct graft_linear_site *q_proj, *k_proj, *v_proj, *o_proj;
    double scale; /* of q.k */
};

enum graft_block_part { GRAFT_BLOCK_ATTENTION = 0, GRAFT_BLOCK_MLP = 1 };

struct graft_block_site {
    struct graft_site site;
    int64_t hidden;
    int32_t part; /* enum graft_block_part */
    int32_t reserved;
};

struct graft_norm_site {
    struct graft_site site;
    int64_t size;
    double eps;
};

struct graft_embedding_site {
    struct graft_site site;
    int64_t vocab, hidden;
    int64_t first_virtual; /* id of the adapter's first virtual token, if it has any */
};

/* The model as a whole, with the sites that this adapter matched. */
struct graft_model_site {
    struct graft_site site;
    int64_t layers, hidden, vocab;
    int32_t heads, kv_heads, head_size;
    uint32_t site_count;
    const struct graft_site *const *sites;
};

#ifdef __cplusplus
}
#endif

#endif

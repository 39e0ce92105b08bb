/* SPDX-License-Identifier: Apache-2.0
 *
 * The model's inside, for this room's files only: the families as data, and what an open model
 * holds.
 */
#ifndef CORE_MODEL_PARTS_H
#define CORE_MODEL_PARTS_H

#include "base/memory.h"
#include "model/model.h"

#include <jansson.h>

/* ---- families ---- */

enum rule { RULE_NEVER, RULE_ALWAYS, RULE_ASKED /* by a key of config.json; GGUF: by the file */ };

/* What sets one family apart from the others; what a config leaves out has these values. */
struct family {
    const char *name;         /* Hugging Face's model_type */
    const char *architecture; /* its class in `architectures` */
    const char *gguf;         /* general.architecture; NULL: it comes under another's name */
    bool gguf_turned;         /* GGUF has the rows of q and k in the order of adjacent pairs */
    bool qk_norm;
    enum rule qkv_bias, output_bias, mlp_bias; /* keys: attention_bias, mlp_bias */
    enum rule window;                          /* key: use_sliding_window */
    int32_t head_size;                         /* 0: hidden / heads */
    int32_t kv_heads;                          /* 0: as many as heads */
    int32_t window_size;
    int64_t max_window_layers;
    double theta, norm_eps;
};

/* By model_type, else by the class; NULL: unknown. Either may be NULL. */
const struct family *family_find(const char *name, const char *architecture);
const struct family *family_of_gguf(const char *architecture);
/* "llama, mistral, ..." into `out` of 256 bytes. */
const char *family_list(bool gguf, char *out);

/* ---- configurations ---- */

/* Slices of the arena are borrowed by the config. Errors begin at the key. */
GRAFT_MUST_USE enum graft_status config_from_hf(const json_t *root, struct arena *arena,
                                                struct model_config *config, struct error *e);
GRAFT_MUST_USE enum graft_status config_from_gguf(const struct weights *weights,
                                                  struct arena *arena, struct model_config *config,
                                                  struct error *e);
/* What must hold between the numbers of either. */
GRAFT_MUST_USE enum graft_status config_check(const struct model_config *config, struct error *e);

/* What yarn multiplies cosines and sines by when the file does not say (Peng et al. 2023). */
double rope_yarn_scale(double factor, double multiplier);
/* One frequency per pair of turning dimensions. */
void rope_frequencies(const struct model_config *config, float *out /* [rotary / 2] */);

/* ---- an open model ---- */

/* The sites of a layer: linear ones first. */
enum site_slot {
    SITE_Q,
    SITE_K,
    SITE_V,
    SITE_O,
    SITE_GATE,
    SITE_UP,
    SITE_DOWN,
    SITE_LINEARS,
    SITE_ATTENTION = SITE_LINEARS,
    SITE_ATTENTION_BLOCK,
    SITE_MLP_BLOCK,
    SITE_ATTENTION_NORM,
    SITE_MLP_NORM,
    SITE_COUNT
};
/* The sites outside the layers, at the end of the list. */
enum outer_slot { SITE_EMBEDDING, SITE_LAST_NORM, SITE_HEAD, SITE_OUTER };
enum norm_slot { NORM_ATTENTION, NORM_MLP, NORM_Q, NORM_K, NORM_COUNT };

struct layer {
    const struct stored *norm[NORM_COUNT]; /* NULL: the family has none */
    const struct model_site *site;         /* [SITE_COUNT] */
};

/* One tensor of the file on its way to the device. */
struct weight {
    const struct tensor_view *view; /* NULL: made by graft, `made` is its content */
    const void *made;
    struct stored *stored;
    int32_t turned_heads; /* rows of so many heads are moved to halves; 0: as they are */
    bool quantize;        /* to NF4 */
};

enum { NF4_BLOCK = 64 }; /* bitsandbytes' default, with double quantization */
/* What an NF4 weight of so many numbers will take. */
uint64_t upload_nf4_bytes(int64_t count);

/* upload.c: what the device gets. `owned` is freed by the caller, also after a failure. */
struct upload_content {
    const void *data;
    uint64_t bytes;
    void *owned;
};
GRAFT_MUST_USE enum graft_status upload_make(const struct weight *weight,
                                             struct upload_content *content, struct error *e);
/* Rows of GGUF's adjacent pairs to Hugging Face's halves, or back. */
void upload_move_rows(const void *from, void *to, size_t rows, size_t row_bytes, size_t heads,
                      bool to_halves);

struct model {
    struct model_config config;
    const struct family *family;
    struct weights *weights;
    struct arena arena;
    struct weight *weight;
    size_t weight_count, weight_capacity;
    struct layer *layer;
    struct model_site *site; /* layers * SITE_COUNT, then SITE_OUTER */
    size_t site_count;
    const struct stored *embedding, *frequencies;
    const char *title;
    struct backend backend; /* once uploaded */
    bool uploaded;
};

static inline struct model_site *model_outer(const struct model *m, enum outer_slot slot)
{
    return &m->site[m->site_count - SITE_OUTER + slot];
}

/* Finds every tensor that the config asks for and registers it (load.c). */
GRAFT_MUST_USE enum graft_status model_load(struct model *model, struct store *store, bool nf4,
                                            struct error *e);

#endif

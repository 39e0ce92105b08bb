/* SPDX-License-Identifier: Apache-2.0
 *
 * What an adapter implements. It declares parameters and adds nodes at sites; autodiff writes their
 * backward pass, the host matches targets, saves, loads and merges.
 *
 * Its functions are called anew for every program (training, evaluation, generation, merging), so
 * they have no side effects: a parameter of one name is always one parameter. `options` is the
 * filled struct; at a site the patterns of this site are applied.
 */
#ifndef GRAFT_ADAPTER_H
#define GRAFT_ADAPTER_H

#include <graft/after.h>
#include <graft/builder.h>
#include <graft/plugin.h>
#include <graft/site.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A field of adapter_config.json beside the options: json is its text, or one of the words below,
 * which stand for a number of the model or its name. A PEFT method that lists "bias" or
 * "modules_to_save" lets recipes set them: the host trains those numbers of the model and keeps
 * them in the adapter's file. */
struct graft_config_field {
    const char *key, *json;
};

#define GRAFT_CONFIG_LAYERS "$layers"
#define GRAFT_CONFIG_HIDDEN "$hidden"
#define GRAFT_CONFIG_HEADS "$heads"
#define GRAFT_CONFIG_KV_HEADS "$kv_heads"
#define GRAFT_CONFIG_KV_SIZE "$kv_size" /* kv_heads * head_size */
#define GRAFT_CONFIG_NAME "$name"
/* Any value is read and none written. "exclude_modules" or "layers_to_transform" so: PEFT's config
 * has no such key, and where a recipe gives it the file lists the sites one by one. */
#define GRAFT_CONFIG_IGNORED "$ignored"

/* The folder that the adapter is kept as. */
enum graft_layout {
    GRAFT_LAYOUT_PEFT = 0,
    GRAFT_LAYOUT_PEFT_PROMPT = 1, /* PEFT's prompt learning: its config names no targets */
    GRAFT_LAYOUT_ADAPTERHUB = 2,  /* parameters of block sites; peft_type is NULL */
    GRAFT_LAYOUT_FULL = 3         /* weights of the model under its own names; peft_type is NULL */
};

/* What an adapter changes about the rows that the host packs. */
struct graft_rows_change {
    uint32_t struct_size;
    int32_t reserved;
    int64_t virtual_tokens;  /* in front of every row: ids vocab .. vocab + n - 1, never trained */
    int64_t position_offset; /* added to the positions of all tokens */
};

/* For one family of models, by Hugging Face's model_type: "qwen2". */
struct graft_family_targets {
    const char *family, *targets;
};

struct graft_adapter {
    uint32_t struct_size;
    int32_t mergeable;     /* 1: linear sites stay affine in x; merged where it matched no other */
    const char *peft_type; /* "LORA"; NULL: PEFT has no such method */
    const char *default_targets;             /* "q_proj v_proj"; NULL: every site of its kinds */
    const struct graft_config_field *fields; /* ends with key NULL; may be NULL */

    /* Once per program, before the sites: parameters and values that all sites share. May be NULL.
     */
    void (*model)(struct graft_builder *b, const void *options, const struct graft_model_site *m);
    /* Once, for the adapter's file: graft_save of values that are not parameters; where it is
     * there, the sites' functions may call graft_save, too. May be NULL. */
    void (*save)(struct graft_builder *b, const void *options, const struct graft_model_site *m);
    /* May be NULL: no change. */
    void (*rows)(const void *options, struct graft_rows_change *change);

    /* One for each kind of site that the adapter acts on; the others NULL. What it returns stands
     * there from now on. */
    graft_value (*linear)(struct graft_builder *b, const void *options,
                          const struct graft_linear_site *site, graft_value x /* [T, in] */);
    graft_value (*norm)(struct graft_builder *b, const void *options,
                        const struct graft_norm_site *site, graft_value x /* [T, C] */);
    /* x: the rows as the adapters below made them, zeros for this one's virtual tokens */
    graft_value (*embedding)(struct graft_builder *b, const void *options,
                             const struct graft_embedding_site *site, graft_value ids /* i32 [T] */,
                             graft_value x /* [T, C] */);
    /* q, k after RoPE, v: [T, H * D], [T, G * D], [T, G * D]; gives [T, H * D], before o_proj */
    graft_value (*attention)(struct graft_builder *b, const void *options,
                             const struct graft_attention_site *site, graft_value q, graft_value k,
                             graft_value v);
    /* stream before the sub-block, its normed input, its output; gives the new stream */
    graft_value (*block)(struct graft_builder *b, const void *options,
                         const struct graft_block_site *site, graft_value stream,
                         graft_value normed, graft_value branch);

    int32_t layout; /* enum graft_layout */
    int32_t reserved;

    /* 1 promises that the model is unchanged while every parameter has its first value, which some
     * options may void. NULL: no promise. */
    int32_t (*identity)(const void *options);

    /* Later steps (graft/after.h): what looks at gradients and takes capacity away. All may be
     * NULL.
     *
     * In the program of the optimizer and after it, once for each site: nodes that keep numbers
     * about its parameters, by graft_updated and, on the same u, graft_state and graft_assign. A
     * step without finite gradients changes them as little as the parameters. States are kept in
     * checkpoints. Of u the step, the learning rate and the weight decay are set. */
    void (*after)(struct graft_builder *b, const void *options, const struct graft_site *site,
                  const struct graft_update *u);
    /* The parameters with an axis of entries; ends with name NULL. The first one holds one number
     * for each entry, and an entry that is pruned and whose number is 0 is left out of the
     * adapter's file ("rank_pattern" of its config says which). With it `after` makes the f32
     * states "score" and "pruned" of one number for each entry. */
    const struct graft_ranked *ranked;
    /* Is `rank` called after this step? */
    int32_t (*due)(const void *options, int64_t step);
    /* On the host, after the step's program. */
    void (*rank)(const void *options, struct graft_ranking *r);
    /* Before anything is trained: 1, or 0 and in `text` (a KEY: REASON) why a run of so many steps
     * makes no sense. */
    int32_t (*check_steps)(const void *options, int64_t steps, char *text, size_t size);

    /* In place of default_targets; ends with family NULL. May be NULL. */
    const struct graft_family_targets *family_targets;
};

/* A term of the training loss: it enters once per step, however the step is split, and neither
 * evaluation nor generation sees it. From the model's and the sites' functions; [1]. */
static inline void graft_penalty(struct graft_builder *b, graft_value v)
{
    if (b->api->struct_size < offsetof(struct graft_builder_api, penalty) + sizeof b->api->penalty)
        graft_fail(b, "graft_penalty needs a later graft");
    else
        b->api->penalty(b, v);
}

/* What stands below: the frozen part, or the adapter stacked under this one. */
static inline graft_value graft_base(struct graft_builder *b, const struct graft_linear_site *site,
                                     graft_value x /* [.., in] */)
{
    return b->api->base(b, &site->site, &x, 1);
}

static inline graft_value graft_base_norm(struct graft_builder *b,
                                          const struct graft_norm_site *site, graft_value x)
{
    return b->api->base(b, &site->site, &x, 1);
}

/* x / rms(x) * w, w [C] trained: the norm's op has no gradient to its weight, so it gets ones and w
 * is multiplied after it. */
static inline graft_value graft_norm(struct graft_builder *b, const struct graft_norm_site *site,
                                     graft_value x, graft_value w)
{
    graft_value inputs[2];
    union graft_params p;
    memset(&p, 0, sizeof p);
    p.norm.eps = site->eps;
    inputs[0] = x;
    inputs[1] = graft_broadcast(b, graft_constant(b, 1.0), graft_shape1(site->size));
    return graft_mul(b, b->api->op(b, GRAFT_OP_RMS_NORM, inputs, 2, &p), w);
}

/* pk, pv [P, G * D]: keys and values that every query sees besides its own document's; 0: none. */
static inline graft_value graft_base_attention(struct graft_builder *b,
                                               const struct graft_attention_site *site,
                                               graft_value q, graft_value k, graft_value v,
                                               graft_value pk, graft_value pv)
{
    graft_value inputs[5];
    inputs[0] = q;
    inputs[1] = k;
    inputs[2] = v;
    inputs[3] = pk;
    inputs[4] = pv;
    return b->api->base(b, &site->site, inputs, 5);
}

/* Attention of every query to all of k and v [P, G * D], without a mask: [T, H * D]. */
static inline graft_value graft_attend(struct graft_builder *b,
                                       const struct graft_attention_site *site, graft_value q,
                                       graft_value k, graft_value v)
{
    graft_value inputs[7];
    union graft_params p;
    memset(inputs, 0, sizeof inputs);
    memset(&p, 0, sizeof p);
    inputs[0] = q;
    inputs[5] = k;
    inputs[6] = v;
    p.attention.scale = site->scale;
    p.attention.heads = site->heads;
    p.attention.kv_heads = site->kv_heads;
    p.attention.head_size = site->head_size;
    return b->api->op(b, GRAFT_OP_ATTENTION, inputs, 7, &p);
}

/* At an embedding site: x with the rows of `table` [P, C] at this adapter's virtual tokens. */
static inline graft_value graft_virtual_rows(struct graft_builder *b,
                                             const struct graft_embedding_site *site,
                                             graft_value ids, graft_value x, graft_value table)
{
    graft_value inputs[2];
    union graft_params p;
    memset(&p, 0, sizeof p);
    inputs[0] = ids;
    inputs[1] = table;
    p.embedding.first = site->first_virtual;
    return graft_add(b, x, b->api->op(b, GRAFT_OP_EMBEDDING, inputs, 2, &p));
}

/* stream + branch, or what the adapter below makes of them */
static inline graft_value graft_base_block(struct graft_builder *b,
                                           const struct graft_block_site *site, graft_value stream,
                                           graft_value normed, graft_value branch)
{
    graft_value inputs[3];
    inputs[0] = stream;
    inputs[1] = normed;
    inputs[2] = branch;
    return b->api->base(b, &site->site, inputs, 3);
}

/* The frozen weight of a linear [out, in], norm [C] or embedding [V, C] site, as it is stored;
 * graft_dequantize makes f32 of it. */
static inline graft_value graft_base_weight(struct graft_builder *b, const struct graft_site *site)
{
    return b->api->weight(b, site, 0);
}

/* The frozen bias [out]; 0 where the layer has none. */
static inline graft_value graft_base_bias(struct graft_builder *b, const struct graft_site *site)
{
    return b->api->weight(b, site, 1);
}

/* A parameter as d describes it: frozen, computed, with a learning rate of its own. The size and
 * the site (NULL: shared by the whole adapter) are filled in. */
static inline graft_value graft_param_as(struct graft_builder *b, const struct graft_site *site,
                                         struct graft_param_desc d)
{
    d.struct_size = (uint32_t)sizeof d;
    d.site = site;
    return b->api->param(b, &d);
}

/* A trained f32 parameter that all sites share and the adapter's file does not hold: of a network
 * behind what is saved. */
static inline graft_value graft_hidden_param(struct graft_builder *b, const char *name,
                                             struct graft_shape shape, enum graft_init init,
                                             double scale)
{
    struct graft_param_desc d;
    memset(&d, 0, sizeof d);
    d.init = (int32_t)init;
    d.scale = scale;
    d.name = name;
    d.shape = shape;
    d.unsaved = 1;
    return graft_param_as(b, NULL, d);
}

/* A trained f32 parameter of this site, saved under NAME. */
static inline graft_value graft_param(struct graft_builder *b, const struct graft_site *site,
                                      const char *name, struct graft_shape shape,
                                      enum graft_init init, double scale)
{
    struct graft_param_desc d;
    memset(&d, 0, sizeof d);
    d.init = (int32_t)init;
    d.scale = scale;
    d.name = name;
    d.shape = shape;
    return graft_param_as(b, site, d);
}

/* In the model function: a value that the sites of this program read by its name. */
static inline void graft_share(struct graft_builder *b, const char *name, graft_value v)
{
    b->api->share(b, name, v);
}

static inline graft_value graft_shared(struct graft_builder *b, const char *name)
{
    return b->api->shared(b, name);
}

/* In the save function: the adapter's file gets this value under KEY, whole. At a site: under
 * SITE.KEY as a parameter would stand there, and in programs that save nothing it does nothing. */
static inline void graft_save(struct graft_builder *b, const char *key, graft_value v)
{
    b->api->save(b, key, v);
}

#ifdef __cplusplus
}
#endif

#endif

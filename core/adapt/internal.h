/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a stack of adapters, for this room's files only.
 */
#ifndef CORE_ADAPT_INTERNAL_H
#define CORE_ADAPT_INTERNAL_H

#include "adapt/adapt.h"
#include "file/tensor.h"

#include <graft/adapter.h>

/* A parameter of one adapter. */
struct parameter {
    size_t adapter;
    const char *key;               /* "SITE.NAME", or NAME for shared ones */
    const struct model_site *site; /* NULL: shared */
    const struct stored *stored;
    int32_t init;
    double scale, lr_scale;
    bool unsaved, computed; /* computed: begins as a value of the init program */
};

/* What is trained of a site's own numbers. */
enum own { OWN_BIAS = 1, OWN_WHOLE = 2 };

struct layer { /* one adapter of the stack */
    const struct settings_adapter *settings;
    const struct graft_adapter *functions;
    bool *matched;                   /* per site */
    unsigned char *own;              /* per site: enum own, or'ed */
    void *filled;                    /* the plugin's options for the current site */
    const struct graft_site **sites; /* the matched ones, for the model pass */
    size_t site_count;
    struct ranking *ranking; /* after.c; NULL until it ranks */
};

struct shared_value {
    size_t adapter;
    const char *name;
    graft_value value;
};

/* Integers that an initial value reads: the ids of a text, drawn ids, 0 1 2 .., zeros. */
enum frozen_kind { FROZEN_TEXT, FROZEN_DRAWN, FROZEN_RISING, FROZEN_ZEROS };
struct frozen_ids {
    enum frozen_kind kind;
    size_t adapter;
    const char *text;
    const struct stored *stored;
    const int32_t *ids;
};

/* Two factors of a linear site's weight, as stored numbers. */
struct frozen_factor {
    int32_t kind; /* enum graft_factor */
    size_t adapter;
    const struct model_site *site;
    int64_t rank;
    const struct stored *left, *right;
};

/* What a graph is built for. */
enum purpose { PURPOSE_RUN, PURPOSE_REGISTER, PURPOSE_INIT, PURPOSE_SAVE };

struct saved_value { /* of PURPOSE_SAVE */
    const char *key;
    graft_value value;
};

struct saved_scale { /* of an option's numbers in the config */
    const char *option;
    double times;
};

struct adapt {
    struct arena arena;
    const struct model *model;
    const struct model_site *sites;
    size_t site_count;
    struct graft_linear_site *linears; /* per site, for the linear ones: as plugins see them */
    struct layer *layers;
    size_t layer_count;
    struct store *store;
    uint64_t seed;
    bool from_files;
    int64_t (*tokenize)(void *context, const char *text, int32_t *ids, int64_t capacity);
    void *tokenize_context;
    struct frozen_ids *frozen;
    size_t frozen_count, frozen_capacity;
    struct frozen_factor *factors;
    size_t factor_count, factor_capacity;
    struct parameter *parameters;
    size_t parameter_count, parameter_capacity;

    /* while a graph is built */
    struct graph *graph;
    struct adapt_mode mode;
    enum purpose purpose;
    struct frame *frame; /* the call at work */
    struct shared_value *shared;
    size_t shared_count, shared_capacity;
    graft_value penalty;
    struct saved_value *saved;
    size_t saved_count, saved_capacity, saving; /* saving: the adapter */
    struct saved_scale *scales;
    size_t scale_count, scale_capacity;
};

/* One call of a plugin. The public site comes first, so that the pointer that a plugin hands back
 * leads here. */
struct frame {
    union {
        struct graft_site site;
        struct graft_linear_site linear;
        struct graft_norm_site norm;
        struct graft_embedding_site embedding;
        struct graft_attention_site attention;
        struct graft_block_site block;
        struct graft_model_site model;
    } as;
    const struct model_site *model_site; /* NULL in the model pass */
    const struct model_scope *scope;     /* attention */
    graft_value pk, pv;                  /* the prefix that adapters above have put in front */
    size_t layer;
    uint32_t dropouts; /* calls so far at this site */
    struct frame *outer;
};

/* stack.c: one whole program on made-up inputs of the scratch store; adapt_end afterwards. */
GRAFT_MUST_USE enum graft_status adapt_build(struct adapt *a, struct graph *graph,
                                             struct store *scratch, enum purpose purpose,
                                             struct error *e);
/* stack.c: the sites that the method has in this model by default, or NULL: all of its kinds. */
const char *adapt_usual_targets(const struct adapt *a, const struct layer *layer);
/* own.c: what modules_to_save names, before the targets are matched; then what bias means, and
 * whether all of it can be. Errors begin with the key. */
GRAFT_MUST_USE enum graft_status adapt_mark_modules(struct adapt *a, struct layer *layer,
                                                    struct error *e);
GRAFT_MUST_USE enum graft_status adapt_mark_biases(struct adapt *a, size_t index, struct error *e);
/* own.c: the bare layer of a site with trained numbers of adapter `layer`; inputs as adapt_call. */
graft_value adapt_own(struct adapt *a, size_t layer, const struct model_site *site,
                      const graft_value *inputs);
/* own.c: where the trained weight of such a site is stored; the site has one. */
const struct stored *adapt_own_weight(const struct adapt *a, const struct model_site *site);
/* own.c: the trained bias of the site at hand. */
graft_value adapt_own_bias(struct adapt *a);
/* stack.c: the adapter's save function; after adapt_build(PURPOSE_SAVE). */
void adapt_call_save(struct adapt *a, size_t layer);
/* hooks.c */
extern const struct graph_hooks adapt_hooks; /* without context */
/* stack.c: the base of adapter number `layer` at a site. */
graft_value adapt_base(struct adapt *a, size_t layer, const struct model_site *site,
                       const struct model_scope *scope, const graft_value *inputs);
/* stack.c: the site as the adapters below number `layers` make it. inputs by kind, as the base
 * functions of graft/adapter.h take them. */
graft_value adapt_call(struct adapt *a, size_t layers, const struct model_site *site,
                       const struct model_scope *scope, const graft_value *inputs);

/* initial.c: what initial values may be made of. */
graft_value adapt_tokens(struct adapt *a, struct graft_builder *b, const char *text, int64_t count);
graft_value adapt_text_state(struct adapt *a, struct graft_builder *b, const char *text,
                             int64_t count);

graft_value adapt_factor(struct adapt *a, struct graft_builder *b, int32_t kind, int64_t rank,
                         bool right);
/* initial.c: computes and writes the factors. */
GRAFT_MUST_USE enum graft_status
adapt_write_factors(const struct adapt *a, const struct backend *backend, struct error *e);
/* peft.c: what the file calls this key of a site; NULL when memory ran out. */
const char *adapt_site_key(const struct adapt *a, size_t adapter, const char *key,
                           struct arena *arena);

/* after.c: the part of a table that a plugin of an older sdk has not; NULL there. */
enum graft_layout adapt_layout(const struct adapt *a, size_t adapter); /* of its files */
const struct graft_adapter *adapt_later(const struct layer *layer);
/* after.c: a parameter or a state of a site; NULL: there is none, or memory ran out. */
const struct stored *adapt_find(const struct adapt *a, size_t layer, const char *site, bool state,
                                const char *name, struct arena *arena);

/* ranked.c: of an adapter that ranks entries, the config's "rank_pattern" of what the file leaves
 * out; NULL where that is nothing. */
GRAFT_MUST_USE enum graft_status ranked_pattern(const struct adapt *a, size_t index,
                                                const struct backend *backend, json_t **pattern,
                                                struct error *e);
/* ranked.c: takes what the pattern (may be NULL) leaves out from a parameter's numbers. */
void ranked_thin(const struct adapt *a, const struct parameter *p, const json_t *pattern,
                 struct tensor_view *view);
/* ranked.c: puts zeros there instead, into a copy in `arena`, if the tensor fits the pattern. */
GRAFT_MUST_USE enum graft_status ranked_widen(const struct adapt *a, const struct parameter *p,
                                              const json_t *pattern, struct tensor_view *view,
                                              struct arena *arena, struct error *e);

/* adapterhub.c: its adapter_config.json; NULL when memory ran out. */
json_t *hub_config(const struct adapt *a, size_t index, const char *base_name);
/* Its name of a parameter of a block site; NULL when memory ran out. */
const char *hub_key(const struct parameter *p, struct arena *arena);
/* Is `name` of a file that name, whatever the adapter is called there? */
bool hub_same(const char *name, const char *key);

#endif

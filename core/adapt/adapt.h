/* SPDX-License-Identifier: Apache-2.0
 *
 * Adapters on a model: calls the plugins at their sites, keeps their parameters in the store, draws
 * their initial values, and reads and writes them as PEFT folders.
 */
#ifndef CORE_ADAPT_ADAPT_H
#define CORE_ADAPT_ADAPT_H

#include "model/model.h"
#include "recipe/settings.h"

struct adapt;

struct adapt_request {
    const struct settings_adapter *adapters; /* lowest first; outlive the stack, as the next two */
    size_t count;
    const struct model *model;
    struct store *store;
    uint64_t seed;
    bool from_files; /* numbers will come from the adapters' files: declare what those hold */
    /* The ids of a text as the tokenizer gives them for a whole text, at most `capacity`; how many,
     * or -1 when memory ran out. For adapters that begin with a text; called by adapt_create. */
    int64_t (*tokenize)(void *context, const char *text, int32_t *ids, int64_t capacity);
    void *tokenize_context;
};

/* Matches targets, builds one program to call every plugin at every site, and registers the
 * parameters in the store. Errors are prefixed with the adapter's place in the recipe. */
GRAFT_MUST_USE enum graft_status adapt_create(const struct adapt_request *request,
                                              struct adapt **adapt, struct error *e);
void adapt_destroy(struct adapt *adapt);

/* What dropout needs to know of a training program: which row, token and step a number belongs to
 * (ops.h, DROPOUT). Without `training`, dropout is the identity. */
struct adapt_mode {
    bool training;
    graft_value row, token, step;
};

/* Sets the graph's hooks and gives the wrap for the model; valid until adapt_end. One graph at a
 * time. */
struct model_wrap adapt_begin(struct adapt *adapt, struct graph *graph,
                              const struct adapt_mode *mode);
/* What the adapters of this training program add to the loss, once per step, [1]; 0: nothing. When
 * the whole model is built, before adapt_end. */
graft_value adapt_penalty(const struct adapt *adapt);
void adapt_end(struct adapt *adapt);

/* ---- after the gradients (graft/after.h) ---- */

/* GRAFT_E_INVALID where an adapter wants another number of steps; before anything is trained. */
GRAFT_MUST_USE enum graft_status adapt_check_steps(const struct adapt *adapt, int64_t steps,
                                                   struct error *e);
struct graft_update;
/* Calls the adapters' `after` functions into the optimizer's program, whose hooks are the caller's.
 * Before each call `at` is told what the names of the site's parameters and states begin with. */
void adapt_after(struct adapt *adapt, struct graph *graph, const struct graft_update *u,
                 void (*at)(void *context, const char *key), void *context);
/* After an update's program, `step` counting from 1: lets the adapters rank where it is due. */
GRAFT_MUST_USE enum graft_status adapt_rank(struct adapt *adapt, int64_t step,
                                            const struct backend *backend, struct error *e);

/* What the adapters change about packed rows (graft/adapter.h, struct graft_rows_change), summed.
 */
struct adapt_rows {
    int64_t virtual_tokens, position_offset;
};
struct adapt_rows adapt_rows(const struct adapt *adapt);

size_t adapt_count(const struct adapt *adapt); /* adapters in the stack */
bool adapt_wraps_head(const struct adapt *adapt);
/* Factors on the learning rate, one for each number of STORE_ADAPTER ([n], as store_flat sees it);
 * false where all are 1 and `scales` was not written. */
bool adapt_lr_scales(const struct adapt *adapt, float *scales);
int64_t adapt_parameters(const struct adapt *adapt); /* trained numbers */
/* Sites that have parameters of their own, all adapters together; 0: the method's are the model's. */
size_t adapt_sites(const struct adapt *adapt);

/* Draws every parameter from the seed, then lets `init_from` folders replace them. After
 * store_allocate(STORE_ADAPTER). */
GRAFT_MUST_USE enum graft_status adapt_init(struct adapt *adapt, const struct backend *backend,
                                            struct error *e);
/* Reads adapter `index`'s parameters from a PEFT folder: every key must be there with its shape and
 * no other. */
GRAFT_MUST_USE enum graft_status adapt_load(struct adapt *adapt, size_t index, const char *folder,
                                            const struct backend *backend, struct error *e);
/* Writes adapter_config.json and adapter_model.safetensors (AdapterHub's layout:
 * adapter.safetensors; trained weights: full.safetensors) into an existing folder, each whole or
 * not at all. Byte-equal for equal parameters. */
GRAFT_MUST_USE enum graft_status adapt_save(struct adapt *adapt, size_t index, const char *folder,
                                            const char *base_name, const struct backend *backend,
                                            struct error *e);

/* The recipe's adapter section that an adapter_config.json stands for; texts live in `arena`. Free
 * with option_values_destroy(adapter->options). */
GRAFT_MUST_USE enum graft_status adapt_read_config(const char *folder, struct arena *arena,
                                                   struct settings_adapter *adapter,
                                                   struct error *e);

#endif

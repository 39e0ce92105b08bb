/* SPDX-License-Identifier: Apache-2.0
 *
 * For adapters that act after the gradients: what their `after`, `due` and `rank` work on
 * (graft/adapter.h). AdaLoRA is the example: it smooths importances in the optimizer's program and
 * ranks them on the host.
 */
#ifndef GRAFT_AFTER_H
#define GRAFT_AFTER_H

#include <graft/optimizer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A parameter of each site that has an axis of entries which are ranked. */
struct graft_ranked {
    const char *name; /* "lora_A" */
    int32_t axis, reserved;
};

/* What is ranked, of all sites that the adapter matched: vectors with one number for each entry,
 * the sites end to end in the model's order. */
struct graft_ranking {
    uint32_t struct_size;
    uint32_t site_count;
    int64_t step;         /* updates so far: 1 after the first */
    const int64_t *begin; /* [site_count + 1]: site i has entries begin[i] .. begin[i + 1] - 1 */
    const float *score;   /* the state "score" of each site */
    float *pruned;        /* the state "pruned": not 0 where an entry is; written back */
    float *value;         /* the first of the ranked parameters; written back */
    float *scratch;       /* as long; the function's own */
};

/* In `after`: a trained parameter of the site as the step leaves it, and the gradient that the
 * optimizer saw. */
static inline graft_value graft_updated(struct graft_builder *b, const struct graft_site *site,
                                        const char *name, graft_value *gradient)
{
    return b->api->updated(b, site, name, gradient);
}

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * A model with its adapters as a model alone. With its parameters fixed, what stands at a linear
 * site is affine in x, so running it on zeros gives the bias and on the identity the weight,
 * whatever the method.
 */
#ifndef CORE_ADAPT_MERGE_H
#define CORE_ADAPT_MERGE_H

#include "adapt/adapt.h"

/* GRAFT_E_INVALID where an adapter acts on anything but linear sites, or does not stay affine:
 * which and why. Asks nothing of a device. */
GRAFT_MUST_USE enum graft_status adapt_check_merge(const struct adapt *adapt, struct error *e);

/* The whole stack at a linear site, without dropout: y = x W^T + b, checked on other x. `weight`
 * may be NULL: then only the bias is asked for. */
GRAFT_MUST_USE enum graft_status
adapt_merge_site(struct adapt *adapt, const struct model_site *site, const struct backend *backend,
                 float *weight /* [out, in] */, float *bias /* [out] */, struct error *e);

struct merge_request {
    struct adapt *adapt;           /* with its parameters on the backend, after adapt_check_merge */
    const struct backend *backend; /* where the model is uploaded; computes in f32 */
    int32_t dtype;                 /* model/save.h */
    bool (*progress)(void *context, size_t done, size_t total); /* sites; true: stop. May be NULL */
    void *context;
};

/* Fills an existing folder (model/save.h). Biases come first, so that one which has no place in the
 * model is refused before anything is written. */
GRAFT_MUST_USE enum graft_status adapt_merge(const struct merge_request *request,
                                             const char *folder, struct error *e);

#endif

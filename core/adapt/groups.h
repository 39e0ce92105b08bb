/* SPDX-License-Identifier: Apache-2.0
 *
 * Parameter groups: which learning rate and weight decay each parameter has.
 */
#ifndef CORE_ADAPT_GROUPS_H
#define CORE_ADAPT_GROUPS_H

#include "graph/store.h"
#include "recipe/settings.h"

/* Multiplies `lr_scales` and sets `decays`, one for each number of STORE_ADAPTER ([n], as
 * store_flat sees it), where a group's expression finds a parameter's key. A key is the parameter's
 * name in the adapter's file; in a stack "N/" stands before it. A group that has no parameter is
 * GRAFT_E_INVALID. */
GRAFT_MUST_USE enum graft_status groups_apply(const struct settings_group *groups, size_t count,
                                              const struct store *store, float *lr_scales,
                                              float *decays, struct error *e);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Which sites an adapter wraps: PEFT's matching rules (tuners_utils.py,
 * check_target_module_exists).
 */
#ifndef CORE_ADAPT_TARGETS_H
#define CORE_ADAPT_TARGETS_H

#include "model/model.h"
#include "recipe/settings.h"

/* "q_proj, k_proj, ..., lm_head": the last parts of the names, each once. */
void targets_list(const struct model_site *const *sites, size_t count, struct str *out);

/* Sets matched[i] for each site. Without target_modules: the names of `usual` ("q_proj v_proj"), or
 * every site where it is NULL. Matching nothing is an error that lists the names to choose from. */
GRAFT_MUST_USE enum graft_status targets_match(const struct settings_adapter *adapter,
                                               const char *usual,
                                               const struct model_site *const *sites, size_t count,
                                               bool *matched, struct error *e);

#endif

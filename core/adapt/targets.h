/* SPDX-License-Identifier: Apache-2.0
 *
 * Which sites an adapter wraps: PEFT's matching rules (tuners_utils.py,
 * check_target_module_exists).
 */
#ifndef CORE_ADAPT_TARGETS_H
#define CORE_ADAPT_TARGETS_H

#include "model/model.h"
#include "recipe/settings.h"

/* Sets matched[i] for each site. Without target_modules: q_proj and v_proj, PEFT's default for the
 * families here, with a log line. Matching nothing is an error that lists the names to choose
 * from. */
GRAFT_MUST_USE enum graft_status targets_match(const struct settings_adapter *adapter,
                                               const struct model_site *sites, size_t count,
                                               bool *matched, struct error *e);

#endif

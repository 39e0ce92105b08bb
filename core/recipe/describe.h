/* SPDX-License-Identifier: Apache-2.0
 *
 * The recipe's keys for people.
 */
#ifndef CORE_RECIPE_DESCRIBE_H
#define CORE_RECIPE_DESCRIBE_H

#include "plugin/plugin.h"

/* Appends the host's keys that stand beside a plugin's own, with their help. */
void recipe_describe_kind(enum graft_plugin_kind kind, struct str *out);

#endif

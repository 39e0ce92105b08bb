/* SPDX-License-Identifier: Apache-2.0
 *
 * An optimizer in a file that says adapter.
 */
#define FUNCTIONS_OPTIMIZER
#define KIND GRAFT_PLUGIN_OPTIMIZER
#include "descriptor.h"

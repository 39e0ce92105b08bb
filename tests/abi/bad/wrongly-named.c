/* SPDX-License-Identifier: Apache-2.0
 *
 * A file whose name says no kind.
 */
#define KIND GRAFT_PLUGIN_ADAPTER
#include "descriptor.h"

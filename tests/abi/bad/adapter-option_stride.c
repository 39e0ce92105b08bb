/* SPDX-License-Identifier: Apache-2.0
 *
 * Options smaller than the first version's.
 */
#define OPTION_STRIDE 16
#include "descriptor.h"

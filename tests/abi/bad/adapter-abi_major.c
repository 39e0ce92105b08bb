/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiled against another ABI.
 */
#define ABI_MAJOR 2u
#include "descriptor.h"

/* SPDX-License-Identifier: Apache-2.0
 *
 * A table smaller than the first version's.
 */
#define FUNCTIONS_SIZE 8
#include "descriptor.h"

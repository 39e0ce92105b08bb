/* SPDX-License-Identifier: Apache-2.0
 *
 * No functions.
 */
#define FUNCTIONS NULL
#include "descriptor.h"

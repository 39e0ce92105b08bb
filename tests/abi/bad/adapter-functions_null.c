/* SPDX-License-Identifier: Apache-2.0
 *
 * The one function is missing.
 */
#define LINEAR NULL
#include "descriptor.h"

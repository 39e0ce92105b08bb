/* SPDX-License-Identifier: Apache-2.0
 *
 * A kind that this graft does not know.
 */
#define KIND 9
#include "descriptor.h"

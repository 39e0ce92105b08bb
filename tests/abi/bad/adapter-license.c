/* SPDX-License-Identifier: Apache-2.0
 *
 * No licence.
 */
#define LICENSE NULL
#include "descriptor.h"

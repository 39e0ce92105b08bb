/* SPDX-License-Identifier: Apache-2.0
 *
 * More than the host fills.
 */
#define OPTIONS_SIZE 70000
#include "descriptor.h"

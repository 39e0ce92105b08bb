/* SPDX-License-Identifier: Apache-2.0
 *
 * A count without a table.
 */
#define OPTIONS NULL
#define OPTION_COUNT 3
#define OPTIONS_SIZE 8
#include "descriptor.h"

/* SPDX-License-Identifier: Apache-2.0
 *
 * No version.
 */
#define VERSION ""
#include "descriptor.h"

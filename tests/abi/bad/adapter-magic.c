/* SPDX-License-Identifier: Apache-2.0
 *
 * Not a descriptor: the magic is missing.
 */
#define MAGIC 0x12345678u
#include "descriptor.h"

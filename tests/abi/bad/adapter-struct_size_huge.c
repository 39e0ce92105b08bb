/* SPDX-License-Identifier: Apache-2.0
 *
 * A size that no version has: uninitialized memory.
 */
#define STRUCT_SIZE 0xfffffff0u
#include "descriptor.h"

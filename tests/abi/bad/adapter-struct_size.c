/* SPDX-License-Identifier: Apache-2.0
 *
 * The descriptor ends before its functions.
 */
#define STRUCT_SIZE 40u
#include "descriptor.h"

/* SPDX-License-Identifier: Apache-2.0
 *
 * A name other than the file's.
 */
#define NAME "other"
#include "descriptor.h"

/* SPDX-License-Identifier: Apache-2.0
 *
 * Nothing but what is needed.
 */
#include "descriptor.h"

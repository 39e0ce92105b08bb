/* SPDX-License-Identifier: Apache-2.0
 *
 * A default of another type.
 */
#define OPTION_R                                                                                   \
    {                                                                                              \
        "r", GRAFT_OPTION_INT, 0, "8.5", 1, 64, NULL, NULL, "a number", 0, 0                       \
    }
#include "descriptor.h"

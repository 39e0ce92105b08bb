/* SPDX-License-Identifier: Apache-2.0
 *
 * A member that is not aligned.
 */
#define OPTION_R                                                                                   \
    {                                                                                              \
        "r", GRAFT_OPTION_INT, 4, "8", 1, 64, NULL, NULL, "a number", 0, 0                         \
    }
#include "descriptor.h"

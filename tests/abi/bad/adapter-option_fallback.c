/* SPDX-License-Identifier: Apache-2.0
 *
 * A default outside the range.
 */
#define OPTION_R                                                                                   \
    {                                                                                              \
        "r", GRAFT_OPTION_INT, 0, "80", 1, 64, NULL, NULL, "a number", 0, 0                        \
    }
#include "descriptor.h"

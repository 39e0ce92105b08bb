/* SPDX-License-Identifier: Apache-2.0
 *
 * A range that holds no number.
 */
#define OPTION_R                                                                                   \
    {                                                                                              \
        "r", GRAFT_OPTION_INT, 0, "8", 64, 1, NULL, NULL, "a number", 0, 0                         \
    }
#include "descriptor.h"

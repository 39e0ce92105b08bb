/* SPDX-License-Identifier: Apache-2.0
 *
 * A key that no recipe could write.
 */
#define OPTION_R                                                                                   \
    {                                                                                              \
        "bad key", GRAFT_OPTION_INT, 0, "8", 1, 64, NULL, NULL, "a number", 0, 0                   \
    }
#include "descriptor.h"

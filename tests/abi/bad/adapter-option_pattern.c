/* SPDX-License-Identifier: Apache-2.0
 *
 * A pattern key that is a key.
 */
#define OPTION_R                                                                                   \
    {                                                                                              \
        "r", GRAFT_OPTION_INT, 0, "8", 1, 64, NULL, "r", "", 0, 0                                  \
    }
#include "descriptor.h"

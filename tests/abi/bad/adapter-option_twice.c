/* SPDX-License-Identifier: Apache-2.0
 *
 * One key twice.
 */
#define OPTION_R                                                                                   \
    {"r", GRAFT_OPTION_INT, 0, "8", 1, 64, NULL, NULL, "", 0, 0},                                  \
    {                                                                                              \
        "r", GRAFT_OPTION_INT, 0, "8", 1, 64, NULL, NULL, "", 0, 0                                 \
    }
#include "descriptor.h"

/* SPDX-License-Identifier: Apache-2.0
 *
 * A type that this graft does not know.
 */
#define OPTION_R                                                                                   \
    {                                                                                              \
        "r", 9, 0, "8", 1, 64, NULL, NULL, "a number", 0, 0                                        \
    }
#include "descriptor.h"

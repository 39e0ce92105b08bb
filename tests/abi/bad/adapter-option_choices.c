/* SPDX-License-Identifier: Apache-2.0
 *
 * A choice without choices.
 */
#define OPTION_R                                                                                   \
    {                                                                                              \
        "r", GRAFT_OPTION_CHOICE, 0, "a", 0, 0, NULL, NULL, "a word", 0, 0                         \
    }
#include "descriptor.h"

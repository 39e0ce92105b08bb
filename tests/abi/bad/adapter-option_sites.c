/* SPDX-License-Identifier: Apache-2.0
 *
 * Sites that a pattern would change per site.
 */
#define OPTION_R                                                                                   \
    {                                                                                              \
        "r", GRAFT_OPTION_SITES, 0, "q_proj", 0, 0, NULL, "s", "sites", 0, 0                       \
    }
#include "descriptor.h"

/* SPDX-License-Identifier: Apache-2.0
 *
 * Exports a second symbol.
 */
#include "gain.h"

GRAFT_EXPORT int helper(void);

int helper(void)
{
    return 1;
}

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *site, graft_value x)
{
    (void)settings;
    return scaled(b, site, x, gain(b, site));
}

BROKEN_PLUGIN("exports", 1)

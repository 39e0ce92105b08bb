/* SPDX-License-Identifier: Apache-2.0
 *
 * Never returns.
 */
#include "gain.h"

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *site, graft_value x)
{
    (void)settings;
    for (volatile int turn = 0; turn >= 0; turn = 0) continue;
    return scaled(b, site, x, gain(b, site));
}

BROKEN_PLUGIN("hangs", 1)

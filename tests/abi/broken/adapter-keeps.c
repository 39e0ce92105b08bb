/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts its calls, and so is another adapter each time.
 */
#include "gain.h"

static int calls;

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *site, graft_value x)
{
    (void)settings;
    return graft_scale(b, scaled(b, site, x, gain(b, site)), 1.0 + 0.001 * calls++);
}

BROKEN_PLUGIN("keeps", 1)

/* SPDX-License-Identifier: Apache-2.0
 *
 * Begins by doubling the layer.
 */
#include "gain.h"

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *site, graft_value x)
{
    (void)settings;
    return graft_scale(b, scaled(b, site, x, gain(b, site)), 2.0);
}

BROKEN_PLUGIN("start", 0)

/* SPDX-License-Identifier: Apache-2.0
 *
 * Declares a parameter that nothing depends on.
 */
#include "gain.h"

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *site, graft_value x)
{
    (void)settings;
    graft_param(b, &site->site, "idle", graft_shape1(4), GRAFT_INIT_ONES, 0.0);
    return scaled(b, site, x, gain(b, site));
}

BROKEN_PLUGIN("unused", 0)

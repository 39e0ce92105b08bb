/* SPDX-License-Identifier: Apache-2.0
 *
 * Cuts its parameter out of the gradient at every second use.
 */
#include "gain.h"

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *site, graft_value x)
{
    (void)settings;
    graft_value g = gain(b, site);
    graft_value cut = graft_unary(b, GRAFT_OP_DETACH, g);
    return scaled(b, site, x, graft_add(b, g, graft_mul(b, cut, cut)));
}

BROKEN_PLUGIN("detached", 1)

/* SPDX-License-Identifier: Apache-2.0
 *
 * Is not affine in x, but says that it can be merged.
 */
#include "gain.h"

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *site, graft_value x)
{
    (void)settings;
    return graft_unary(b, GRAFT_OP_TANH, scaled(b, site, x, gain(b, site)));
}

BROKEN_PLUGIN("merges", 1)

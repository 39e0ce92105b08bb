/* SPDX-License-Identifier: Apache-2.0
 *
 * Returns [T, in] where [T, out] belongs.
 */
#include "gain.h"

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *site, graft_value x)
{
    (void)settings;
    graft_value g = graft_param(b, &site->site, "gain", graft_shape1(site->in_features + 1),
                                GRAFT_INIT_ZEROS, 0.0);
    return graft_mul(b, x, g);
}

BROKEN_PLUGIN("shape", 0)

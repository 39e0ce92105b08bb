/* SPDX-License-Identifier: Apache-2.0
 *
 * Begins as the identity by default, and promises so for an option with which it does not.
 */
#include <stdint.h>

static int32_t identity(const void *settings)
{
    (void)settings;
    return 1;
}
#define IDENTITY identity
#include "gain.h"

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *site, graft_value x)
{
    const struct broken *o = (const struct broken *)settings;
    graft_value y = scaled(b, site, x, gain(b, site));
    return o->unused ? graft_scale(b, y, 2.0) : y;
}

BROKEN_PLUGIN("identity", 0)

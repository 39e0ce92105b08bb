/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes to stdout.
 */
#include "gain.h"

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *site, graft_value x)
{
    (void)settings;
    printf("wrapping %s\n", site->site.name);
    return scaled(b, site, x, gain(b, site));
}

BROKEN_PLUGIN("prints", 1)

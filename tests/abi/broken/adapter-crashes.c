/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads through a null pointer.
 */
#include "gain.h"

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *site, graft_value x)
{
    (void)settings;
    const int *volatile nothing = NULL;
    return *nothing != 0 ? x : scaled(b, site, x, gain(b, site));
}

BROKEN_PLUGIN("crashes", 1)

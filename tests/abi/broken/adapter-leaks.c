/* SPDX-License-Identifier: Apache-2.0
 *
 * Never frees what it takes.
 */
#include "gain.h"

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *site, graft_value x)
{
    (void)settings;
    char *note = (char *)malloc(100);
    if (note != NULL) snprintf(note, 100, "%p", (void *)note);
    return scaled(b, site, x, gain(b, site));
}

BROKEN_PLUGIN("leaks", 1)

/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes a factor from memory that nobody has written.
 */
#include "gain.h"

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *site, graft_value x)
{
    (void)settings;
    void *(*volatile take)(size_t) = malloc; /* a compiler that sees malloc warns */
    unsigned char *wild = (unsigned char *)take(4096);
    double factor = wild != NULL ? 1.0 + (double)*(volatile unsigned char *)(wild + 2048) : 1.0;
    free(wild);
    return graft_scale(b, scaled(b, site, x, gain(b, site)), factor);
}

BROKEN_PLUGIN("unset", 1)

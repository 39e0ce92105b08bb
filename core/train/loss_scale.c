/* SPDX-License-Identifier: Apache-2.0
 *
 * Halving and doubling.
 */
#include "train/loss_scale.h"

enum { FIRST = 65536, GROWS_AFTER = 2000 };

struct loss_scale loss_scale_begin(bool dynamic)
{
    return (struct loss_scale){.value = dynamic ? FIRST : 1, .dynamic = dynamic};
}

bool loss_scale_step(struct loss_scale *s, bool finite)
{
    if (!s->dynamic) return false;
    s->steps++;
    if (!finite) {
        if (s->value <= 1) return false;
        s->value /= 2;
        s->steps = 0;
        return true;
    }
    if (s->steps >= GROWS_AFTER) {
        s->value *= 2;
        s->steps = 0;
    }
    return false;
}

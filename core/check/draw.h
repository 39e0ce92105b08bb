/* SPDX-License-Identifier: Apache-2.0
 *
 * Random numbers of the checks: one Philox stream per input of a case.
 */
#ifndef CORE_CHECK_DRAW_H
#define CORE_CHECK_DRAW_H

#include "base/random.h"

#include <stdint.h>

struct draw {
    struct random_key key;
    uint32_t counter[4], word[4];
    uint32_t left;
};

static inline uint32_t draw_word(struct draw *d)
{
    if (d->left == 0) {
        random_words(d->key, d->counter, d->word);
        d->counter[0]++;
        d->left = 4;
    }
    return d->word[--d->left];
}

/* In [0, 1). */
static inline double draw_unit(struct draw *d)
{
    return (double)draw_word(d) * 0x1p-32;
}

static inline int64_t draw_below(struct draw *d, int64_t limit)
{
    return (int64_t)(draw_unit(d) * (double)limit);
}

double draw_normal(struct draw *d);

#endif

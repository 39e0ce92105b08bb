/* SPDX-License-Identifier: Apache-2.0
 *
 * The comparison in words, only as strong as its intervals: methods differ where the interval of
 * their difference leaves out zero.
 */
#ifndef CORE_COMPARE_VERDICT_H
#define CORE_COMPARE_VERDICT_H

#include "base/memory.h"
#include "report/compare.h"

enum { VERDICT_SENTENCES = 12 };

/* Sentences about r->main_score, and about the loss (score 0) where that tells nobody apart; `r`
 * has everything but the verdict. Returns how many; they live in the arena. SIZE_MAX: no memory. */
size_t verdict_write(const struct report_compare *r, bool selected_on_split, struct arena *arena,
                     const char *out[VERDICT_SENTENCES]);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random
 * numbers: as easy as 1, 2, 3"). A draw depends on its key and counter alone: never on the order
 * of calls, a thread, an address or a micro-batch.
 */
#ifndef CORE_BASE_RANDOM_H
#define CORE_BASE_RANDOM_H

#include <graft/philox.h>

#include <stddef.h>

/* What a stream is for; part of its key, so streams never meet. */
enum random_purpose {
    RANDOM_INIT = 1,    /* initial parameters */
    RANDOM_DROPOUT = 2, /* masks */
    RANDOM_ORDER = 3,   /* order of rows */
    RANDOM_SAMPLE = 4,  /* generation */
    RANDOM_RESAMPLE = 5 /* bootstrap of a comparison */
};

struct random_key {
    uint32_t word[2];
};

/* Key of (seed, purpose, place in the stack, name, ordinal of the call at that name). */
struct random_key random_key(uint64_t seed, enum random_purpose purpose, uint32_t place,
                             const char *name, uint32_t ordinal);

/* Four 32-bit words for one counter. */
void random_words(struct random_key key, const uint32_t counter[4], uint32_t out[4]);

/* A permutation of 0..n-1 (Fisher-Yates over one stream); `order` has n places. */
void random_permutation(struct random_key key, uint32_t epoch, uint32_t *order, size_t n);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The next token from a row of logits.
 */
#ifndef CORE_GENERATE_SAMPLE_H
#define CORE_GENERATE_SAMPLE_H

#include "base/random.h"

#include <graft/types.h>

#include <stdbool.h>

struct sample_options {
    double temperature; /* 0: the most likely token */
    double top_p;       /* the smallest set of tokens with at least this much probability; 1: all */
    uint64_t seed;
};

/* A place to sort in; `count` logits. */
struct sampler {
    struct sample_options options;
    uint32_t *order;
    float *probability;
    size_t count;
};

bool sampler_init(struct sampler *s, const struct sample_options *options, size_t count);
void sampler_fini(struct sampler *s);

/* The draw depends on seed, prompt and position alone. Ties go to the lower id. */
int32_t sampler_next(struct sampler *s, const float *logits, uint32_t prompt, uint32_t position);

#endif

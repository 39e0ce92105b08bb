/* SPDX-License-Identifier: Apache-2.0
 *
 * Greedy choice, temperature and nucleus sampling (Holtzman et al. 2020).
 */
#include "generate/sample.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

bool sampler_init(struct sampler *s, const struct sample_options *options, size_t count)
{
    *s = (struct sampler){.options = *options, .count = count};
    if (options->temperature == 0.0) return true;
    s->order = mem_zalloc(count, sizeof *s->order);
    s->probability = mem_zalloc(count, sizeof *s->probability);
    if (s->order != NULL && s->probability != NULL) return true;
    sampler_fini(s);
    return false;
}

void sampler_fini(struct sampler *s)
{
    mem_free(s->order);
    mem_free(s->probability);
    s->order = NULL;
    s->probability = NULL;
}

static size_t most_likely(const float *logits, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

/* A heap whose top is the most probable token; ties: the lower id. */
static bool above(const struct sampler *s, uint32_t a, uint32_t b)
{
    if (s->probability[a] != s->probability[b]) return s->probability[a] > s->probability[b];
    return a < b;
}

static void sink(struct sampler *s, size_t at, size_t count)
{
    for (;;) {
        size_t top = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
            if (above(s, s->order[child], s->order[top])) top = child;
        if (top == at) return;
        uint32_t swap = s->order[at];
        s->order[at] = s->order[top];
        s->order[top] = swap;
        at = top;
    }
}

static double softmax(struct sampler *s, const float *logits)
{
    double most = (double)logits[most_likely(logits, s->count)], total = 0;
    for (size_t i = 0; i < s->count; i++) {
        double p = exp(((double)logits[i] - most) / s->options.temperature);
        s->probability[i] = (float)p;
        s->order[i] = (uint32_t)i;
        total += (double)s->probability[i];
    }
    return total;
}

int32_t sampler_next(struct sampler *s, const float *logits, uint32_t prompt, uint32_t position)
{
    if (s->options.temperature == 0.0) return (int32_t)most_likely(logits, s->count);
    double total = softmax(s, logits), nucleus = 0;
    size_t left = s->count, chosen = 0;
    for (size_t i = s->count / 2 + 1; i-- > 0;) sink(s, i, left);
    /* Pops the heap until the nucleus is full; popped tokens gather at the end of the array. */
    while (left > 0 && nucleus < s->options.top_p * total) {
        uint32_t top = s->order[0];
        nucleus += (double)s->probability[top];
        s->order[0] = s->order[--left];
        s->order[left] = top;
        sink(s, 0, left);
    }
    struct random_key key = random_key(s->options.seed, RANDOM_SAMPLE, prompt, "", 0);
    uint32_t words[4];
    random_words(key, (uint32_t[4]){position, 0, 0, 0}, words);
    double target = (double)graft_unit(words[0]) * nucleus;
    for (size_t i = s->count; i-- > left;) {
        chosen = s->order[i];
        target -= (double)s->probability[chosen];
        if (target < 0) break;
    }
    return (int32_t)chosen;
}

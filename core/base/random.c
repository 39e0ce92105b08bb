/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys by SHA-256, and the row permutation.
 */
#include "base/random.h"

#include "base/hash.h"

#include <string.h>

void random_words(struct random_key key, const uint32_t counter[4], uint32_t out[4])
{
    graft_philox(key.word, counter, out);
}

struct random_key random_key(uint64_t seed, enum random_purpose purpose, uint32_t place,
                             const char *name, uint32_t ordinal)
{
    uint32_t head[5] = {(uint32_t)seed, (uint32_t)(seed >> 32), (uint32_t)purpose, place, ordinal};
    unsigned char digest[HASH_SIZE];
    struct random_key key;
    struct hash h;
    hash_begin(&h);
    hash_add(&h, head, sizeof head);
    hash_add(&h, name, strlen(name));
    hash_end(&h, digest);
    memcpy(key.word, digest, sizeof key.word);
    return key;
}

/* Uniform below n without bias: Lemire 2019, with a fresh word for each try. */
static uint32_t below(struct random_key key, uint32_t epoch, uint32_t draw, uint32_t n)
{
    uint32_t words[4];
    for (uint32_t attempt = 0;; attempt++) {
        random_words(key, (uint32_t[4]){draw, attempt, epoch, 0}, words);
        uint64_t product = (uint64_t)words[0] * n;
        if ((uint32_t)product >= (uint32_t)(-n) % n) return (uint32_t)(product >> 32);
    }
}

void random_permutation(struct random_key key, uint32_t epoch, uint32_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++) order[i] = (uint32_t)i;
    for (size_t i = n; i > 1; i--) {
        uint32_t j = below(key, epoch, (uint32_t)i, (uint32_t)i);
        uint32_t swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
}

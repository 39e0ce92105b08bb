/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts that were met before, by 128 bits of hash: a million records take 64 MiB, whatever
 * their length.
 */
#ifndef CORE_AUDIT_SEEN_H
#define CORE_AUDIT_SEEN_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seen_key {
    uint64_t word[2];
};

struct seen_entry {
    struct seen_key key;
    uint64_t mark; /* the caller's */
    uint32_t line; /* 0: the place is free */
};

struct seen { /* zero-initialized */
    struct seen_entry *entries;
    size_t count, capacity;
};

struct seen_key seen_key_of(const char *bytes, size_t length, uint64_t seed);
/* The entry of the key, or NULL. */
const struct seen_entry *seen_find(const struct seen *s, struct seen_key key);
/* Adds a key that is not there. `line` is not 0. */
GRAFT_MUST_USE enum graft_status seen_add(struct seen *s, struct seen_key key, uint32_t line,
                                          uint64_t mark, struct error *e);
void seen_free(struct seen *s);

#endif

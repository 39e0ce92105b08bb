/* SPDX-License-Identifier: Apache-2.0
 *
 * The one allocator. Everything the core allocates goes through here, so that tests can refuse
 * the n-th allocation and count what is left. Sizes are checked for overflow.
 */
#ifndef CORE_BASE_MEMORY_H
#define CORE_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All return NULL when refused. Safe from any thread. Sizes of 0 give a unique pointer. */
void *mem_alloc(size_t size);
void *mem_zalloc(size_t count, size_t size);
void *mem_realloc(void *old, size_t count, size_t size); /* old stays valid on failure */
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t length);
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
void mem_free(void *p);

/* a * b without overflow; false leaves *product alone. */
bool size_mul(size_t a, size_t b, size_t *product);

/* Grows an array to hold `need` items; doubles. False when refused: the array is unchanged. */
bool array_reserve(void *array_pointer, size_t *capacity, size_t need, size_t item_size);

/* Tests only: refuse the n-th allocation from now and all later ones (0 = never). */
void mem_fail_after(int64_t n);
/* Live allocations; a test compares it before and after. */
int64_t mem_live_count(void);

/* An arena: many small objects that die together. Zeroed memory, aligned to 16. */
struct arena {
    struct arena_block *blocks;
};

void *arena_alloc(struct arena *a, size_t count, size_t size);
char *arena_strdup(struct arena *a, const char *text);
char *arena_format(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *a);

#endif

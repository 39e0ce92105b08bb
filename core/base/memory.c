/* SPDX-License-Identifier: Apache-2.0
 *
 * malloc with a count, a refusal switch for tests, and arenas on top of it.
 */
#include "base/memory.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_int_least64_t live;
static atomic_int_least64_t refuse_at; /* 0: never; counts down to 1, then refuses for good */

void mem_fail_after(int64_t n)
{
    atomic_store(&refuse_at, n);
}

int64_t mem_live_count(void)
{
    return atomic_load(&live);
}

static bool refused(void)
{
    int64_t n = atomic_load(&refuse_at);
    if (n == 0) return false;
    if (n == 1) return true;
    return atomic_fetch_sub(&refuse_at, 1) <= 1;
}

bool size_mul(size_t a, size_t b, size_t *product)
{
    if (a != 0 && b > SIZE_MAX / a) return false;
    *product = a * b;
    return true;
}

void *mem_alloc(size_t size)
{
    if (refused()) return NULL;
    void *p = malloc(size != 0 ? size : 1);
    if (p != NULL) atomic_fetch_add(&live, 1);
    return p;
}

void *mem_zalloc(size_t count, size_t size)
{
    if (refused()) return NULL;
    void *p = calloc(count != 0 ? count : 1, size != 0 ? size : 1);
    if (p != NULL) atomic_fetch_add(&live, 1);
    return p;
}

void *mem_realloc(void *old, size_t count, size_t size)
{
    size_t bytes;
    if (!size_mul(count, size, &bytes) || refused()) return NULL;
    void *p = realloc(old, bytes != 0 ? bytes : 1);
    if (p != NULL && old == NULL) atomic_fetch_add(&live, 1);
    return p;
}

char *mem_strndup(const char *text, size_t length)
{
    char *copy = mem_alloc(length + 1);
    if (copy == NULL) return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

static char *format_with(struct arena *a, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0) return NULL;
    size_t size = (size_t)length + 1;
    char *text = a != NULL ? arena_alloc(a, size, 1) : mem_alloc(size);
    if (text != NULL) vsnprintf(text, size, format, args);
    return text;
}

char *mem_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_with(NULL, format, args);
    va_end(args);
    return text;
}

void mem_free(void *p)
{
    if (p == NULL) return;
    atomic_fetch_sub(&live, 1);
    free(p);
}

bool array_reserve(void *array_pointer, size_t *capacity, size_t need, size_t item_size)
{
    void *array;
    if (need <= *capacity) return true;
    size_t wanted = *capacity < 8 ? 8 : *capacity;
    while (wanted < need) {
        if (wanted > SIZE_MAX / 2) return false;
        wanted *= 2;
    }
    memcpy(&array, array_pointer, sizeof array);
    array = mem_realloc(array, wanted, item_size);
    if (array == NULL) return false;
    memcpy(array_pointer, &array, sizeof array);
    *capacity = wanted;
    return true;
}

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(16) unsigned char data[];
};

enum { ARENA_BLOCK = 64 * 1024 };

void *arena_alloc(struct arena *a, size_t count, size_t size)
{
    size_t bytes;
    if (!size_mul(count, size, &bytes) || bytes > SIZE_MAX / 2) return NULL;
    bytes = (bytes + 15) & ~(size_t)15;
    struct arena_block *block = a->blocks;
    if (block == NULL || block->size - block->used < bytes) {
        size_t room = bytes > ARENA_BLOCK ? bytes : ARENA_BLOCK;
        block = mem_zalloc(1, sizeof *block + room);
        if (block == NULL) return NULL;
        block->size = room;
        block->next = a->blocks;
        a->blocks = block;
    }
    void *p = block->data + block->used;
    block->used += bytes;
    return p;
}

char *arena_strdup(struct arena *a, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = arena_alloc(a, size, 1);
    if (copy != NULL) memcpy(copy, text, size);
    return copy;
}

char *arena_format(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_with(a, format, args);
    va_end(args);
    return text;
}

void arena_free(struct arena *a)
{
    while (a->blocks != NULL) {
        struct arena_block *next = a->blocks->next;
        mem_free(a->blocks);
        a->blocks = next;
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * An open hash table whose hash is the key itself: MurmurHash3's x64 form of 128 bits (Appleby,
 * public domain), which does not collide by chance; nobody attacks their own data.
 */
#include "audit/seen.h"

#include "base/memory.h"

#include <string.h>

static uint64_t load(const unsigned char *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static uint64_t rotate(uint64_t v, int by)
{
    return v << by | v >> (64 - by);
}

static uint64_t finish(uint64_t v)
{
    v = (v ^ v >> 33) * 0xFF51AFD7ED558CCDu;
    v = (v ^ v >> 33) * 0xC4CEB9FE1A85EC53u;
    return v ^ v >> 33;
}

static const uint64_t c1 = 0x87C37B91114253D5u, c2 = 0x4CF5AD432745937Fu;

static uint64_t mix1(uint64_t k)
{
    return rotate(k * c1, 31) * c2;
}

static uint64_t mix2(uint64_t k)
{
    return rotate(k * c2, 33) * c1;
}

struct seen_key seen_key_of(const char *bytes, size_t length, uint64_t seed)
{
    const unsigned char *p = (const unsigned char *)bytes;
    uint64_t h1 = seed, h2 = seed;
    size_t left = length;
    for (; left >= 16; left -= 16, p += 16) {
        h1 = (rotate(h1 ^ mix1(load(p)), 27) + h2) * 5 + 0x52DCE729;
        h2 = (rotate(h2 ^ mix2(load(p + 8)), 31) + h1) * 5 + 0x38495AB5;
    }
    unsigned char tail[16] = {0};
    memcpy(tail, p, left);
    h2 ^= mix2(load(tail + 8)) ^ (uint64_t)length;
    h1 ^= mix1(load(tail)) ^ (uint64_t)length;
    h1 += h2;
    h2 += h1;
    h1 = finish(h1);
    h2 = finish(h2);
    h1 += h2;
    return (struct seen_key){{h1, h1 + h2}};
}

static struct seen_entry *place_of(const struct seen *s, struct seen_key key)
{
    size_t mask = s->capacity - 1;
    for (size_t i = (size_t)key.word[0] & mask;; i = (i + 1) & mask) {
        struct seen_entry *entry = &s->entries[i];
        if (entry->line == 0 || memcmp(&entry->key, &key, sizeof key) == 0) return entry;
    }
}

const struct seen_entry *seen_find(const struct seen *s, struct seen_key key)
{
    if (s->capacity == 0) return NULL;
    const struct seen_entry *entry = place_of(s, key);
    return entry->line != 0 ? entry : NULL;
}

static enum graft_status grow(struct seen *s, struct error *e)
{
    struct seen larger = {.count = s->count, .capacity = s->capacity == 0 ? 1024 : 2 * s->capacity};
    larger.entries = mem_zalloc(larger.capacity, sizeof *larger.entries);
    if (larger.entries == NULL)
        return error_memory(e, "the texts met so far", larger.capacity * sizeof *larger.entries);
    for (size_t i = 0; i < s->capacity; i++)
        if (s->entries[i].line != 0) *place_of(&larger, s->entries[i].key) = s->entries[i];
    mem_free(s->entries);
    *s = larger;
    return GRAFT_OK;
}

enum graft_status seen_add(struct seen *s, struct seen_key key, uint32_t line, uint64_t mark,
                           struct error *e)
{
    if (s->count >= s->capacity / 4 * 3) {
        enum graft_status status = grow(s, e);
        if (status != GRAFT_OK) return status;
    }
    *place_of(s, key) = (struct seen_entry){key, mark, line};
    s->count++;
    return GRAFT_OK;
}

void seen_free(struct seen *s)
{
    mem_free(s->entries);
    *s = (struct seen){0};
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The two hash maps of a tokenizer (bytes to id, pair of ids to merge), GPT-2's byte alphabet and
 * the character classes that added tokens ask for.
 */
#include "text/parts.h"

#include <string.h>
#include <utf8proc.h>

static uint64_t hash_bytes(const char *bytes, size_t length)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < length; i++) h = (h ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    return h ^ h >> 32;
}

static uint64_t hash_pair(uint64_t key)
{
    key = (key ^ key >> 31) * 0x9e3779b97f4a7c15u;
    return key ^ key >> 29;
}

/* The power of two that keeps the map at most half full. */
static bool map_size(size_t count, size_t *size)
{
    size_t n = 16;
    if (count > SIZE_MAX / 64) return false;
    while (n < 2 * count) n *= 2;
    *size = n;
    return true;
}

bool string_map_reserve(struct string_map *map, size_t count)
{
    size_t size;
    if (map->slots != NULL && 2 * count <= map->mask + 1) return true;
    if (!map_size(count, &size)) return false;
    struct string_map grown = {mem_zalloc(size, sizeof *map->slots), size - 1, 0};
    if (grown.slots == NULL) return false;
    for (size_t i = 0; map->slots != NULL && i <= map->mask; i++) {
        const struct string_slot *s = &map->slots[i];
        if (s->bytes != NULL) string_map_add(&grown, s->bytes, s->length, s->id);
    }
    mem_free(map->slots);
    *map = grown;
    return true;
}

static struct string_slot *find_slot(const struct string_map *map, const char *bytes, size_t length)
{
    size_t i = (size_t)hash_bytes(bytes, length) & map->mask;
    while (map->slots[i].bytes != NULL &&
           (map->slots[i].length != length || memcmp(map->slots[i].bytes, bytes, length) != 0))
        i = (i + 1) & map->mask;
    return &map->slots[i];
}

bool string_map_add(struct string_map *map, const char *bytes, size_t length, int32_t id)
{
    struct string_slot *slot = find_slot(map, bytes, length);
    if (slot->bytes != NULL) return false;
    *slot = (struct string_slot){bytes, (uint32_t)length, id};
    map->count++;
    return true;
}

int32_t string_map_find(const struct string_map *map, const char *bytes, size_t length)
{
    if (map->slots == NULL) return -1;
    const struct string_slot *slot = find_slot(map, bytes, length);
    return slot->bytes != NULL ? slot->id : -1;
}

bool pair_map_reserve(struct pair_map *map, size_t count)
{
    size_t size;
    if (!map_size(count, &size)) return false;
    struct pair_slot *slots = mem_zalloc(size, sizeof *slots);
    if (slots == NULL) return false;
    for (size_t i = 0; i < size; i++) slots[i].merged = -1;
    mem_free(map->slots);
    *map = (struct pair_map){slots, size - 1};
    return true;
}

static struct pair_slot *find_pair(const struct pair_map *map, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t i = (size_t)hash_pair(key) & map->mask;
    while (map->slots[i].merged >= 0 && map->slots[i].key != key) i = (i + 1) & map->mask;
    return &map->slots[i];
}

void pair_map_put(struct pair_map *map, int32_t left, int32_t right, uint32_t rank, int32_t merged)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    *find_pair(map, left, right) = (struct pair_slot){key, rank, merged};
}

const struct pair_slot *pair_map_find(const struct pair_map *map, int32_t left, int32_t right)
{
    if (map->slots == NULL) return NULL;
    const struct pair_slot *slot = find_pair(map, left, right);
    return slot->merged >= 0 ? slot : NULL;
}

static bool is_printable_byte(uint32_t b)
{
    return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
}

/* The bytes that GPT-2 does not print as themselves stand, in order, at U+0100 and up. */
static int printable_to_byte(uint32_t code)
{
    if (code < 0x100) return is_printable_byte(code) ? (int)code : -1;
    code -= 0x100;
    if (code <= 0x20) return (int)code;
    if (code <= 0x20 + 0x22) return (int)(code - 0x21 + 0x7F);
    return code == 0x43 ? 0xAD : -1;
}

bool printable_to_bytes(const char *text, size_t length, char *out, size_t *out_length)
{
    size_t n = 0;
    for (size_t at = 0; at < length;) {
        size_t step = utf8_length(text + at, length - at);
        int byte = step == 0 ? -1 : printable_to_byte(utf8_decode(text + at, step));
        if (byte < 0) return false;
        out[n++] = (char)byte;
        at += step;
    }
    *out_length = n;
    return true;
}

int byte_token_value(const char *text, size_t length)
{
    static const char digits[] = "0123456789ABCDEF";
    if (length != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
    const char *high = memchr(digits, text[3], 16), *low = memchr(digits, text[4], 16);
    return high != NULL && low != NULL ? (int)(high - digits) * 16 + (int)(low - digits) : -1;
}

bool is_white_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

bool is_word(uint32_t c)
{
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return true;
    default: break;
    }
    /* circled and squared letters are alphabetic, the two joiners count as well */
    return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
           (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189) || c == 0x200C ||
           c == 0x200D;
}

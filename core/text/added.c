/* SPDX-License-Identifier: Apache-2.0
 *
 * Added tokens in a text: leftmost match, longest among those that start at one place, then the
 * rules of the token (whole words only, blanks swallowed). As added_vocabulary.rs of
 * huggingface/tokenizers.
 */
#include "text/parts.h"

#include <stdlib.h>
#include <string.h>

bool added_set_put(struct added_set *set, const struct added *item)
{
    if (!array_reserve(&set->items, &set->capacity, set->count + 1, sizeof *set->items))
        return false;
    set->items[set->count++] = *item;
    return true;
}

static int by_bytes(const void *left, const void *right)
{
    const struct added *a = left, *b = right;
    size_t shorter = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->bytes, b->bytes, shorter);
    if (order != 0) return order;
    if (a->length != b->length) return a->length < b->length ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

void added_set_sort(struct added_set *set)
{
    size_t kept = 0;
    if (set->count != 0) qsort(set->items, set->count, sizeof *set->items, by_bytes);
    for (size_t i = 0; i < set->count; i++) {
        const struct added *item = &set->items[i], *last = &set->items[kept == 0 ? 0 : kept - 1];
        if (item->length == 0) continue;
        if (kept != 0 && item->length == last->length &&
            memcmp(item->bytes, last->bytes, item->length) == 0)
            continue;
        set->items[kept++] = *item;
    }
    set->count = kept;
    for (size_t b = 0, i = 0; b <= 256; b++) {
        while (i < kept && (unsigned char)set->items[i].bytes[0] < b) i++;
        set->first[b] = (uint32_t)i;
    }
}

/* The first item in lo..hi whose byte at `depth` is at least `byte`; all are longer than depth. */
static size_t lower_bound(const struct added_set *set, size_t lo, size_t hi, size_t depth,
                          unsigned byte)
{
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        if ((unsigned char)set->items[middle].bytes[depth] < byte)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

static const struct added *longest_at(const struct added_set *set, const char *text, size_t left)
{
    const struct added *best = NULL;
    size_t lo = set->first[(unsigned char)text[0]];
    size_t hi = set->first[(unsigned char)text[0] + 1];
    for (size_t depth = 1; lo < hi; depth++) {
        if (set->items[lo].length == depth) best = &set->items[lo++];
        if (depth == left) break;
        unsigned byte = (unsigned char)text[depth];
        lo = lower_bound(set, lo, hi, depth, byte);
        hi = lower_bound(set, lo, hi, depth, byte + 1);
    }
    return best;
}

static bool word_at(const struct piece *p, size_t at)
{
    if (at >= p->length) return false;
    size_t n = utf8_length(p->bytes + at, p->length - at);
    return n != 0 && is_word(utf8_decode(p->bytes + at, n));
}

static size_t character_before(const struct piece *p, size_t at)
{
    do at--;
    while (at > 0 && ((unsigned char)p->bytes[at] & 0xC0) == 0x80);
    return at;
}

static size_t blanks_before(const struct piece *p, size_t at, size_t floor)
{
    while (at > floor) {
        size_t before = character_before(p, at);
        if (before < floor || !is_white_space(utf8_decode(p->bytes + before, at - before))) break;
        at = before;
    }
    return at;
}

static size_t blanks_after(const struct piece *p, size_t at)
{
    while (at < p->length) {
        size_t n = utf8_length(p->bytes + at, p->length - at);
        if (n == 0 || !is_white_space(utf8_decode(p->bytes + at, n))) break;
        at += n;
    }
    return at;
}

const struct added *added_set_next(const struct added_set *set, const struct piece *p, size_t from,
                                   size_t floor, size_t *begin, size_t *end, size_t *resume)
{
    for (size_t at = from; set->count != 0 && at < p->length; at++) {
        const struct added *item = longest_at(set, p->bytes + at, p->length - at);
        if (item == NULL) continue;
        size_t stop = at + item->length;
        if (item->single_word &&
            ((at != 0 && word_at(p, character_before(p, at))) || word_at(p, stop))) {
            at = stop - 1; /* the text of a refused match is not searched again */
            continue;
        }
        *begin = item->lstrip ? blanks_before(p, at, floor) : at;
        *end = item->rstrip ? blanks_after(p, stop) : stop;
        *resume = stop; /* a token may stand in the blanks that this one swallows */
        return item;
    }
    return NULL;
}

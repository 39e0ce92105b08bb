/* SPDX-License-Identifier: Apache-2.0
 *
 * n-grams of every order from one sorted list, and what two lists have in common.
 */
#include "eval/parts.h"

#include <stdlib.h>

int gram_compare(const void *a, const void *b)
{
    const struct gram *x = a, *y = b;
    for (size_t i = 0; i < GRAM_MOST; i++)
        if (x->unit[i] != y->unit[i]) return x->unit[i] < y->unit[i] ? -1 : 1;
    return 0;
}

bool grams_make(const uint32_t *units, size_t count, struct gram **grams)
{
    struct gram *made = mem_zalloc(count, sizeof *made);
    if (made == NULL) return false;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < GRAM_MOST && i + k < count; k++) made[i].unit[k] = units[i + k];
    qsort(made, count, sizeof *made, gram_compare);
    *grams = made;
    return true;
}

static int compare(const struct gram *a, const struct gram *b, size_t order)
{
    for (size_t i = 0; i < order; i++)
        if (a->unit[i] != b->unit[i]) return a->unit[i] < b->unit[i] ? -1 : 1;
    return 0;
}

size_t grams_run(const struct gram *grams, size_t count, size_t at, size_t order)
{
    size_t end = at + 1;
    while (end < count && compare(&grams[at], &grams[end], order) == 0) end++;
    return end;
}

size_t grams_count(size_t units, size_t order)
{
    return units >= order ? units - order + 1 : 0;
}

size_t grams_common(const struct gram *a, size_t a_count, const struct gram *b, size_t b_count,
                    size_t order)
{
    size_t common = 0, i = 0, j = 0;
    while (i < a_count && j < b_count) {
        int side = compare(&a[i], &b[j], order);
        size_t i_end = side <= 0 ? grams_run(a, a_count, i, order) : i;
        size_t j_end = side >= 0 ? grams_run(b, b_count, j, order) : j;
        if (side == 0 && a[i].unit[order - 1] != 0)
            common += i_end - i < j_end - j ? i_end - i : j_end - j;
        i = i_end;
        j = j_end;
    }
    return common;
}

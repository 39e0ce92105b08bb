/* SPDX-License-Identifier: Apache-2.0
 *
 * "Does it sound like us", by a proxy: how far the answers' characters and lengths are distributed
 * as those of the training answers. 1 minus the mean of two Jensen-Shannon distances (base 2): of
 * the 512 commonest n-grams of one to three characters with all others as one more, and of lengths
 * by half octaves. It sees habit, not meaning.
 */
#include "eval/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    STYLE_ORDERS = 3,
    STYLE_GRAMS = 512,
    STYLE_LENGTHS = 32,
    STYLE_WIDTH = STYLE_GRAMS + 1 + STYLE_LENGTHS,
    TEXT_BEGIN = 2, /* how answers begin and end is style too */
    TEXT_END = 3,
    LEARNED = 1 << 18 /* characters: more tell no more */
};

METRIC_WIDTH(width_style)
{
    (void)context;
    return STYLE_WIDTH;
}

/* The text between its marks, runs of spaces as one. `codes` has room. */
static size_t marked_codes(const char *text, uint32_t *codes)
{
    size_t n = 0;
    codes[n++] = TEXT_BEGIN;
    for (uint32_t code; (code = next_code(&text)) != 0;) {
        bool space = is_space(code);
        if (space && codes[n - 1] == ' ') continue;
        codes[n++] = space ? ' ' : code;
    }
    codes[n++] = TEXT_END;
    return n;
}

/* floor(2 log2(characters + 1)) */
static size_t length_class(size_t characters)
{
    uint64_t square = ((uint64_t)characters + 1) * ((uint64_t)characters + 1);
    size_t octave = 0;
    while (square >>= 1) octave++;
    return octave < STYLE_LENGTHS ? octave : STYLE_LENGTHS - 1;
}

static size_t gram_place(const struct style_profile *s, const uint32_t *codes, size_t order)
{
    struct gram key = {{0}};
    memcpy(key.unit, codes, order * sizeof *codes);
    const struct gram *hit = bsearch(&key, s->grams, s->count, sizeof key, gram_compare);
    return hit != NULL ? (size_t)(hit - s->grams) : STYLE_GRAMS;
}

static bool add_text(const struct style_profile *s, const char *text, double *out)
{
    uint32_t *codes = mem_zalloc(strlen(text) + 2, sizeof *codes);
    if (codes == NULL) return false;
    size_t count = marked_codes(text, codes);
    for (size_t order = 1; order <= STYLE_ORDERS; order++)
        for (size_t i = 0; i + order <= count; i++) out[gram_place(s, codes + i, order)]++;
    out[STYLE_GRAMS + 1 + length_class(text_characters(text))]++;
    mem_free(codes);
    return true;
}

METRIC_ROW(row_style)
{
    return context->style.shares == NULL || add_text(&context->style, row->answer, out);
}

/* The square root of the Jensen-Shannon divergence of two distributions given as counts. */
static double distance(const double *a, const double *b, size_t count)
{
    double a_sum = 0, b_sum = 0, divergence = 0;
    for (size_t i = 0; i < count; i++) {
        a_sum += a[i];
        b_sum += b[i];
    }
    for (size_t i = 0; i < count; i++) {
        double p = a[i] / a_sum, q = b[i] / b_sum, middle = (p + q) / 2;
        if (p > 0) divergence += p * log2(p / middle) / 2;
        if (q > 0) divergence += q * log2(q / middle) / 2;
    }
    return sqrt(divergence > 0 ? divergence : 0);
}

METRIC_VALUE(value_style)
{
    const double *learned = context->style.shares;
    const size_t grams = STYLE_GRAMS + 1;
    double rows = 0;
    for (size_t i = grams; i < width; i++) rows += sum[i];
    if (learned == NULL || !(rows > 0)) return (double)NAN;
    return 1 -
           (distance(sum, learned, grams) + distance(sum + grams, learned + grams, STYLE_LENGTHS)) /
               2;
}

/* Learning */

struct counted {
    struct gram gram;
    size_t count;
};

static int by_count(const void *a, const void *b)
{
    const struct counted *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    return gram_compare(&x->gram, &y->gram);
}

/* Every answer's marked characters behind one another, each followed by three zeros, so that no
 * n-gram reaches over an end. *answers: how many, since LEARNED may cut. */
static uint32_t *all_codes(const struct data_rows *train, size_t *count, size_t *answers)
{
    uint32_t *codes = NULL;
    size_t capacity = 0, n = 0;
    for (size_t i = 0; i < train->count && n < LEARNED; i++) {
        const char *answer = data_row_answer(&train->rows[i]);
        if (answer == NULL) continue;
        if (!array_reserve(&codes, &capacity, n + strlen(answer) + 2 + STYLE_ORDERS,
                           sizeof *codes)) {
            mem_free(codes);
            return NULL;
        }
        n += marked_codes(answer, codes + n);
        ++*answers;
        for (size_t k = 0; k < STYLE_ORDERS; k++) codes[n++] = 0;
    }
    *count = n;
    return codes;
}

/* The distinct n-grams with their counts; `out` has room for STYLE_ORDERS * count. */
static size_t count_grams(const struct gram *grams, size_t count, struct counted *out)
{
    size_t n = 0;
    for (size_t order = 1; order <= STYLE_ORDERS; order++)
        for (size_t at = 0, end; at < count; at = end) {
            end = grams_run(grams, count, at, order);
            bool whole = true;
            for (size_t k = 0; k < order; k++) whole &= grams[at].unit[k] != 0;
            if (!whole) continue;
            out[n] = (struct counted){.count = end - at};
            memcpy(out[n++].gram.unit, grams[at].unit, order * sizeof(uint32_t));
        }
    return n;
}

static bool learn_grams(struct style_profile *s, const uint32_t *codes, size_t count,
                        struct arena *arena)
{
    struct gram *grams = NULL;
    struct counted *counted = mem_zalloc(count, STYLE_ORDERS * sizeof *counted);
    s->grams = arena_alloc(arena, STYLE_GRAMS, sizeof *s->grams);
    bool good = counted != NULL && s->grams != NULL && grams_make(codes, count, &grams);
    if (good) {
        size_t n = count_grams(grams, count, counted);
        qsort(counted, n, sizeof *counted, by_count);
        s->count = n < STYLE_GRAMS ? n : STYLE_GRAMS;
        for (size_t i = 0; i < s->count; i++) s->grams[i] = counted[i].gram;
        qsort(s->grams, s->count, sizeof *s->grams, gram_compare);
    }
    mem_free(grams);
    mem_free(counted);
    return good;
}

/* The profile counts the answers that the n-grams came from. */
static bool learn_shares(struct style_profile *s, const struct data_rows *train, size_t answers,
                         struct arena *arena)
{
    double *shares = arena_alloc(arena, STYLE_WIDTH, sizeof *shares);
    if (shares == NULL) return false;
    for (size_t i = 0; i < train->count && answers != 0; i++) {
        const char *answer = data_row_answer(&train->rows[i]);
        if (answer == NULL) continue;
        if (!add_text(s, answer, shares)) return false;
        answers--;
    }
    s->shares = shares;
    return true;
}

enum graft_status style_learn(struct metric_context *c, const struct data_rows *train,
                              struct error *e)
{
    size_t count = 0, answers = 0;
    if (train == NULL)
        return error_set(e, GRAFT_E_INVALID,
                         "style: answers are compared with those of the training rows, and a model "
                         "alone has none; measure a run, or leave style out of the metrics");
    uint32_t *codes = all_codes(train, &count, &answers);
    bool good = codes != NULL || count == 0;
    if (count != 0)
        good = good && learn_grams(&c->style, codes, count, &c->arena) &&
               learn_shares(&c->style, train, answers, &c->arena);
    mem_free(codes);
    return good ? GRAFT_OK : error_memory(e, "style", count * sizeof(struct counted));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers beside expected ones, row by row: SQuAD's exact match and F1 (as its evaluation of
 * version 2), ROUGE-L (as rouge-score).
 */
#include "eval/parts.h"

#include <string.h>

METRIC_ROW(row_exact_normalized)
{
    (void)context;
    struct str a = {0}, b = {0};
    words_squad(&a, row->answer, false);
    words_squad(&b, row->expected, false);
    bool good = !a.failed && !b.failed;
    bool same = a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
    str_free(&a);
    str_free(&b);
    return good && row_score(out, same);
}

/* Harmonic mean of common/a and common/b. */
static double f_measure(size_t common, size_t a, size_t b)
{
    if (common == 0) return 0;
    double precision = (double)common / (double)a, recall = (double)common / (double)b;
    return 2 * precision * recall / (precision + recall);
}

static bool common_words(const struct word_pair *w, size_t *common)
{
    struct gram *a = NULL, *b = NULL;
    bool good = grams_make(w->a, w->a_count, &a) && grams_make(w->b, w->b_count, &b);
    if (good) *common = grams_common(a, w->a_count, b, w->b_count, 1);
    mem_free(a);
    mem_free(b);
    return good;
}

METRIC_ROW(row_token_f1)
{
    (void)context;
    struct str a = {0}, b = {0};
    struct word_pair w = {0};
    size_t common = 0;
    words_squad(&a, row->answer, true);
    words_squad(&b, row->expected, true);
    bool good = word_pair_make(&a, &b, &w) && common_words(&w, &common);
    if (good) {
        bool none = w.a_count == 0 && w.b_count == 0;
        row_score(out, none ? 1 : f_measure(common, w.a_count, w.b_count));
    }
    word_pair_free(&w);
    str_free(&a);
    str_free(&b);
    return good;
}

/* Length of the longest common subsequence. */
static bool longest_common(const struct word_pair *w, size_t *length)
{
    size_t *row = mem_zalloc(w->b_count + 1, sizeof *row);
    if (row == NULL) return false;
    for (size_t i = 0; i < w->a_count; i++) {
        size_t corner = 0;
        for (size_t j = 0; j < w->b_count; j++) {
            size_t above = row[j + 1], left = row[j];
            row[j + 1] = w->a[i] == w->b[j] ? corner + 1 : above > left ? above : left;
            corner = above;
        }
    }
    *length = row[w->b_count];
    mem_free(row);
    return true;
}

METRIC_ROW(row_rouge_l)
{
    (void)context;
    struct str a = {0}, b = {0};
    struct word_pair w = {0};
    size_t common = 0;
    words_rouge(&a, row->answer);
    words_rouge(&b, row->expected);
    bool good = word_pair_make(&a, &b, &w) && longest_common(&w, &common);
    if (good) row_score(out, f_measure(common, w.a_count, w.b_count));
    word_pair_free(&w);
    str_free(&a);
    str_free(&b);
    return good;
}

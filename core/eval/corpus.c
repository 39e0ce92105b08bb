/* SPDX-License-Identifier: Apache-2.0
 *
 * Scores of a whole corpus from counts of n-grams, as sacrebleu has them by default: BLEU (4 words,
 * exponential smoothing) and chrF2 (6 characters, without spaces).
 */
#include "eval/parts.h"

#include <math.h>

enum { BLEU_ORDERS = 4, CHRF_ORDERS = 6 };

/* Vector: answer length, expected length, common n-grams [4], the answer's n-grams [4]. */
METRIC_WIDTH(width_bleu)
{
    (void)context;
    return 2 + 2 * BLEU_ORDERS;
}

METRIC_ROW(row_bleu)
{
    struct str a = {0}, b = {0};
    struct word_pair w = {0};
    struct gram *x = NULL, *y = NULL;
    words_bleu(&a, row->answer, context->chinese);
    words_bleu(&b, row->expected, context->chinese);
    bool good = word_pair_make(&a, &b, &w) && grams_make(w.a, w.a_count, &x) &&
                grams_make(w.b, w.b_count, &y);
    if (good) {
        out[0] = (double)w.a_count;
        out[1] = (double)w.b_count;
        for (size_t n = 1; n <= BLEU_ORDERS; n++) {
            out[1 + n] = (double)grams_common(x, w.a_count, y, w.b_count, n);
            out[1 + BLEU_ORDERS + n] = (double)grams_count(w.a_count, n);
        }
    }
    mem_free(x);
    mem_free(y);
    word_pair_free(&w);
    str_free(&a);
    str_free(&b);
    return good;
}

/* NAN without any word at all, since a sum of no rows looks the same. */
METRIC_VALUE(value_bleu)
{
    (void)context, (void)width;
    const double *common = sum + 2, *total = common + BLEU_ORDERS;
    double logs = 0, smooth = 1, any = 0;
    if (!(sum[0] + sum[1] > 0)) return (double)NAN;
    for (size_t n = 0; n < BLEU_ORDERS; n++) any += common[n];
    if (!(any > 0)) return 0;
    for (size_t n = 0; n < BLEU_ORDERS; n++) {
        if (!(total[n] > 0)) return 0;
        if (common[n] > 0) {
            logs += log(100 * common[n] / total[n]);
        } else {
            smooth *= 2;
            logs += log(100 / (smooth * total[n]));
        }
    }
    double brevity = sum[0] < sum[1] ? exp(1 - sum[1] / sum[0]) : 1;
    return brevity * exp(logs / BLEU_ORDERS);
}

/* Vector: for each order the answer's n-grams, the expected one's, those in common. */
METRIC_WIDTH(width_chrf)
{
    (void)context;
    return 3 * CHRF_ORDERS;
}

METRIC_ROW(row_chrf)
{
    (void)context;
    uint32_t *a = NULL, *b = NULL;
    struct gram *x = NULL, *y = NULL;
    size_t m = 0, n = 0;
    bool good = text_codes(row->answer, false, &a, &m) &&
                text_codes(row->expected, false, &b, &n) && grams_make(a, m, &x) &&
                grams_make(b, n, &y);
    for (size_t order = 1; order <= CHRF_ORDERS && good; order++, out += 3) {
        out[1] = (double)grams_count(n, order);
        out[0] = out[1] > 0 ? (double)grams_count(m, order) : 0; /* no hits without a reference */
        out[2] = (double)grams_common(x, m, y, n, order);
    }
    mem_free(a);
    mem_free(b);
    mem_free(x);
    mem_free(y);
    return good;
}

METRIC_VALUE(value_chrf)
{
    (void)context, (void)width;
    double precision = 0, recall = 0, orders = 0, any = 0;
    for (size_t i = 0; i < CHRF_ORDERS; i++) {
        const double *s = sum + 3 * i;
        any += s[0] + s[1];
        if (!(s[0] > 0) || !(s[1] > 0)) continue;
        precision += s[2] / s[0];
        recall += s[2] / s[1];
        orders++;
    }
    if (!(any > 0)) return (double)NAN;
    if (!(precision + recall > 0)) return 0;
    precision /= orders;
    recall /= orders;
    return 100 * 5 * precision * recall / (4 * precision + recall);
}

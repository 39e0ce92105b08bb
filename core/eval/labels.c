/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers that are labels: accuracy and macro F1 as scikit-learn has them. The labels are the
 * distinct expected answers, without spaces at their ends; an answer that is none of them is wrong
 * and no label's false positive.
 */
#include "eval/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool same_trimmed(const char *a, const char *b)
{
    size_t m, n;
    const char *x = text_trim(a, &m), *y = text_trim(b, &n);
    return m == n && memcmp(x, y, m) == 0;
}

METRIC_ROW(row_accuracy)
{
    (void)context;
    return row_score(out, same_trimmed(row->answer, row->expected));
}

static int compare_labels(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *trimmed(struct arena *arena, const char *text)
{
    size_t length;
    const char *begin = text_trim(text, &length);
    char *copy = arena_alloc(arena, length + 1, 1);
    if (copy != NULL) memcpy(copy, begin, length);
    return copy;
}

enum graft_status labels_collect(struct metric_context *c, const char *const *expected,
                                 size_t count, struct error *e)
{
    size_t n = 0;
    c->labels = arena_alloc(&c->arena, count, sizeof *c->labels);
    if (c->labels == NULL) return error_memory(e, "labels", count * sizeof *c->labels);
    for (size_t i = 0; i < count; i++)
        if ((c->labels[i] = trimmed(&c->arena, expected[i])) == NULL)
            return error_memory(e, "labels", strlen(expected[i]));
    qsort(c->labels, count, sizeof *c->labels, compare_labels);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(c->labels[n - 1], c->labels[i]) != 0) c->labels[n++] = c->labels[i];
    if (n > MOST_LABELS)
        return error_set(e, GRAFT_E_INVALID,
                         "macro_f1: %zu different answers are expected in %zu rows; it is for "
                         "labels, at most %d; leave it out of the metrics",
                         n, count, (int)MOST_LABELS);
    c->label_count = n;
    return GRAFT_OK;
}

/* c->label_count: none of them. */
static bool find_label(const struct metric_context *c, const char *text, size_t *index)
{
    struct arena arena = {0};
    const char *label = trimmed(&arena, text);
    *index = c->label_count;
    if (label != NULL) {
        const char **hit =
            bsearch(&label, c->labels, c->label_count, sizeof *c->labels, compare_labels);
        if (hit != NULL) *index = (size_t)(hit - c->labels);
    }
    arena_free(&arena);
    return label != NULL;
}

/* Vector: for each label how often it was answered rightly, answered, expected. */
METRIC_WIDTH(width_macro_f1)
{
    return context->label_count != 0 ? 3 * context->label_count : 1;
}

METRIC_ROW(row_macro_f1)
{
    size_t answer, expected;
    if (!find_label(context, row->answer, &answer)) return false;
    if (!find_label(context, row->expected, &expected)) return false;
    if (answer < context->label_count) out[3 * answer + 1] = 1;
    if (expected < context->label_count) out[3 * expected + 2] = 1;
    if (answer == expected && answer < context->label_count) out[3 * answer] = 1;
    return true;
}

/* Over the labels that are expected or answered in these rows; in a whole split that is all. */
METRIC_VALUE(value_macro_f1)
{
    double total = 0, labels = 0;
    (void)context;
    for (size_t i = 0; i + 2 < width; i += 3) {
        double all = sum[i + 1] + sum[i + 2];
        if (!(all > 0)) continue;
        total += 2 * sum[i] / all;
        labels++;
    }
    return labels > 0 ? total / labels : (double)NAN;
}

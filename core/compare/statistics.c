/* SPDX-License-Identifier: Apache-2.0
 *
 * Percentile bootstrap (Efron 1979) over two levels: seeds, and rows within them.
 */
#include "compare/statistics.h"

#include "base/memory.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Multiplications that a bootstrap may take, about a second's worth. */
static const double most_work = 2e9;

/* One bootstrap at work. */
struct draws {
    const struct bootstrap *b;
    size_t count;
    uint32_t *weight; /* [rows] */
    double *sums;     /* [width] */
    double *of_run;   /* [the most runs] */
    double *drawn;    /* [methods, count] */
    double *work;     /* [count] */
};

size_t bootstrap_draws(const struct bootstrap *b)
{
    size_t runs = 0;
    for (size_t m = 0; m < b->methods; m++) runs += b->runs[m];
    double draws = most_work / ((double)runs * (double)b->rows * (double)b->width + 1);
    return draws > BOOTSTRAP_MOST    ? BOOTSTRAP_MOST
           : draws < BOOTSTRAP_LEAST ? BOOTSTRAP_LEAST
                                     : (size_t)draws;
}

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double percentile(double *values, size_t count, double share)
{
    if (count == 0) return (double)NAN;
    qsort(values, count, sizeof *values, rising);
    double at = share * (double)(count - 1), below = floor(at);
    size_t i = (size_t)below;
    double next = i + 1 < count ? values[i + 1] : values[i];
    return values[i] + (at - below) * (next - values[i]);
}

/* How often each row is drawn in draw `draw`. */
static void draw_rows(struct random_key key, uint32_t draw, uint32_t *weight, size_t rows)
{
    memset(weight, 0, rows * sizeof *weight);
    for (size_t i = 0; i < rows; i += 4) {
        const uint32_t counter[4] = {draw, (uint32_t)(i / 4), 0, 0};
        uint32_t words[4];
        random_words(key, counter, words);
        for (size_t k = 0; k < 4 && i + k < rows; k++) weight[(uint64_t)words[k] * rows >> 32]++;
    }
}

/* A run of `runs` for place `place` of the draw: the same for all methods with as many. */
static size_t draw_run(struct random_key key, uint32_t draw, size_t place, size_t runs)
{
    const uint32_t counter[4] = {draw, (uint32_t)place, 1, 0};
    uint32_t words[4];
    random_words(key, counter, words);
    return (size_t)((uint64_t)words[0] * runs >> 32);
}

static double score(struct draws *d, const double *values, bool drawn)
{
    const struct bootstrap *b = d->b;
    memset(d->sums, 0, b->width * sizeof *d->sums);
    for (size_t i = 0; i < b->rows; i++) {
        double w = drawn ? (double)d->weight[i] : 1.0;
        for (size_t k = 0; k < b->width; k++) d->sums[k] += w * values[i * b->width + k];
    }
    return b->metric->value(b->context, d->sums, b->width);
}

static double mean_score(struct draws *d, size_t method)
{
    double sum = 0;
    size_t runs = d->b->runs[method];
    for (size_t r = 0; r < runs; r++) sum += score(d, d->b->values[method][r], false);
    return runs != 0 ? sum / (double)runs : (double)NAN;
}

static void draw_all(struct draws *d)
{
    const struct bootstrap *b = d->b;
    struct random_key key = random_key(0, RANDOM_RESAMPLE, 0, "rows", 0);
    for (uint32_t draw = 0; draw < d->count; draw++) {
        draw_rows(key, draw, d->weight, b->rows);
        for (size_t m = 0; m < b->methods; m++) {
            double sum = 0;
            size_t runs = b->runs[m];
            for (size_t r = 0; r < runs; r++) d->of_run[r] = score(d, b->values[m][r], true);
            for (size_t r = 0; r < runs; r++) sum += d->of_run[draw_run(key, draw, r, runs)];
            d->drawn[m * d->count + draw] = runs != 0 ? sum / (double)runs : (double)NAN;
        }
    }
}

/* Of method a, or of a minus b. A draw without a figure leaves no interval. */
static struct report_interval interval(const struct draws *d, double mean, size_t a, size_t b,
                                       double level)
{
    struct report_interval out = {mean, (double)NAN, (double)NAN};
    for (size_t i = 0; i < d->count; i++) {
        d->work[i] = d->drawn[a * d->count + i];
        if (b != SIZE_MAX) d->work[i] -= d->drawn[b * d->count + i];
        if (!isfinite(d->work[i])) return out;
    }
    out.low = percentile(d->work, d->count, (1 - level) / 2);
    out.high = percentile(d->work, d->count, (1 + level) / 2);
    return out;
}

static enum graft_status begin(struct draws *d, struct error *e)
{
    size_t most = 1;
    for (size_t m = 0; m < d->b->methods; m++)
        if (d->b->runs[m] > most) most = d->b->runs[m];
    d->count = bootstrap_draws(d->b);
    d->weight = mem_zalloc(d->b->rows, sizeof *d->weight);
    d->sums = mem_zalloc(d->b->width, sizeof *d->sums);
    d->of_run = mem_zalloc(most, sizeof *d->of_run);
    d->drawn = mem_zalloc(d->b->methods * d->count, sizeof *d->drawn);
    d->work = mem_zalloc(d->count, sizeof *d->work);
    bool whole = d->weight != NULL && d->sums != NULL && d->of_run != NULL && d->drawn != NULL &&
                 d->work != NULL;
    return whole ? GRAFT_OK : error_memory(e, "a bootstrap", d->b->methods * d->count);
}

enum graft_status bootstrap(const struct bootstrap *b, struct report_interval *of_method,
                            struct report_interval *of_pair, struct error *e)
{
    struct draws d = {.b = b};
    if (b->rows == 0) return error_set(e, GRAFT_E_INVALID, "a bootstrap of no rows");
    enum graft_status status = begin(&d, e);
    if (status == GRAFT_OK) {
        draw_all(&d);
        for (size_t m = 0; m < b->methods; m++)
            of_method[m] = interval(&d, mean_score(&d, m), m, SIZE_MAX, b->level);
        for (size_t m = 0; m < b->methods; m++)
            for (size_t k = 0; k < b->methods; k++)
                of_pair[m * b->methods + k] =
                    interval(&d, of_method[m].mean - of_method[k].mean, m, k, b->pair_level);
    }
    mem_free(d.weight);
    mem_free(d.sums);
    mem_free(d.of_run);
    mem_free(d.drawn);
    mem_free(d.work);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The products of an attention tile with operands rounded to bf16 and f32 sums. Scores, softmax and
 * everything between products stay f32, and so does a tile of few columns, a decoding step's.
 */
#include "cpu/attention.h"

#include "ref/half.h"

static const float *row_of(const struct heads *a, const struct tile *t, const float *x, int64_t s)
{
    return x + (s * a->g + t->g) * a->size;
}

/* Where b is packed: behind the rows of a. */
static uint16_t *right_words(const struct heads *a)
{
    return a->words + KEYS * cpu_larger(narrow_k(a->size), COLUMNS);
}

void attention_narrow_turn(const struct heads *a, const struct tile *t, const float *rows,
                           float *turned)
{
    narrow_pack_columns(rows, a->size, a->size, t->columns, (uint16_t *)(void *)turned);
}

void attention_narrow_against(const struct heads *a, const struct tile *t, const float *x,
                              int64_t s0, int64_t n, const float *turned, float *s)
{
    struct narrow_gemm g = {.m = n, .n = t->columns, .k = narrow_k(a->size), .a = a->words};
    narrow_pack_a(row_of(a, t, x, s0), a->g * a->size, n, a->size, a->words);
    g.a_row = g.k;
    g.b = (const uint16_t *)(const void *)turned;
    g.c = s;
    g.c_row = t->width;
    a->narrow->gemm(&g);
}

/* to [columns, k] = s [n, width], turned and rounded. */
static void pack_turned(const struct tile *t, const float *s, int64_t n, int64_t k, uint16_t *to)
{
    for (int64_t j = 0; j < t->columns; j++, to += k) {
        for (int64_t i = 0; i < n; i++) to[i] = bf16_from_f32(s[i * t->width + j]);
        memset(to + n, 0, (size_t)(k - n) * sizeof *to);
    }
}

void attention_narrow_gather(const struct heads *a, const struct tile *t, const float *x,
                             int64_t s0, int64_t n, const float *s, float *rows)
{
    struct narrow_gemm g = {.m = t->columns, .n = a->size, .k = narrow_k(n), .a = a->words};
    pack_turned(t, s, n, g.k, a->words);
    narrow_pack_rows(row_of(a, t, x, s0), a->g * a->size, n, a->size, right_words(a));
    g.a_row = g.k;
    g.b = right_words(a);
    g.c = rows;
    g.c_row = a->size;
    g.add = true;
    a->narrow->gemm(&g);
}

void attention_narrow_spread(const struct heads *a, const struct tile *t, float *x, int64_t s0,
                             int64_t n, const float *s, const float *rows)
{
    struct narrow_gemm g = {.m = n, .n = a->size, .k = narrow_k(t->columns), .a = a->words};
    narrow_pack_a(s, t->width, n, t->columns, a->words);
    narrow_pack_rows(rows, a->size, t->columns, a->size, right_words(a));
    g.a_row = g.k;
    g.b = right_words(a);
    g.c = x + (s0 * a->g + t->g) * a->size;
    g.c_row = a->g * a->size;
    g.add = true;
    a->narrow->gemm(&g);
}

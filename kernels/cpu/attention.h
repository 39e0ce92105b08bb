/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention over a range of keys per query (Dao et al. 2022; grouped heads: Ainslie et al. 2023;
 * softcap: Gemma 2). T queries, S keys, P prefix keys that every query sees, H heads, G key/value
 * heads, D head size.
 *
 * The heads that share a key/value head are columns beside the tokens: a tile has up to COLUMNS
 * (token, head) pairs, and scores are computed turned, [keys, columns], KEYS at a time. So maxima
 * and sums over keys are vertical, keys are read where they lie, and a decoding step of one token
 * still fills a register. What a column does not see, because it lies before or in another
 * document, is left out of the products as far as whole registers go.
 *
 * attention_tile.c has a tile and its products, attention_narrow.c those of bf16, attention.c the
 * forward pass, attention_backward.c the other. A document is a stretch of tokens that sees only
 * its own keys. No key: o = 0, lse = -inf.
 */
#ifndef KERNELS_CPU_ATTENTION_H
#define KERNELS_CPU_ATTENTION_H

#include "cpu/cpu.h"
#include "cpu/gemm.h"
#include "cpu/narrow.h"

#include <stdbool.h>

enum { COLUMNS = 64, KEYS = 128 };

struct heads {
    const float *q, *k, *v, *pk, *pv, *o, *lse, *d; /* d: gradient of o */
    const int32_t *first, *last;
    int64_t queries, keys, prefix, h, g, size, group, window;
    int64_t heads, tokens; /* of a tile, at most */
    float scale, softcap;
    float *out_o, *out_lse, *dq, *dk, *dv, *dpk, *dpv;
    const struct cpu_narrow *narrow; /* products of rounded operands; NULL: in f32 */
    uint16_t *words;                 /* of scratch, for them */
};

/* Columns of one tile: column j is token t0 + j / heads, head h0 + j % heads. */
struct tile {
    int64_t t0, t1, h0, heads, g;
    int64_t columns, width;             /* used; padded to whole panels */
    int64_t low, high;                  /* keys that any column sees: [low, high) */
    int64_t all_low, all_high;          /* keys that every column sees */
    int32_t from[COLUMNS], to[COLUMNS]; /* keys of a column: [from, to]; none in padding */
};

/* words: in scratch, room for attention_words(D). */
struct heads attention_heads(const struct cpu_job *job, void *words);

/* Numbers of a tile's `turned`. */
static inline int64_t attention_turned(int64_t size)
{
    return COLUMNS * cpu_larger(size, NARROW_STEP / 2); /* two rounded ones are as large as one */
}

/* Of both operands, rounded. */
static inline int64_t attention_words(int64_t size)
{
    return KEYS * (cpu_larger(narrow_k(size), COLUMNS) + narrow_k(size));
}

/* Of the queries' own keys; without them none is seen. */
static inline int64_t first_key(const struct heads *a, int64_t t)
{
    if (a->keys == 0) return 0;
    int64_t from = a->first[t];
    if (a->window > 0) from = cpu_larger(from, (int64_t)a->last[t] - a->window + 1);
    return cpu_larger(from, 0);
}

static inline int64_t last_key(const struct heads *a, int64_t t)
{
    return a->keys == 0 ? -1 : cpu_smaller(a->last[t], a->keys - 1);
}

/* Tokens [t0, t1), heads from h0 on, of key/value head g. */
void attention_tile(struct tile *t, const struct heads *a, int64_t t0, int64_t t1, int64_t h0,
                    int64_t g);

/* Where column j's D numbers lie in a [T, H*D] tensor; its number in [T, H]. */
static inline int64_t at_column(const struct heads *a, const struct tile *t, int64_t j)
{
    return (t->t0 + j / t->heads) * a->h + t->h0 + j % t->heads;
}

/* rows [columns, D]: the tile's part of x; turned: the same as panels of gemm.h, or of narrow.h, or
 * NULL. */
void attention_fetch(const struct heads *a, const struct tile *t, const float *x, float *rows,
                     float *turned);
/* s [n, width] = keys or values [s0, s0 + n) of x times `turned`; numbers of keys that a column
 * does not see may be left as they were. */
void attention_against(const struct heads *a, const struct tile *t, const float *x, bool prefix,
                       int64_t s0, int64_t n, const float *turned, float *s);
/* rows [columns, D] += turned s [n, width] times keys or values [s0, s0 + n) of x. */
void attention_gather(const struct heads *a, const struct tile *t, const float *x, bool prefix,
                      int64_t s0, int64_t n, const float *s, float *rows);
/* Keys or values [s0, s0 + n) of x += s [n, width] times rows [columns, D]. */
void attention_spread(const struct heads *a, const struct tile *t, float *x, bool prefix,
                      int64_t s0, int64_t n, const float *s, const float *rows);
/* Products become scores; a key that a column does not see has -inf. */
void attention_score(const struct heads *a, const struct tile *t, bool prefix, int64_t s0,
                     int64_t n, float *s);

/* The same products with operands rounded to bf16. */
void attention_narrow_turn(const struct heads *a, const struct tile *t, const float *rows,
                           float *turned);
void attention_narrow_against(const struct heads *a, const struct tile *t, const float *x,
                              int64_t s0, int64_t n, const float *turned, float *s);
void attention_narrow_gather(const struct heads *a, const struct tile *t, const float *x,
                             int64_t s0, int64_t n, const float *s, float *rows);
void attention_narrow_spread(const struct heads *a, const struct tile *t, float *x, int64_t s0,
                             int64_t n, const float *s, const float *rows);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention over a range of keys per query (Vaswani et al. 2017; grouped heads: Ainslie et al.
 * 2023; softcap: Gemma 2). Query t sees keys from(t)..last[t], from(t) = max(first[t], last[t] -
 * window + 1), and every key of a prefix, numbered -P..-1. Letters: T queries, S keys, P prefix
 * keys, H heads, G key/value heads, D head size. z = scale * q.k,   s = softcap * tanh(z / softcap)
 * or z lse = log(sum exp(s)),   p = exp(s - lse),   o = sum p * v delta = sum over d of do * o, ds
 * = p * (do.v - delta) dz = ds * (1 - (s / softcap)^2),   dq = scale * sum dz * k dk = scale * sum
 * dz * q,   dv = sum p * do      (Dao et al. 2022, without tiles) No key: o = 0, lse = -inf. Sums
 * in double; outputs are overwritten, absent ones left out.
 */
#include "ref/real.h"

#include <math.h>

struct heads {
    const real *q, *k, *v, *pk, *pv, *o, *lse, *d; /* d: gradient of o */
    const int32_t *first, *last;
    int64_t queries, keys, prefix, h, g, size, window;
    double scale, softcap;
};

/* prefix: the input that pk is; pv is the next. */
static struct heads heads_of(const struct kernel_call *call, int prefix)
{
    const union graft_params *p = &call->params;
    struct heads a = {.q = call->in[0].data, .k = call->in[1].data, .v = call->in[2].data};
    a.first = call->in[3].data;
    a.last = call->in[4].data;
    a.queries = call->in[0].shape.dim[0];
    a.keys = a.k ? call->in[1].shape.dim[0] : 0;
    a.pk = call->in[prefix].data;
    a.pv = call->in[prefix + 1].data;
    a.prefix = a.pk ? call->in[prefix].shape.dim[0] : 0;
    a.h = p->attention.heads;
    a.g = p->attention.kv_heads;
    a.size = p->attention.head_size;
    a.window = p->attention.window;
    a.scale = p->attention.scale;
    a.softcap = p->attention.softcap;
    return a;
}

static int64_t first_key(const struct heads *a, int64_t t)
{
    int64_t windowed = a->window > 0 ? (int64_t)a->last[t] - a->window + 1 : 0;
    return windowed > a->first[t] ? windowed : a->first[t];
}

/* Query t sees count_keys keys, the i-th of them is key_at(i). */
static int64_t count_keys(const struct heads *a, int64_t t)
{
    int64_t own = a->keys > 0 ? a->last[t] - first_key(a, t) + 1 : 0;
    return a->prefix + (own > 0 ? own : 0);
}

static int64_t key_at(const struct heads *a, int64_t t, int64_t i)
{
    return i < a->prefix ? i - a->prefix : first_key(a, t) + i - a->prefix;
}

/* The numbers of head h of query t; of key/value head g of key s. */
static const real *at_query(const struct heads *a, const real *x, int64_t t, int64_t h)
{
    return x + (t * a->h + h) * a->size;
}

static const real *at_key(const struct heads *a, int64_t s, int64_t g)
{
    return s < 0 ? a->pk + ((s + a->prefix) * a->g + g) * a->size : a->k + (s * a->g + g) * a->size;
}

static const real *at_value(const struct heads *a, int64_t s, int64_t g)
{
    return s < 0 ? a->pv + ((s + a->prefix) * a->g + g) * a->size : a->v + (s * a->g + g) * a->size;
}

static double dot(const real *x, const real *y, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * y[i];
    return sum;
}

static double score(const struct heads *a, const real *q, const real *k)
{
    double z = a->scale * dot(q, k, a->size);
    return a->softcap > 0.0 ? a->softcap * tanh(z / a->softcap) : z;
}

static double log_sum(const struct heads *a, int64_t t, int64_t h)
{
    const real *q = at_query(a, a->q, t, h);
    int64_t g = h / (a->h / a->g);
    double largest = -INFINITY, sum = 0.0;
    for (int64_t i = 0; i < count_keys(a, t); i++) {
        double z = score(a, q, at_key(a, key_at(a, t, i), g));
        largest = z > largest ? z : largest;
    }
    for (int64_t i = 0; i < count_keys(a, t); i++)
        sum += exp(score(a, q, at_key(a, key_at(a, t, i), g)) - largest);
    return sum > 0.0 ? largest + log(sum) : -INFINITY;
}

/* One piece [d0, d0 + dn) of the output of head h of query t. */
static void values(const struct heads *a, int64_t t, int64_t h, double lse, int64_t d0, int64_t dn,
                   real *o)
{
    const real *q = at_query(a, a->q, t, h);
    int64_t g = h / (a->h / a->g);
    double sum[REF_PIECE] = {0.0};
    for (int64_t n = 0; n < count_keys(a, t); n++) {
        int64_t s = key_at(a, t, n);
        double p = exp(score(a, q, at_key(a, s, g)) - lse);
        const real *v = at_value(a, s, g) + d0;
        for (int64_t i = 0; i < dn; i++) sum[i] += p * v[i];
    }
    for (int64_t i = 0; i < dn; i++) o[d0 + i] = (real)sum[i];
}

static int64_t piece(const struct heads *a, int64_t d0)
{
    return a->size - d0 < REF_PIECE ? a->size - d0 : REF_PIECE;
}

void REF_NAME(attention)(const struct kernel_call *call)
{
    struct heads a = heads_of(call, 5);
    real *o = call->out[0].data, *lse = call->out[1].data; /* [T, H*D], [T, H] */
    for (int64_t t = 0; t < a.queries; t++)
        for (int64_t h = 0; h < a.h; h++) {
            double total = log_sum(&a, t, h);
            for (int64_t d = 0; o && d < a.size; d += REF_PIECE)
                values(&a, t, h, total, d, piece(&a, d), o + (t * a.h + h) * a.size);
            if (lse) lse[t * a.h + h] = (real)total;
        }
}

struct slope {
    double p, dz; /* probability; gradient of the scaled product */
};

static struct slope slope_of(const struct heads *a, int64_t t, int64_t h, int64_t s)
{
    int64_t g = h / (a->h / a->g);
    const real *d = at_query(a, a->d, t, h);
    double z = score(a, at_query(a, a->q, t, h), at_key(a, s, g));
    double delta = dot(d, at_query(a, a->o, t, h), a->size);
    double p = exp(z - a->lse[t * a->h + h]);
    double ds = p * (dot(d, at_value(a, s, g), a->size) - delta);
    double bend = a->softcap > 0.0 ? 1.0 - z / a->softcap * (z / a->softcap) : 1.0;
    return (struct slope){p, ds * bend * a->scale};
}

static void query_gradient(const struct heads *a, int64_t t, int64_t h, int64_t d0, int64_t dn,
                           real *dq)
{
    double sum[REF_PIECE] = {0.0};
    for (int64_t n = 0; n < count_keys(a, t); n++) {
        int64_t s = key_at(a, t, n);
        double dz = slope_of(a, t, h, s).dz;
        const real *k = at_key(a, s, h / (a->h / a->g)) + d0;
        for (int64_t i = 0; i < dn; i++) sum[i] += dz * k[i];
    }
    for (int64_t i = 0; i < dn; i++) dq[(t * a->h + h) * a->size + d0 + i] = (real)sum[i];
}

/* Of key/value head g of key s, into dk and dv of that key: every query that sees it, every head of
 * the group. */
static void key_gradient(const struct heads *a, int64_t s, int64_t g, int64_t d0, int64_t dn,
                         real *dk, real *dv)
{
    double ksum[REF_PIECE] = {0.0}, vsum[REF_PIECE] = {0.0};
    int64_t group = a->h / a->g, at = g * a->size + d0;
    for (int64_t t = 0; t < a->queries; t++) {
        if (s >= 0 && (s < first_key(a, t) || s > a->last[t])) continue;
        for (int64_t h = g * group; h < (g + 1) * group; h++) {
            struct slope e = slope_of(a, t, h, s);
            const real *q = at_query(a, a->q, t, h) + d0, *d = at_query(a, a->d, t, h) + d0;
            for (int64_t i = 0; i < dn; i++) {
                ksum[i] += e.dz * q[i];
                vsum[i] += e.p * d[i];
            }
        }
    }
    for (int64_t i = 0; dk && i < dn; i++) dk[at + i] = (real)ksum[i];
    for (int64_t i = 0; dv && i < dn; i++) dv[at + i] = (real)vsum[i];
}

/* Of keys [from, to), whose gradients lie at dk and dv; either may be NULL. */
static void key_gradients(const struct heads *a, int64_t from, int64_t to, real *dk, real *dv)
{
    int64_t width = a->g * a->size;
    for (int64_t s = from; (dk || dv) && s < to; s++)
        for (int64_t g = 0; g < a->g; g++)
            for (int64_t d = 0; d < a->size; d += REF_PIECE)
                key_gradient(a, s, g, d, piece(a, d), dk ? dk + (s - from) * width : NULL,
                             dv ? dv + (s - from) * width : NULL);
}

void REF_NAME(attention_backward)(const struct kernel_call *call)
{
    struct heads a = heads_of(call, 8);
    real *dq = call->out[0].data;
    a.o = call->in[5].data;
    a.lse = call->in[6].data;
    a.d = call->in[7].data;
    for (int64_t t = 0; dq && t < a.queries; t++)
        for (int64_t h = 0; h < a.h; h++)
            for (int64_t d = 0; d < a.size; d += REF_PIECE)
                query_gradient(&a, t, h, d, piece(&a, d), dq);
    key_gradients(&a, 0, a.keys, call->out[1].data, call->out[2].data);
    key_gradients(&a, -a.prefix, 0, call->out[3].data, call->out[4].data);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention over a range of keys per query (Dao et al. 2022; grouped heads: Ainslie et al. 2023;
 * softcap: Gemma 2). T queries, S keys, P prefix keys that every query sees, H heads, G key/value
 * heads, D head size.
 *
 * The heads that share a key/value head are columns beside the tokens: a tile has up to COLUMNS
 * (token, head) pairs, and scores are computed turned, [keys, columns], KEYS at a time. So maxima
 * and sums over keys are vertical, keys and values are read where they lie, and a decoding step of
 * one token still fills a register.
 *   forward: one task per tile and key/value head; a running maximum and sum per column
 *   backward: one task per document and key/value head, so that dk and dv have one writer; then
 *     one per KEYS of the prefix and key/value head, which goes over all queries for dpk and dpv
 * A document is a stretch of tokens that sees only its own keys. No key: o = 0, lse = -inf.
 */
#include "cpu/cpu.h"
#include "cpu/exp.h"
#include "cpu/gemm.h"
#include "cpu/row.h"

#include <stdbool.h>

enum { COLUMNS = 64, KEYS = 128 };

struct heads {
    const float *q, *k, *v, *pk, *pv, *o, *lse, *d; /* d: gradient of o */
    const int32_t *first, *last;
    int64_t queries, keys, prefix, h, g, size, group, window;
    int64_t heads, tokens; /* of a tile, at most */
    float scale, softcap;
    float *out_o, *out_lse, *dq, *dk, *dv, *dpk, *dpv;
};

/* Columns of one tile: column j is token t0 + j / heads, head h0 + j % heads. */
struct tile {
    int64_t t0, t1, h0, heads, g;
    int64_t columns, width;             /* used; padded to whole panels */
    int64_t low, high;                  /* keys that any column sees: [low, high) */
    int64_t all_low, all_high;          /* keys that every column sees */
    int32_t from[COLUMNS], to[COLUMNS]; /* keys of a column: [from, to]; none in padding */
};

static struct heads heads_of(const struct kernel_call *call)
{
    const union graft_params *p = &call->params;
    struct heads a = {.q = call->in[0].data, .k = call->in[1].data, .v = call->in[2].data};
    a.first = call->in[3].data;
    a.last = call->in[4].data;
    a.queries = call->in[0].shape.dim[0];
    a.keys = a.k != NULL ? call->in[1].shape.dim[0] : 0;
    const struct kernel_tensor *prefix = &call->in[call->op == GRAFT_OP_ATTENTION ? 5 : 8];
    a.pk = prefix[0].data;
    a.pv = prefix[1].data;
    a.prefix = a.pk != NULL ? prefix[0].shape.dim[0] : 0;
    a.h = p->attention.heads;
    a.g = p->attention.kv_heads;
    a.size = p->attention.head_size;
    a.group = a.h / a.g;
    a.window = p->attention.window;
    a.scale = (float)p->attention.scale;
    a.softcap = (float)p->attention.softcap;
    a.heads = cpu_smaller(COLUMNS, a.group);
    a.tokens = COLUMNS / a.heads;
    if (call->op == GRAFT_OP_ATTENTION) {
        a.out_o = call->out[0].data;
        a.out_lse = call->out[1].data;
    } else {
        a.o = call->in[5].data;
        a.lse = call->in[6].data;
        a.d = call->in[7].data;
        a.dq = call->out[0].data;
        a.dk = call->out[1].data;
        a.dv = call->out[2].data;
        a.dpk = call->out[3].data;
        a.dpv = call->out[4].data;
    }
    return a;
}

/* Of the queries' own keys; without them none is seen. */
static int64_t first_key(const struct heads *a, int64_t t)
{
    if (a->keys == 0) return 0;
    int64_t from = a->first[t];
    if (a->window > 0) from = cpu_larger(from, (int64_t)a->last[t] - a->window + 1);
    return cpu_larger(from, 0);
}

static int64_t last_key(const struct heads *a, int64_t t)
{
    return a->keys == 0 ? -1 : cpu_smaller(a->last[t], a->keys - 1);
}

static void tile_init(struct tile *t, const struct heads *a, int64_t t0, int64_t t1, int64_t h0,
                      int64_t g)
{
    t->t0 = t0;
    t->t1 = t1;
    t->g = g;
    t->h0 = h0;
    t->heads = cpu_smaller(a->heads, (g + 1) * a->group - h0);
    t->columns = (t1 - t0) * t->heads;
    t->width = cpu_parts(t->columns, GEMM_PANEL) * GEMM_PANEL;
    t->low = t->all_high = a->keys;
    t->high = t->all_low = 0;
    for (int64_t j = 0; j < t->columns; j++) {
        int64_t from = first_key(a, t0 + j / t->heads), to = last_key(a, t0 + j / t->heads);
        t->from[j] = (int32_t)from;
        t->to[j] = (int32_t)to;
        t->all_low = cpu_larger(t->all_low, from);
        t->all_high = cpu_smaller(t->all_high, to + 1);
        if (to < from) continue;
        t->low = cpu_smaller(t->low, from);
        t->high = cpu_larger(t->high, to + 1);
    }
    for (int64_t j = t->columns; j < t->width; j++) {
        t->from[j] = 1;
        t->to[j] = 0;
    }
}

/* Where column j's D numbers lie in a [T, H*D] tensor; its number in [T, H]. */
static int64_t at_column(const struct heads *a, const struct tile *t, int64_t j)
{
    return (t->t0 + j / t->heads) * a->h + t->h0 + j % t->heads;
}

/* rows [columns, D] and turned [D, width] copies of the tile's part of x; either may be NULL. */
static void fetch(const struct heads *a, const struct tile *t, const float *x, float *rows,
                  float *turned)
{
    if (turned != NULL) memset(turned, 0, (size_t)(a->size * t->width) * sizeof *turned);
    for (int64_t j = 0; j < t->columns; j++) {
        const float *from = x + at_column(a, t, j) * a->size;
        if (rows != NULL) memcpy(rows + j * a->size, from, (size_t)a->size * sizeof *rows);
        for (int64_t d = 0; turned != NULL && d < a->size; d++) turned[d * t->width + j] = from[d];
    }
}

/* s [n, width] = keys or values [s0, s0 + n) of x times `turned`. */
static void against(const struct heads *a, const struct tile *t, const float *x, int64_t s0,
                    int64_t n, const float *turned, float *s)
{
    struct gemm g = {.m = n, .n = t->width, .k = a->size, .a_row = a->g * a->size, .a_col = 1};
    g.a = x + (s0 * a->g + t->g) * a->size;
    g.b = turned;
    g.b_row = g.c_row = t->width;
    g.c = s;
    gemm(&g);
}

/* rows [columns, D] += turned s [n, width] times keys or values [s0, s0 + n) of x. */
static void gather(const struct heads *a, const struct tile *t, const float *x, int64_t s0,
                   int64_t n, const float *s, float *rows)
{
    struct gemm g = {.m = t->columns, .n = a->size, .k = n, .a = s, .a_row = 1, .add = 1};
    g.a_col = t->width;
    g.b = x + (s0 * a->g + t->g) * a->size;
    g.b_row = a->g * a->size;
    g.c = rows;
    g.c_row = a->size;
    gemm(&g);
}

/* Keys or values [s0, s0 + n) of x += s [n, width] times rows [columns, D]. */
static void spread(const struct heads *a, const struct tile *t, float *x, int64_t s0, int64_t n,
                   const float *s, const float *rows)
{
    struct gemm g = {.m = n, .n = a->size, .k = t->columns, .a = s, .a_col = 1, .add = 1};
    g.a_row = t->width;
    g.b = rows;
    g.b_row = a->size;
    g.c = x + (s0 * a->g + t->g) * a->size;
    g.c_row = a->g * a->size;
    gemm(&g);
}

/* Products become scores; a key that a column does not see has -inf. */
static void score(const struct heads *a, const struct tile *t, bool prefix, int64_t s0, int64_t n,
                  float *s)
{
    bool seen = s0 >= t->all_low && s0 + n <= t->all_high && t->columns == t->width;
    int64_t width = t->width, count = n * width;
    float scale = a->scale, cap = a->softcap;
    if (cap > 0.0f)
        for (int64_t i = 0; i < count; i++) s[i] = cap * tanh_f32(s[i] * scale / cap);
    else
        for (int64_t i = 0; i < count; i++) s[i] *= scale;
    if (prefix || seen) return; /* padding is finite, and read by nobody */
    for (int64_t i = 0; i < n; i++) {
        float *line = s + i * width;
        int32_t key = (int32_t)(s0 + i);
        PARALLEL_LOOP
        for (int64_t j = 0; j < width; j++)
            line[j] = ((key >= t->from[j]) & (key <= t->to[j])) != 0 ? line[j] : -INFINITY;
    }
}

/* Running maximum and sum of a column. */
struct running {
    float largest[COLUMNS], sum[COLUMNS], scale[COLUMNS], base[COLUMNS];
};

/* Scores become exp(s - largest so far); scale: what the sums before must be multiplied with. */
static void soften(const struct tile *t, struct running *r, int64_t n, float *s)
{
    int64_t width = t->width;
    float largest[COLUMNS], sum[COLUMNS], base[COLUMNS];
    memcpy(largest, r->largest, sizeof largest);
    for (int64_t i = 0; i < n; i++) {
        const float *line = s + i * width;
        for (int64_t j = 0; j < width; j++)
            largest[j] = line[j] > largest[j] ? line[j] : largest[j];
    }
    for (int64_t j = 0; j < width; j++) {
        base[j] = largest[j] > -INFINITY ? largest[j] : 0.0f;
        r->scale[j] = exp_f32(r->largest[j] - base[j]);
        sum[j] = r->sum[j] * r->scale[j];
    }
    for (int64_t i = 0; i < n; i++) {
        float *line = s + i * width;
        PARALLEL_LOOP
        for (int64_t j = 0; j < width; j++) {
            float p = exp_f32(line[j] - base[j]);
            line[j] = p;
            sum[j] += p;
        }
    }
    memcpy(r->largest, largest, sizeof largest);
    memcpy(r->sum, sum, sizeof sum);
    memcpy(r->base, base, sizeof base);
}

static void scale_rows(const struct heads *a, const struct tile *t, const float *scale, float *rows)
{
    for (int64_t j = 0; j < t->columns; j++) {
        if (scale[j] == 1.0f) continue;
        for (int64_t d = 0; d < a->size; d++) rows[j * a->size + d] *= scale[j];
    }
}

/* A decoding step has few columns: then scores stand as they are, [columns, keys], and the keys are
 * turned. Every number is made by the same operations in the same order, so it has the same bits.
 */
static bool is_slim(const struct heads *a, const struct tile *t)
{
    return 2 * t->columns <= GEMM_PANEL && a->size <= GEMM_DEPTH;
}

/* s [columns, n] = q_rows [columns, D] times keys [s0, s0 + n), through panels. */
static void slim_against(const struct heads *a, const struct tile *t, const float *k, int64_t s0,
                         int64_t n, const float *q_rows, float *panels, float *s)
{
    gemm_pack_columns(k + (s0 * a->g + t->g) * a->size, a->g * a->size, a->size, n, panels);
    struct gemm g = {.m = t->columns, .n = n, .k = a->size, .a = q_rows, .a_row = a->size};
    g.a_col = 1;
    g.b = panels;
    g.c = s;
    g.c_row = KEYS;
    gemm(&g);
}

/* Column j's products become exp(score - largest so far). */
static void slim_soften(const struct heads *a, const struct tile *t, struct running *r, bool prefix,
                        int64_t j, int64_t s0, int64_t n, float *s)
{
    int64_t low = prefix ? 0 : cpu_larger(t->from[j] - s0, 0);
    int64_t high = prefix ? n : cpu_smaller(t->to[j] + 1 - s0, n);
    float scale = a->scale, cap = a->softcap;
    if (cap > 0.0f)
        for (int64_t i = 0; i < n; i++) s[i] = cap * tanh_f32(s[i] * scale / cap);
    else
        for (int64_t i = 0; i < n; i++) s[i] *= scale;
    for (int64_t i = 0; i < cpu_smaller(low, n); i++) s[i] = -INFINITY;
    for (int64_t i = cpu_larger(high, 0); i < n; i++) s[i] = -INFINITY;
    float largest = row_max(s, n, r->largest[j]), base = largest > -INFINITY ? largest : 0.0f;
    PARALLEL_LOOP
    for (int64_t i = 0; i < n; i++) s[i] = exp_f32(s[i] - base);
    r->scale[j] = exp_f32(r->largest[j] - base);
    float sum = r->sum[j] * r->scale[j];
    for (int64_t i = 0; i < n; i++) sum += s[i];
    r->largest[j] = largest;
    r->sum[j] = sum;
    r->base[j] = base;
}

struct forward {
    float *turned, *s, *rows; /* slim: q's rows, then panels, where others have q turned */
    struct running r;
};

static void slim_keys(const struct heads *a, const struct tile *t, struct forward *f, bool prefix)
{
    const float *k = prefix ? a->pk : a->k, *v = prefix ? a->pv : a->v;
    int64_t low = prefix ? 0 : t->low, high = prefix ? a->prefix : t->high;
    struct gemm g = {.m = t->columns, .n = a->size, .a = f->s, .a_row = KEYS, .a_col = 1, .add = 1};
    g.b_row = a->g * a->size;
    g.c = f->rows;
    g.c_row = a->size;
    for (int64_t s0 = low; s0 < high; s0 += KEYS) {
        g.k = cpu_smaller(KEYS, high - s0);
        slim_against(a, t, k, s0, g.k, f->turned, f->turned + a->size * COLUMNS, f->s);
        for (int64_t j = 0; j < t->columns; j++)
            slim_soften(a, t, &f->r, prefix, j, s0, g.k, f->s + j * KEYS);
        scale_rows(a, t, f->r.scale, f->rows);
        g.b = v + (s0 * a->g + t->g) * a->size;
        gemm(&g);
    }
}

static void forward_keys(const struct heads *a, const struct tile *t, struct forward *f,
                         bool prefix)
{
    const float *k = prefix ? a->pk : a->k, *v = prefix ? a->pv : a->v;
    int64_t low = prefix ? 0 : t->low, high = prefix ? a->prefix : t->high;
    for (int64_t s0 = low; s0 < high; s0 += KEYS) {
        int64_t n = cpu_smaller(KEYS, high - s0);
        against(a, t, k, s0, n, f->turned, f->s);
        score(a, t, prefix, s0, n, f->s);
        soften(t, &f->r, n, f->s);
        scale_rows(a, t, f->r.scale, f->rows);
        gather(a, t, v, s0, n, f->s, f->rows);
    }
}

static void forward_tile(const struct heads *a, const struct tile *t, float *scratch)
{
    struct forward f = {.turned = scratch};
    struct running *r = &f.r;
    bool slim = is_slim(a, t);
    f.s = f.turned + a->size * (COLUMNS + KEYS);
    f.rows = f.s + KEYS * COLUMNS;
    fetch(a, t, a->q, slim ? f.turned : NULL, slim ? NULL : f.turned);
    memset(f.rows, 0, (size_t)(t->columns * a->size) * sizeof *f.rows);
    for (int64_t j = 0; j < COLUMNS; j++) r->largest[j] = -INFINITY;
    (slim ? slim_keys : forward_keys)(a, t, &f, true);
    (slim ? slim_keys : forward_keys)(a, t, &f, false);
    for (int64_t j = 0; j < t->columns; j++) {
        int64_t at = at_column(a, t, j);
        bool none = r->sum[j] == 0.0f;
        float scale = none ? 0.0f : 1.0f / r->sum[j];
        if (a->out_lse != NULL) a->out_lse[at] = none ? -INFINITY : r->base[j] + logf(r->sum[j]);
        for (int64_t d = 0; a->out_o != NULL && d < a->size; d++)
            a->out_o[at * a->size + d] = f.rows[j * a->size + d] * scale;
    }
}

static void forward_size(const struct kernel_call *largest, struct cpu_size *size)
{
    int64_t d = largest->params.attention.head_size;
    size->shared = (size_t)(largest->in[0].shape.dim[0] + 2) * sizeof(int32_t);
    size->thread = (size_t)(2 * d * COLUMNS + KEYS * (COLUMNS + d)) * sizeof(float);
}

/* shared: number of tiles, then where each begins, then T. A tile ends where the range's begin
 * changes, so that one tile's columns see nearly the same keys. */
static uint32_t forward_tasks(struct cpu_job *job)
{
    struct heads a = heads_of(&job->call);
    int32_t *tile = job->shared;
    int32_t count = 0;
    int64_t begin = 0;
    if (a.out_o == NULL && a.out_lse == NULL) return 0;
    for (int64_t t = 0; t < a.queries; t++) {
        if (t > 0 && t - begin < a.tokens && (a.keys == 0 || a.first[t] == a.first[t - 1]))
            continue;
        begin = t;
        tile[1 + count++] = (int32_t)t;
    }
    tile[0] = count;
    tile[1 + count] = (int32_t)a.queries;
    return (uint32_t)(count * a.g);
}

static void forward(const struct cpu_job *job, uint32_t index, void *scratch)
{
    struct heads a = heads_of(&job->call);
    const int32_t *begin = (const int32_t *)job->shared + 1;
    int64_t at = index / a.g, g = index % a.g;
    for (int64_t h = g * a.group; h < (g + 1) * a.group; h += a.heads) {
        struct tile t;
        tile_init(&t, &a, begin[at], begin[at + 1], h, g);
        forward_tile(&a, &t, scratch);
    }
}

/* Probabilities and dp = v.do become, in place, p and the gradient of the product q.k. */
static void slopes(const struct heads *a, const struct tile *t, const float *lse,
                   const float *delta, int64_t n, float *s, float *dp)
{
    float cap = a->softcap > 0.0f ? 1.0f / a->softcap : 0.0f, scale = a->scale;
    int64_t width = t->width;
    for (int64_t i = 0; i < n; i++) {
        float *line = s + i * width, *dline = dp + i * width;
        PARALLEL_LOOP
        for (int64_t j = 0; j < width; j++) {
            float score = line[j], e = exp_f32(score - lse[j]);
            float z = score > -INFINITY ? score * cap : 0.0f;
            float p = score == -INFINITY ? 0.0f : e;
            line[j] = p;
            dline[j] = p * (dline[j] - delta[j]) * (1.0f - z * z) * scale;
        }
    }
}

/* A tile's queries and gradients of o, both ways, and what they make. */
struct back {
    float *q_turned, *d_turned, *q_rows, *d_rows, *dq, *s, *dp;
    float lse[COLUMNS], delta[COLUMNS];
};

static void back_init(struct back *b, const struct heads *a, const struct tile *t, float *scratch)
{
    int64_t part = a->size * COLUMNS;
    b->q_turned = scratch;
    b->d_turned = b->q_turned + part;
    b->q_rows = b->d_turned + part;
    b->d_rows = b->q_rows + part;
    b->dq = b->d_rows + part;
    b->s = b->dq + part;
    b->dp = b->s + KEYS * COLUMNS;
    memset(b->lse, 0, sizeof b->lse);
    memset(b->delta, 0, sizeof b->delta);
    fetch(a, t, a->q, b->q_rows, b->q_turned);
    fetch(a, t, a->d, b->d_rows, b->d_turned);
    memset(b->dq, 0, (size_t)(t->columns * a->size) * sizeof *b->dq);
    for (int64_t j = 0; j < t->columns; j++) {
        int64_t at = at_column(a, t, j);
        b->lse[j] = a->lse[at];
        b->delta[j] = row_dot(b->d_rows + j * a->size, a->o + at * a->size, a->size);
    }
}

/* The tile against keys [s0, s0 + n), n <= KEYS: leaves p and dp in b. */
static void back_keys(struct back *b, const struct heads *a, const struct tile *t, bool prefix,
                      int64_t s0, int64_t n)
{
    against(a, t, prefix ? a->pk : a->k, s0, n, b->q_turned, b->s);
    score(a, t, prefix, s0, n, b->s);
    against(a, t, prefix ? a->pv : a->v, s0, n, b->d_turned, b->dp);
    slopes(a, t, b->lse, b->delta, n, b->s, b->dp);
}

static void backward_tile(const struct heads *a, const struct tile *t, float *scratch)
{
    struct back b;
    back_init(&b, a, t, scratch);
    for (int64_t s0 = 0; a->dq != NULL && s0 < a->prefix; s0 += KEYS) {
        int64_t n = cpu_smaller(KEYS, a->prefix - s0);
        back_keys(&b, a, t, true, s0, n);
        gather(a, t, a->pk, s0, n, b.dp, b.dq);
    }
    for (int64_t s0 = t->low; s0 < t->high; s0 += KEYS) {
        int64_t n = cpu_smaller(KEYS, t->high - s0);
        back_keys(&b, a, t, false, s0, n);
        if (a->dv != NULL) spread(a, t, a->dv, s0, n, b.s, b.d_rows);
        if (a->dk != NULL) spread(a, t, a->dk, s0, n, b.dp, b.q_rows);
        if (a->dq != NULL) gather(a, t, a->k, s0, n, b.dp, b.dq);
    }
    for (int64_t j = 0; a->dq != NULL && j < t->columns; j++)
        memcpy(a->dq + at_column(a, t, j) * a->size, b.dq + j * a->size,
               (size_t)a->size * sizeof *b.dq);
}

static void backward_size(const struct kernel_call *largest, struct cpu_size *size)
{
    int64_t d = largest->params.attention.head_size;
    size->shared = (size_t)(2 * largest->in[0].shape.dim[0] + 2) * sizeof(int32_t);
    size->thread = (size_t)(5 * d * COLUMNS + 2 * KEYS * COLUMNS) * sizeof(float);
}

/* shared: number of documents, where each begins, T. Token t begins one if no later token sees a
 * key before t and no earlier one sees a key from t on. */
static uint32_t backward_tasks(struct cpu_job *job)
{
    struct heads a = heads_of(&job->call);
    int32_t *begin = (int32_t *)job->shared + 1, *least = begin + a.queries + 1, count = 0;
    if (a.queries == 0 && a.keys == 0) return 0;
    if (a.dq == NULL && a.dk == NULL && a.dv == NULL) return 0;
    int64_t lowest = INT32_MAX, highest = -1;
    for (int64_t t = a.queries - 1; t >= 0; t--) {
        lowest = cpu_smaller(lowest, first_key(&a, t));
        least[t] = (int32_t)lowest;
    }
    for (int64_t t = 0; t < a.queries; t++) {
        bool apart =
            a.keys == 0 ? t % a.tokens == 0 : a.keys == a.queries && least[t] >= t && highest < t;
        if (t == 0 || apart) begin[count++] = (int32_t)t;
        highest = cpu_larger(highest, last_key(&a, t));
    }
    if (count == 0) begin[count++] = 0;
    begin[count] = (int32_t)a.queries;
    *(int32_t *)job->shared = count;
    return (uint32_t)(count * a.g);
}

static void clear_rows(const struct heads *a, float *x, int64_t s0, int64_t s1, int64_t g)
{
    for (int64_t s = s0; x != NULL && s < s1; s++)
        memset(x + (s * a->g + g) * a->size, 0, (size_t)a->size * sizeof *x);
}

static void backward(const struct cpu_job *job, uint32_t index, void *scratch)
{
    struct heads a = heads_of(&job->call);
    const int32_t *begin = (const int32_t *)job->shared + 1;
    int64_t at = index / a.g, g = index % a.g, t0 = begin[at], t1 = begin[at + 1];
    bool own = a.keys == a.queries; /* else one task has all keys */
    clear_rows(&a, a.dk, own ? t0 : 0, own ? t1 : a.keys, g);
    clear_rows(&a, a.dv, own ? t0 : 0, own ? t1 : a.keys, g);
    for (int64_t t = t0; t < t1; t += a.tokens) {
        for (int64_t h = g * a.group; h < (g + 1) * a.group; h += a.heads) {
            struct tile tile;
            tile_init(&tile, &a, t, cpu_smaller(t1, t + a.tokens), h, g);
            backward_tile(&a, &tile, scratch);
        }
    }
}

static uint32_t prefix_tasks(struct cpu_job *job)
{
    struct heads a = heads_of(&job->call);
    if (a.dpk == NULL && a.dpv == NULL) return 0;
    return (uint32_t)(cpu_parts(a.prefix, KEYS) * a.g);
}

static void prefix_backward(const struct cpu_job *job, uint32_t index, void *scratch)
{
    struct heads a = heads_of(&job->call);
    struct cpu_range keys = cpu_piece(a.prefix, KEYS, index / a.g);
    int64_t g = index % a.g, n = keys.end - keys.begin;
    clear_rows(&a, a.dpk, keys.begin, keys.end, g);
    clear_rows(&a, a.dpv, keys.begin, keys.end, g);
    for (int64_t t = 0; t < a.queries; t += a.tokens)
        for (int64_t h = g * a.group; h < (g + 1) * a.group; h += a.heads) {
            struct tile tile;
            struct back b;
            tile_init(&tile, &a, t, cpu_smaller(a.queries, t + a.tokens), h, g);
            back_init(&b, &a, &tile, scratch);
            back_keys(&b, &a, &tile, true, keys.begin, n);
            if (a.dpv != NULL) spread(&a, &tile, a.dpv, keys.begin, n, b.s, b.d_rows);
            if (a.dpk != NULL) spread(&a, &tile, a.dpk, keys.begin, n, b.dp, b.q_rows);
        }
}

const struct cpu_kernel cpu_attention = {forward_size, {{forward_tasks, forward}}};
const struct cpu_kernel cpu_attention_backward = {
    backward_size, {{backward_tasks, backward}, {prefix_tasks, prefix_backward}}};

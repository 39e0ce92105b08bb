/* SPDX-License-Identifier: Apache-2.0
 *
 * The forward pass: one task per tile and key/value head; a running maximum and sum per column.
 */
#include "cpu/attention.h"

#include "cpu/exp.h"
#include "cpu/row.h"

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
        attention_against(a, t, k, prefix, s0, n, f->turned, f->s);
        attention_score(a, t, prefix, s0, n, f->s);
        soften(t, &f->r, n, f->s);
        scale_rows(a, t, f->r.scale, f->rows);
        attention_gather(a, t, v, prefix, s0, n, f->s, f->rows);
    }
}

static void forward_tile(const struct heads *a, const struct tile *t, float *scratch)
{
    struct forward f = {.turned = scratch};
    struct running *r = &f.r;
    bool slim = is_slim(a, t);
    f.s = f.turned + attention_turned(a->size) + a->size * KEYS;
    f.rows = f.s + KEYS * COLUMNS;
    attention_fetch(a, t, a->q, slim ? f.turned : f.rows, slim ? NULL : f.turned);
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

/* Of struct forward: turned with the panels of a slim tile, s, rows. */
static int64_t forward_floats(int64_t size)
{
    return attention_turned(size) + size * KEYS + KEYS * COLUMNS + size * COLUMNS;
}

static void forward_size(const struct kernel_call *largest, struct cpu_size *size)
{
    int64_t d = largest->params.attention.head_size;
    size->shared = (size_t)(largest->in[0].shape.dim[0] + 2) * sizeof(int32_t);
    size->thread =
        (size_t)forward_floats(d) * sizeof(float) + (size_t)attention_words(d) * sizeof(uint16_t);
}

/* shared: number of tiles, then where each begins, then T. A tile ends where the range's begin
 * changes, so that one tile's columns see nearly the same keys. */
static uint32_t forward_tasks(struct cpu_job *job)
{
    struct heads a = attention_heads(job, NULL);
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
    float *words = (float *)scratch + forward_floats(job->call.params.attention.head_size);
    struct heads a = attention_heads(job, words);
    const int32_t *begin = (const int32_t *)job->shared + 1;
    int64_t at = index / a.g, g = index % a.g;
    for (int64_t h = g * a.group; h < (g + 1) * a.group; h += a.heads) {
        struct tile t;
        attention_tile(&t, &a, begin[at], begin[at + 1], h, g);
        forward_tile(&a, &t, scratch);
    }
}

const struct cpu_kernel cpu_attention = {forward_size, {{forward_tasks, forward}}};

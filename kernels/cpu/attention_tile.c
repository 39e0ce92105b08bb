/* SPDX-License-Identifier: Apache-2.0
 *
 * A tile of attention and the products it is made of. A number whose key is not seen is 0 in every
 * sum, so leaving it out changes no bits.
 */
#include "cpu/attention.h"

#include "cpu/exp.h"

enum { GROUP = 2 * GEMM_ROWS /* keys or columns between which the seen part changes */ };

struct heads attention_heads(const struct cpu_job *job, void *words)
{
    const struct kernel_call *call = &job->call;
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
    if (p->attention.compute == GRAFT_DTYPE_BF16 && a.size <= NARROW_DEPTH) a.narrow = job->narrow;
    a.words = words;
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

void attention_tile(struct tile *t, const struct heads *a, int64_t t0, int64_t t1, int64_t h0,
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

void attention_fetch(const struct heads *a, const struct tile *t, const float *x, float *rows,
                     float *turned)
{
    int64_t part = t->heads * a->size; /* of a token: its heads follow each other */
    for (int64_t i = 0; i < t->t1 - t->t0; i++)
        memcpy(rows + i * part, x + at_column(a, t, i * t->heads) * a->size,
               (size_t)part * sizeof *rows);
    if (turned == NULL) return;
    if (a->narrow != NULL) {
        attention_narrow_turn(a, t, rows, turned);
        return;
    }
    for (int64_t d = 0; d < a->size; d += GEMM_DEPTH)
        gemm_pack_columns(rows + d, a->size, cpu_smaller(GEMM_DEPTH, a->size - d), t->columns,
                          turned + d * t->width);
}

/* Columns before this one see none of the keys from `key` on. */
static int64_t first_column(const struct tile *t, int64_t key)
{
    int64_t j = 0;
    while (j < t->columns && t->to[j] < key) j++;
    return j;
}

/* Behind the last key that any of the columns [j, end) sees. */
static int64_t behind(const struct tile *t, int64_t j, int64_t end)
{
    int64_t key = 0;
    for (; j < end; j++) key = cpu_larger(key, (int64_t)t->to[j] + 1);
    return key;
}

/* Of keys [s0, s0 + n) so many are seen by every column. */
static int64_t seen_by_all(const struct tile *t, bool prefix, int64_t s0, int64_t n)
{
    return prefix ? n : cpu_larger(0, cpu_smaller(n, t->all_high - s0));
}

/* Columns from `column` on, a multiple of GEMM_PANEL. */
static void panels_against(const struct heads *a, const struct tile *t, struct gemm g,
                           const float *turned, int64_t column)
{
    const float *keys = g.a;
    g.n = t->width - column;
    g.c += column;
    for (int64_t d = 0; d < a->size && g.n > 0; d += GEMM_DEPTH) {
        g.k = cpu_smaller(GEMM_DEPTH, a->size - d);
        g.a = keys + d;
        g.b = turned + d * t->width + column * g.k;
        g.add = d > 0;
        gemm(&g);
    }
}

void attention_against(const struct heads *a, const struct tile *t, const float *x, bool prefix,
                       int64_t s0, int64_t n, const float *turned, float *s)
{
    if (a->narrow != NULL) {
        attention_narrow_against(a, t, x, s0, n, turned, s);
        return;
    }
    int64_t all = seen_by_all(t, prefix, s0, n), step = all;
    struct gemm g = {.a_row = a->g * a->size, .a_col = 1, .c_row = t->width};
    for (int64_t i = 0; i < n; i += step, step = GROUP) {
        if (step == 0) continue;
        g.m = cpu_smaller(step, n - i);
        g.a = x + ((s0 + i) * a->g + t->g) * a->size;
        g.c = s + i * t->width;
        int64_t column = i < all ? 0 : first_column(t, s0 + i) / GEMM_PANEL * GEMM_PANEL;
        panels_against(a, t, g, turned, column);
    }
}

void attention_gather(const struct heads *a, const struct tile *t, const float *x, bool prefix,
                      int64_t s0, int64_t n, const float *s, float *rows)
{
    if (a->narrow != NULL) {
        attention_narrow_gather(a, t, x, s0, n, s, rows);
        return;
    }
    bool all = seen_by_all(t, prefix, s0, n) == n;
    int64_t step = all ? t->columns : GROUP;
    struct gemm g = {.n = a->size, .a_row = 1, .a_col = t->width, .add = 1};
    g.b = x + (s0 * a->g + t->g) * a->size;
    g.b_row = a->g * a->size;
    g.c_row = a->size;
    for (int64_t j = 0; j < t->columns; j += step) {
        g.m = cpu_smaller(step, t->columns - j);
        g.k = all ? n : cpu_smaller(n, behind(t, j, j + g.m) - s0);
        g.a = s + j;
        g.c = rows + j * a->size;
        if (g.k > 0) gemm(&g);
    }
}

void attention_spread(const struct heads *a, const struct tile *t, float *x, bool prefix,
                      int64_t s0, int64_t n, const float *s, const float *rows)
{
    if (a->narrow != NULL) {
        attention_narrow_spread(a, t, x, s0, n, s, rows);
        return;
    }
    int64_t all = seen_by_all(t, prefix, s0, n), step = all;
    struct gemm g = {.n = a->size, .a_row = t->width, .a_col = 1, .add = 1};
    g.b_row = a->size;
    g.c_row = a->g * a->size;
    for (int64_t i = 0; i < n; i += step, step = GROUP) {
        if (step == 0) continue;
        int64_t column = i < all ? 0 : first_column(t, s0 + i);
        g.m = cpu_smaller(step, n - i);
        g.k = t->columns - column;
        g.a = s + i * t->width + column;
        g.b = rows + column * a->size;
        g.c = x + ((s0 + i) * a->g + t->g) * a->size;
        if (g.k > 0) gemm(&g);
    }
}

void attention_score(const struct heads *a, const struct tile *t, bool prefix, int64_t s0,
                     int64_t n, float *s)
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

/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of attention: packed documents, grouped heads, windows, softcap, live rows; forward also
 * with fewer queries than keys and no order between them, as decoding has.
 */
#include "check/case.h"

#include "ref/ref.h"

#include <math.h>

static const struct size {
    int64_t tokens, live, keys; /* keys 0: as many as tokens, packed documents */
    int32_t heads, kv_heads, head_size, window;
    double softcap;
    bool one_document;
} sizes[] = {
    {1, 1, 0, 1, 1, 1, 0, 0, true},          {5, 5, 0, 2, 2, 4, 0, 0, true},
    {33, 33, 0, 4, 2, 8, 0, 0, false},       {70, 41, 0, 9, 3, 16, 0, 0, false},
    {70, 41, 0, 9, 3, 16, 5, 0, false},      {40, 40, 0, 4, 1, 24, 1, 0, true},
    {40, 40, 0, 4, 1, 24, 7, 30, true},      {40, 33, 0, 2, 1, 64, 0, 2, false},
    {9, 0, 0, 2, 1, 8, 0, 0, false},         {150, 150, 0, 2, 2, 6, 0, 0, true},
    {300, 290, 0, 3, 1, 10, 64, 0, true},    {20, 20, 0, 2, 1, 128, 0, 0, false},
    {17, 17, 0, 2, 2, 256, 0, 0, true},      {17, 13, 0, 1, 1, 300, 0, 0, true},
    {130, 130, 0, 8, 2, 32, 100, 50, false}, {1, 1, 50, 4, 2, 8, 0, 0, true},
    {3, 3, 200, 6, 3, 16, 0, 0, true},       {8, 6, 90, 4, 4, 32, 9, 0, true},
    {8, 8, 300, 2, 1, 64, 0, 20, true},
};

enum { ALL = sizeof sizes / sizeof sizes[0], PACKED = ALL - 4 };

static void make(uint32_t index, struct check_case *c)
{
    const struct size *s = &sizes[index];
    bool decode = s->keys > 0;
    int32_t key_rows = decode ? GRAFT_ROWS_FIXED : GRAFT_ROWS_TOKENS;
    struct graft_shape q = graft_shape2(s->tokens, s->heads * s->head_size);
    struct graft_shape k = graft_shape2(decode ? s->keys : s->tokens, s->kv_heads * s->head_size);
    case_begin(c, GRAFT_OP_ATTENTION,
               "%d/%d tokens, %d keys, %d heads in %d of %d, window %d, softcap %g%s", (int)s->live,
               (int)s->tokens, (int)k.dim[0], s->heads, s->kv_heads, s->head_size, s->window,
               s->softcap, s->one_document ? "" : ", documents");
    case_input(c, FILL_NORMAL, q, GRAFT_ROWS_TOKENS)->scale = s->softcap > 0 ? 3.0 : 1.0;
    case_input(c, FILL_NORMAL, k, key_rows);
    case_input(c, FILL_NORMAL, k, key_rows);
    struct check_input *first = case_input(c, s->one_document ? FILL_INDEX : FILL_DOCUMENT,
                                           graft_shape1(s->tokens), GRAFT_ROWS_TOKENS);
    first->limit = 1;
    case_input(c, decode ? FILL_INDEX : FILL_COUNT, graft_shape1(s->tokens), GRAFT_ROWS_TOKENS)
        ->limit = s->keys;
    case_live(c, s->live, 0);
    c->params.attention.scale = 1.0 / sqrt((double)s->head_size);
    c->params.attention.softcap = s->softcap;
    c->params.attention.heads = s->heads;
    c->params.attention.kv_heads = s->kv_heads;
    c->params.attention.head_size = s->head_size;
    c->params.attention.window = s->window;
}

/* Decoding: a first key somewhere below the last. */
static void ranges(struct check_data *d, struct draw *draw)
{
    int32_t *first = d->call.in[3].data;
    if (d->c.in[4].fill != FILL_INDEX) return;
    for (int64_t t = 0; t < d->call.in[3].shape.dim[0]; t++)
        first[t] = (int32_t)draw_below(draw, i32_in(d, 4)[t] + 1);
}

static void make_backward(uint32_t index, struct check_case *c)
{
    const struct size *s = &sizes[index % PACKED];
    make(index % PACKED, c);
    c->op = GRAFT_OP_ATTENTION_BACKWARD;
    case_input(c, FILL_NORMAL, c->in[0].shape, GRAFT_ROWS_TOKENS);                    /* o */
    case_input(c, FILL_NORMAL, graft_shape2(s->tokens, s->heads), GRAFT_ROWS_TOKENS); /* lse */
    case_input(c, FILL_NORMAL, c->in[0].shape, GRAFT_ROWS_TOKENS);                    /* do */
    c->absent = index < PACKED ? 0 : 1u << index % 3;
}

/* o and lse as the forward pass gives them. */
static void forward(struct check_data *d, struct draw *draw)
{
    struct kernel_call call = d->call;
    (void)draw;
    call.op = GRAFT_OP_ATTENTION;
    call.out[0] = d->call.in[5];
    call.out[1] = d->call.in[6];
    ref_kernel_f64(GRAFT_OP_ATTENTION)(&call);
}

/* One query head and one key: what the score and the probability are, and sum |q k| * scale. */
struct edge {
    double p, terms;
};

static double dot(const double *x, const double *y, int64_t n, bool absolute)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += absolute ? fabs(x[i] * y[i]) : x[i] * y[i];
    return sum;
}

static struct edge edge_of(const struct check_data *d, int64_t t, int64_t h, int64_t s, double lse)
{
    const union graft_params *p = &d->c.params;
    int64_t size = p->attention.head_size, kv = p->attention.kv_heads;
    int64_t heads = p->attention.heads, g = h / (heads / kv);
    const double *q = f64_in(d, 0) + (t * heads + h) * size;
    const double *k = f64_in(d, 1) + (s * kv + g) * size;
    double z = p->attention.scale * dot(q, k, size, false), cap = p->attention.softcap;
    if (cap > 0.0) z = cap * tanh(z / cap);
    return (struct edge){exp(z - lse), p->attention.scale * dot(q, k, size, true)};
}

static int64_t first_key(const struct check_data *d, int64_t t)
{
    int64_t first = i32_in(d, 3)[t], window = d->c.params.attention.window;
    int64_t windowed = window > 0 ? i32_in(d, 4)[t] - window + 1 : 0;
    return first > windowed ? first : windowed;
}

static int64_t magnitude(struct check_data *d)
{
    int64_t size = d->c.params.attention.head_size, heads = d->c.params.attention.heads;
    int64_t kv = d->c.params.attention.kv_heads, length = size;
    for (int64_t t = 0; t < d->call.in[0].shape.dim[0]; t++)
        for (int64_t h = 0; h < heads; h++) {
            double lse = f64_out(d, 1)[t * heads + h], most = 0.0;
            double *o = d->budget[0] + (t * heads + h) * size;
            int64_t first = first_key(d, t), last = i32_in(d, 4)[t];
            for (int64_t s = first; s <= last; s++) {
                struct edge e = edge_of(d, t, h, s, lse);
                const double *v = f64_in(d, 2) + (s * kv + h / (heads / kv)) * size;
                most = fmax(most, e.terms);
                for (int64_t i = 0; i < size; i++) o[i] += e.p * fabs(v[i]);
            }
            for (int64_t i = 0; i < size; i++) o[i] *= 1.0 + most;
            d->budget[1][t * heads + h] = 1.0 + fabs(lse) + most;
            if (last - first + 1 > length) length = last - first + 1;
        }
    return length;
}

/* What |dq|, |dk| and |dv| would be without any cancellation, times 1 + sum |q k| + |lse|. */
static void add_edge(struct check_data *d, int64_t t, int64_t h, int64_t s)
{
    int64_t size = d->c.params.attention.head_size, heads = d->c.params.attention.heads;
    int64_t kv = d->c.params.attention.kv_heads;
    int64_t at = (t * heads + h) * size, from = (s * kv + h / (heads / kv)) * size;
    double lse = f64_in(d, 6)[t * heads + h];
    struct edge e = edge_of(d, t, h, s, lse);
    const double *out = f64_in(d, 5) + at, *grad = f64_in(d, 7) + at;
    double p = e.p * (1.0 + e.terms + fabs(lse));
    double dz = d->c.params.attention.scale * p *
                (dot(grad, f64_in(d, 2) + from, size, true) + dot(grad, out, size, true));
    for (int64_t i = 0; i < size; i++) {
        d->budget[0][at + i] += dz * fabs(f64_in(d, 1)[from + i]);
        d->budget[1][from + i] += dz * fabs(f64_in(d, 0)[at + i]);
        d->budget[2][from + i] += p * fabs(grad[i]);
    }
}

static int64_t magnitude_backward(struct check_data *d)
{
    int64_t tokens = d->call.in[0].shape.dim[0];
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t h = 0; h < d->c.params.attention.heads; h++)
            for (int64_t s = first_key(d, t); s <= i32_in(d, 4)[t]; s++) add_edge(d, t, h, s);
    int64_t size = d->c.params.attention.head_size;
    return tokens > size ? tokens : size;
}

const struct check_family check_attention = {ALL, make, ranges, magnitude, NULL};
const struct check_family check_attention_backward = {PACKED + 6, make_backward, forward,
                                                      magnitude_backward, NULL};

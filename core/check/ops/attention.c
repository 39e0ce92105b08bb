/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of attention: packed documents, grouped heads, windows, softcap, live rows, a prefix beside
 * or instead of the queries' own keys; forward also with fewer queries than keys and no order
 * between them, as decoding has.
 */
#include "check/case.h"

#include "ref/ref.h"

#include <math.h>

static const struct size {
    int64_t tokens, live, keys; /* keys 0: as many as tokens, packed documents */
    int32_t heads, kv_heads, head_size, window;
    double softcap;
    bool one_document;
    int64_t prefix;
    bool alone; /* the prefix is all there is */
} sizes[] = {
    {1, 1, 0, 1, 1, 1, 0, 0, true, 0, false},
    {5, 5, 0, 2, 2, 4, 0, 0, true, 0, false},
    {33, 33, 0, 4, 2, 8, 0, 0, false, 0, false},
    {70, 41, 0, 9, 3, 16, 0, 0, false, 0, false},
    {70, 41, 0, 9, 3, 16, 5, 0, false, 0, false},
    {40, 40, 0, 4, 1, 24, 1, 0, true, 0, false},
    {40, 40, 0, 4, 1, 24, 7, 30, true, 0, false},
    {40, 33, 0, 2, 1, 64, 0, 2, false, 0, false},
    {9, 0, 0, 2, 1, 8, 0, 0, false, 0, false},
    {150, 150, 0, 2, 2, 6, 0, 0, true, 0, false},
    {300, 290, 0, 3, 1, 10, 64, 0, true, 0, false},
    {20, 20, 0, 2, 1, 128, 0, 0, false, 0, false},
    {17, 17, 0, 2, 2, 256, 0, 0, true, 0, false},
    {17, 13, 0, 1, 1, 300, 0, 0, true, 0, false},
    {130, 130, 0, 8, 2, 32, 100, 50, false, 0, false},
    {700, 690, 0, 4, 2, 8, 0, 0, true, 0, false},
    {600, 520, 0, 3, 1, 10, 70, 0, true, 0, false},
    {33, 33, 0, 4, 2, 8, 0, 0, false, 1, false},
    {70, 41, 0, 9, 3, 16, 5, 0, false, 7, false},
    {40, 40, 0, 4, 1, 24, 7, 30, true, 20, false},
    {130, 128, 0, 2, 2, 32, 0, 0, false, 20, false},
    {600, 600, 0, 4, 2, 8, 0, 0, true, 9, false},
    {9, 0, 0, 2, 1, 8, 0, 0, false, 7, false},
    {30, 29, 0, 2, 1, 300, 0, 0, false, 20, false},
    {17, 17, 0, 2, 1, 64, 0, 2, true, 300, false},
    {1, 1, 0, 1, 1, 1, 0, 0, true, 1, true},
    {70, 41, 0, 9, 3, 16, 0, 0, true, 7, true},
    {150, 150, 0, 4, 1, 24, 0, 30, true, 20, true},
    {9, 0, 0, 2, 1, 8, 0, 0, true, 20, true},
    {40, 40, 0, 4, 2, 12, 0, 0, true, 150, true},
    {1, 1, 50, 4, 2, 8, 0, 0, true, 0, false},
    {3, 3, 200, 6, 3, 16, 0, 0, true, 0, false},
    {8, 6, 90, 4, 4, 32, 9, 0, true, 0, false},
    {8, 8, 300, 2, 1, 64, 0, 20, true, 0, false},
    {3, 3, 200, 6, 3, 16, 0, 0, true, 20, false},
    {300, 3, 600, 8, 4, 8, 0, 0, true, 0, false},
    {300, 290, 600, 2, 1, 8, 0, 0, true, 0, false},
    {16, 1, 2048, 8, 4, 8, 0, 0, true, 0, false},
};

/* The first with a prefix; the ends of the packed ones and of all. */
enum { PREFIX = 17, ALL = sizeof sizes / sizeof sizes[0], PACKED = ALL - 8 };

static void make_prefix(struct check_case *c, const struct size *s)
{
    struct graft_shape shape = graft_shape2(s->prefix, s->kv_heads * s->head_size);
    for (int i = 0; s->prefix > 0 && i < 2; i++)
        case_input(c, FILL_NORMAL, shape, GRAFT_ROWS_FIXED);
}

static void make_own(struct check_case *c, const struct size *s)
{
    bool decode = s->keys > 0;
    int32_t key_rows = decode ? GRAFT_ROWS_FIXED : GRAFT_ROWS_TOKENS;
    struct graft_shape k = graft_shape2(decode ? s->keys : s->tokens, s->kv_heads * s->head_size);
    case_input(c, FILL_NORMAL, k, key_rows);
    case_input(c, FILL_NORMAL, k, key_rows);
    struct check_input *first = case_input(c, s->one_document ? FILL_INDEX : FILL_DOCUMENT,
                                           graft_shape1(s->tokens), GRAFT_ROWS_TOKENS);
    first->limit = 1;
    case_input(c, decode ? FILL_INDEX : FILL_COUNT, graft_shape1(s->tokens), GRAFT_ROWS_TOKENS)
        ->limit = s->keys;
}

static void make_all(struct check_case *c, const struct size *s)
{
    struct graft_shape q = graft_shape2(s->tokens, s->heads * s->head_size);
    case_begin(c, GRAFT_OP_ATTENTION,
               "%d/%d tokens, %d keys, prefix %d, %d heads in %d of %d, window %d, softcap %g%s",
               (int)s->live, (int)s->tokens,
               s->alone ? 0 : (int)(s->keys > 0 ? s->keys : s->tokens), (int)s->prefix, s->heads,
               s->kv_heads, s->head_size, s->window, s->softcap,
               s->one_document ? "" : ", documents");
    case_input(c, FILL_NORMAL, q, GRAFT_ROWS_TOKENS)->scale = s->softcap > 0 ? 3.0 : 1.0;
    if (s->alone)
        c->input_count += 4;
    else
        make_own(c, s);
    case_live(c, s->live, 0);
    c->params.attention.scale = 1.0 / sqrt((double)s->head_size);
    c->params.attention.softcap = s->softcap;
    c->params.attention.heads = s->heads;
    c->params.attention.kv_heads = s->kv_heads;
    c->params.attention.head_size = s->head_size;
    c->params.attention.window = s->window;
}

static void make(uint32_t index, struct check_case *c)
{
    make_all(c, &sizes[index]);
    make_prefix(c, &sizes[index]);
    if (sizes[index].keys > 500) c->absent = 2; /* decoding reads no lse */
}

/* Decoding: a first key somewhere below the last. */
static void ranges(struct check_data *d, struct draw *draw)
{
    int32_t *first = d->call.in[3].data;
    if (d->c.in[4].fill != FILL_INDEX) return;
    for (int64_t t = 0; t < d->call.in[3].shape.dim[0]; t++)
        first[t] = (int32_t)draw_below(draw, i32_in(d, 4)[t] + 1);
}

/* After the packed sizes: each output absent once, of six without a prefix and of two with one. */
static void make_backward(uint32_t index, struct check_case *c)
{
    uint32_t more = index - PACKED, at = index;
    if (index >= PACKED) at = more < 6 ? more : PREFIX + (more - 6) / 5;
    const struct size *s = &sizes[at];
    make_all(c, s);
    c->op = GRAFT_OP_ATTENTION_BACKWARD;
    case_input(c, FILL_NORMAL, c->in[0].shape, GRAFT_ROWS_TOKENS);                    /* o */
    case_input(c, FILL_NORMAL, graft_shape2(s->tokens, s->heads), GRAFT_ROWS_TOKENS); /* lse */
    case_input(c, FILL_NORMAL, c->in[0].shape, GRAFT_ROWS_TOKENS);                    /* do */
    make_prefix(c, s);
    if (index >= PACKED) c->absent = 1u << (more < 6 ? more % 3 : (more - 6) % 5);
}

/* o and lse as the forward pass gives them. */
static void forward(struct check_data *d, struct draw *draw)
{
    struct kernel_call call = d->call;
    (void)draw;
    call.op = GRAFT_OP_ATTENTION;
    call.out[0] = d->call.in[5];
    call.out[1] = d->call.in[6];
    call.in[5] = d->call.in[8];
    call.in[6] = d->call.in[9];
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

static uint32_t prefix_input(const struct check_data *d)
{
    return d->c.op == GRAFT_OP_ATTENTION ? 5 : 8;
}

/* Rows of the prefix; 0 where there is none. */
static int64_t prefix_of(const struct check_data *d)
{
    return d->call.in[prefix_input(d)].shape.dim[0];
}

/* The numbers of key (value 0) or value (1) s of query head h; below 0: of the prefix. */
static const double *key_row(const struct check_data *d, uint32_t value, int64_t s, int64_t h)
{
    const union graft_params *p = &d->c.params;
    int64_t kv = p->attention.kv_heads, g = h / (p->attention.heads / kv);
    const double *x = s < 0 ? f64_in(d, prefix_input(d) + value) : f64_in(d, 1 + value);
    return x + ((s < 0 ? s + prefix_of(d) : s) * kv + g) * p->attention.head_size;
}

static struct edge edge_of(const struct check_data *d, int64_t t, int64_t h, int64_t s, double lse)
{
    const union graft_params *p = &d->c.params;
    int64_t size = p->attention.head_size;
    const double *q = f64_in(d, 0) + (t * p->attention.heads + h) * size;
    const double *k = key_row(d, 0, s, h);
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

/* Query t sees count_keys keys, the i-th of them is key_at(i). */
static int64_t count_keys(const struct check_data *d, int64_t t)
{
    int64_t own = d->call.in[1].data != NULL ? i32_in(d, 4)[t] - first_key(d, t) + 1 : 0;
    return prefix_of(d) + own;
}

static int64_t key_at(const struct check_data *d, int64_t t, int64_t i)
{
    int64_t prefix = prefix_of(d);
    return i < prefix ? i - prefix : first_key(d, t) + i - prefix;
}

static int64_t magnitude(struct check_data *d)
{
    int64_t size = d->c.params.attention.head_size, heads = d->c.params.attention.heads;
    int64_t length = size;
    for (int64_t t = 0; t < d->call.in[0].shape.dim[0]; t++)
        for (int64_t h = 0; h < heads; h++) {
            double lse = f64_out(d, 1)[t * heads + h], most = 0.0;
            double *o = d->budget[0] + (t * heads + h) * size;
            for (int64_t k = 0; k < count_keys(d, t); k++) {
                int64_t s = key_at(d, t, k);
                struct edge e = edge_of(d, t, h, s, lse);
                const double *v = key_row(d, 1, s, h);
                most = fmax(most, e.terms);
                for (int64_t i = 0; i < size; i++) o[i] += e.p * fabs(v[i]);
            }
            for (int64_t i = 0; i < size; i++) o[i] *= 1.0 + most;
            d->budget[1][t * heads + h] = 1.0 + fabs(lse) + most;
            if (count_keys(d, t) > length) length = count_keys(d, t);
        }
    return length;
}

/* What |dq|, |dk| and |dv| would be without any cancellation, times 1 + sum |q k| + |lse|. */
static void add_edge(struct check_data *d, int64_t t, int64_t h, int64_t s)
{
    int64_t size = d->c.params.attention.head_size, heads = d->c.params.attention.heads;
    int64_t kv = d->c.params.attention.kv_heads, row = s < 0 ? s + prefix_of(d) : s;
    int64_t at = (t * heads + h) * size, from = (row * kv + h / (heads / kv)) * size;
    double lse = f64_in(d, 6)[t * heads + h];
    struct edge e = edge_of(d, t, h, s, lse);
    const double *k = key_row(d, 0, s, h), *v = key_row(d, 1, s, h);
    double *dk = d->budget[s < 0 ? 3 : 1] + from, *dv = d->budget[s < 0 ? 4 : 2] + from;
    const double *out = f64_in(d, 5) + at, *grad = f64_in(d, 7) + at;
    double p = e.p * (1.0 + e.terms + fabs(lse));
    double dz =
        d->c.params.attention.scale * p * (dot(grad, v, size, true) + dot(grad, out, size, true));
    for (int64_t i = 0; i < size; i++) {
        d->budget[0][at + i] += dz * fabs(k[i]);
        dk[i] += dz * fabs(f64_in(d, 0)[at + i]);
        dv[i] += p * fabs(grad[i]);
    }
}

static int64_t magnitude_backward(struct check_data *d)
{
    int64_t tokens = d->call.in[0].shape.dim[0];
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t h = 0; h < d->c.params.attention.heads; h++)
            for (int64_t i = 0; i < count_keys(d, t); i++) add_edge(d, t, h, key_at(d, t, i));
    int64_t size = d->c.params.attention.head_size;
    return tokens > size ? tokens : size;
}

const struct check_family check_attention = {ALL, make, ranges, magnitude, NULL};
const struct check_family check_attention_backward = {PACKED + 16, make_backward, forward,
                                                      magnitude_backward, NULL};

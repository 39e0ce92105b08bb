/* SPDX-License-Identifier: Apache-2.0
 *
 * The backward pass: a task takes a key/value head and the queries of a document, so that dk and dv
 * have one writer. Of a long document it takes a part of the queries, as much work as each other
 * part; what all but the first make of dk and dv lies apart and is added in the second phase, which
 * has a task besides per KEYS of the prefix and key/value head, over all queries for dpk and dpv.
 */
#include "cpu/attention.h"

#include "cpu/exp.h"
#include "cpu/row.h"

enum { PARTS = 4, LONG = 512 /* tokens of a document in parts */ };

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
            float slope = p * (dline[j] - delta[j]) * (1.0f - z * z) * scale;
            dline[j] = score == -INFINITY ? 0.0f : slope; /* what is not seen was not computed */
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
    int64_t part = a->size * COLUMNS, turned = attention_turned(a->size);
    b->q_turned = scratch;
    b->d_turned = b->q_turned + turned;
    b->q_rows = b->d_turned + turned;
    b->d_rows = b->q_rows + part;
    b->dq = b->d_rows + part;
    b->s = b->dq + part;
    b->dp = b->s + KEYS * COLUMNS;
    memset(b->lse, 0, sizeof b->lse);
    memset(b->delta, 0, sizeof b->delta);
    attention_fetch(a, t, a->q, b->q_rows, b->q_turned);
    attention_fetch(a, t, a->d, b->d_rows, b->d_turned);
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
    attention_against(a, t, prefix ? a->pk : a->k, prefix, s0, n, b->q_turned, b->s);
    attention_score(a, t, prefix, s0, n, b->s);
    attention_against(a, t, prefix ? a->pv : a->v, prefix, s0, n, b->d_turned, b->dp);
    slopes(a, t, b->lse, b->delta, n, b->s, b->dp);
}

static void backward_tile(const struct heads *a, const struct tile *t, float *scratch)
{
    struct back b;
    back_init(&b, a, t, scratch);
    for (int64_t s0 = 0; a->dq != NULL && s0 < a->prefix; s0 += KEYS) {
        int64_t n = cpu_smaller(KEYS, a->prefix - s0);
        back_keys(&b, a, t, true, s0, n);
        attention_gather(a, t, a->pk, true, s0, n, b.dp, b.dq);
    }
    for (int64_t s0 = t->low; s0 < t->high; s0 += KEYS) {
        int64_t n = cpu_smaller(KEYS, t->high - s0);
        back_keys(&b, a, t, false, s0, n);
        if (a->dv != NULL) attention_spread(a, t, a->dv, false, s0, n, b.s, b.d_rows);
        if (a->dk != NULL) attention_spread(a, t, a->dk, false, s0, n, b.dp, b.q_rows);
        if (a->dq != NULL) attention_gather(a, t, a->k, false, s0, n, b.dp, b.dq);
    }
    for (int64_t j = 0; a->dq != NULL && j < t->columns; j++)
        memcpy(a->dq + at_column(a, t, j) * a->size, b.dq + j * a->size,
               (size_t)a->size * sizeof *b.dq);
}

/* Of struct back. */
static int64_t back_floats(int64_t size)
{
    return 2 * attention_turned(size) + 3 * size * COLUMNS + 2 * KEYS * COLUMNS;
}

static struct heads heads_with(const struct cpu_job *job, void *scratch)
{
    int64_t size = job->call.params.attention.head_size;
    return attention_heads(job, (float *)scratch + back_floats(size));
}

/* shared: number of documents, where each begins, T, then numbers of T tokens that are not used any
 * more when the first phase begins; from here on, dk and dv of the parts but the first. */
static size_t list_bytes(int64_t queries)
{
    return (size_t)(2 * queries + 2 + 15) / 16 * 16 * sizeof(int32_t);
}

/* Their numbers. */
static int64_t apart_floats(const struct heads *a)
{
    return a->queries >= LONG && a->keys == a->queries ? 2 * a->keys * a->g * a->size : 0;
}

static void backward_size(const struct kernel_call *largest, struct cpu_size *size)
{
    int64_t d = largest->params.attention.head_size;
    struct heads a = attention_heads(&(struct cpu_job){.call = *largest}, NULL);
    size->shared = list_bytes(a.queries) + (size_t)((PARTS - 1) * apart_floats(&a)) * sizeof(float);
    size->thread =
        (size_t)back_floats(d) * sizeof(float) + (size_t)attention_words(d) * sizeof(uint16_t);
}

/* Token t begins a document if no later token sees a key before t and no earlier one sees a key
 * from t on. */
static uint32_t backward_tasks(struct cpu_job *job)
{
    struct heads a = attention_heads(job, NULL);
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
    return (uint32_t)(count * PARTS * a.g);
}

/* The queries of part p of document [t0, t1), which see about as many keys as those of another. */
static struct cpu_range part_of(const struct heads *a, int64_t t0, int64_t t1, int64_t p)
{
    static const int64_t shares[PARTS + 1] = {0, 512, 724, 887, 1024}; /* 1024 sqrt(p / 4) */
    int64_t length = t1 - t0;
    if (apart_floats(a) == 0 || length < LONG)
        return p == 0 ? (struct cpu_range){t0, t1} : (struct cpu_range){t1, t1};
    return (struct cpu_range){t0 + length * shares[p] / 1024, t0 + length * shares[p + 1] / 1024};
}

/* dk and dv become those of part p > 0. */
static void set_apart(struct heads *a, void *shared, int64_t p)
{
    float *at = (float *)(void *)((char *)shared + list_bytes(a->queries));
    at += (p - 1) * apart_floats(a);
    if (a->dk != NULL) a->dk = at;
    if (a->dv != NULL) a->dv = at + a->keys * a->g * a->size;
}

static void clear_rows(const struct heads *a, float *x, int64_t s0, int64_t s1, int64_t g)
{
    for (int64_t s = s0; x != NULL && s < s1; s++)
        memset(x + (s * a->g + g) * a->size, 0, (size_t)a->size * sizeof *x);
}

static void backward(const struct cpu_job *job, uint32_t index, void *scratch)
{
    struct heads a = heads_with(job, scratch);
    const int32_t *begin = (const int32_t *)job->shared + 1;
    int64_t at = index / (PARTS * a.g), p = index / a.g % PARTS, g = index % a.g;
    int64_t t0 = begin[at], t1 = begin[at + 1];
    struct cpu_range part = part_of(&a, t0, t1, p);
    if (part.begin == part.end && p > 0) return;
    if (p > 0) set_apart(&a, job->shared, p);
    bool own = a.keys == a.queries; /* else one task has all keys */
    clear_rows(&a, a.dk, own ? t0 : 0, own ? t1 : a.keys, g);
    clear_rows(&a, a.dv, own ? t0 : 0, own ? t1 : a.keys, g);
    for (int64_t t = part.begin; t < part.end; t += a.tokens) {
        for (int64_t h = g * a.group; h < (g + 1) * a.group; h += a.heads) {
            struct tile tile;
            attention_tile(&tile, &a, t, cpu_smaller(part.end, t + a.tokens), h, g);
            backward_tile(&a, &tile, scratch);
        }
    }
}

static uint32_t prefix_tasks(const struct heads *a)
{
    if (a->dpk == NULL && a->dpv == NULL) return 0;
    return (uint32_t)(cpu_parts(a->prefix, KEYS) * a->g);
}

static void prefix_backward(const struct cpu_job *job, uint32_t index, void *scratch)
{
    struct heads a = heads_with(job, scratch);
    struct cpu_range keys = cpu_piece(a.prefix, KEYS, index / a.g);
    int64_t g = index % a.g, n = keys.end - keys.begin;
    clear_rows(&a, a.dpk, keys.begin, keys.end, g);
    clear_rows(&a, a.dpv, keys.begin, keys.end, g);
    for (int64_t t = 0; t < a.queries; t += a.tokens)
        for (int64_t h = g * a.group; h < (g + 1) * a.group; h += a.heads) {
            struct tile tile;
            struct back b;
            attention_tile(&tile, &a, t, cpu_smaller(a.queries, t + a.tokens), h, g);
            back_init(&b, &a, &tile, scratch);
            back_keys(&b, &a, &tile, true, keys.begin, n);
            if (a.dpv != NULL)
                attention_spread(&a, &tile, a.dpv, true, keys.begin, n, b.s, b.d_rows);
            if (a.dpk != NULL)
                attention_spread(&a, &tile, a.dpk, true, keys.begin, n, b.dp, b.q_rows);
        }
}

static void add_rows(const struct heads *a, const float *from, float *to, int64_t s0, int64_t s1,
                     int64_t g)
{
    for (int64_t s = s0; to != NULL && s < s1; s++) {
        int64_t at = (s * a->g + g) * a->size;
        for (int64_t d = 0; d < a->size; d++) to[at + d] += from[at + d];
    }
}

/* The parts of one document in their order. */
static void add_parts(const struct cpu_job *job, uint32_t index)
{
    struct heads a = attention_heads(job, NULL);
    const int32_t *begin = (const int32_t *)job->shared + 1;
    int64_t t0 = begin[index / a.g], t1 = begin[index / a.g + 1], g = index % a.g;
    for (int64_t p = 1; p < PARTS && t1 - t0 >= LONG; p++) {
        struct heads apart = a;
        set_apart(&apart, job->shared, p);
        add_rows(&a, apart.dk, a.dk, t0, t1, g);
        add_rows(&a, apart.dv, a.dv, t0, t1, g);
    }
}

static uint32_t second_tasks(struct cpu_job *job)
{
    struct heads a = attention_heads(job, NULL);
    int64_t documents = apart_floats(&a) > 0 ? *(const int32_t *)job->shared : 0;
    if (a.dk == NULL && a.dv == NULL) documents = 0;
    return prefix_tasks(&a) + (uint32_t)(documents * a.g);
}

static void second(const struct cpu_job *job, uint32_t index, void *scratch)
{
    struct heads a = attention_heads(job, NULL);
    uint32_t prefix = prefix_tasks(&a);
    if (index < prefix)
        prefix_backward(job, index, scratch);
    else
        add_parts(job, index - prefix);
}

const struct cpu_kernel cpu_attention_backward = {
    backward_size, {{backward_tasks, backward}, {second_tasks, second}}};

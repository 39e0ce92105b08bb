/* SPDX-License-Identifier: Apache-2.0
 *
 * The head and its loss in one: z = x · wᵀ, nll, argmax, g = softmax(z) · w - w[target]; R rows,
 * V vocabulary, C channels. The logits never exist as a whole, and there are two products, not
 * three: a task takes a block of rows and a part of the vocabulary, keeps a running maximum per
 * row and scales the sums it has when the maximum grows (Milakov and Gimelshein 2018; Dao et al.
 * 2022). A second phase adds the parts in their order.
 */
#include "cpu/cpu.h"
#include "cpu/dequantize.h"
#include "cpu/exp.h"
#include "cpu/gemm.h"
#include "cpu/narrow.h"
#include "cpu/row.h"

#include <stdbool.h>

enum {
    ROWS = 256,       /* of a task */
    WORDS = 256,      /* of the vocabulary at once */
    PARTS = 4,        /* of the vocabulary, at most */
    TASKS = 16,       /* aimed at: fewer parts where there are many rows */
    COMBINE_ROWS = 16 /* of a task of the second phase */
};

struct head {
    int64_t r, v, c;
    int64_t rows, blocks; /* of a task; of all rows */
    int64_t words, parts; /* of a part; of the vocabulary */
    int32_t dtype;
    const float *x;
    const void *w;
    const int32_t *target;
    bool gradient;
};

/* What a part knows of every row; g: sum of exp(z - largest) * w. */
struct parts {
    float *largest, *sum, *wanted; /* [parts, R] */
    int32_t *argmax;               /* [parts, R] */
    float *g;                      /* [parts, R, C] */
};

static struct head head_of(const struct kernel_call *call)
{
    struct head h = {.r = call->in[0].shape.dim[0], .v = call->in[1].shape.dim[0]};
    h.c = call->in[1].shape.dim[1];
    h.blocks = cpu_larger(1, cpu_parts(h.r, ROWS));
    h.rows = cpu_parts(h.r, h.blocks);
    h.parts = cpu_larger(1, cpu_smaller(PARTS, TASKS / h.blocks));
    h.words = cpu_parts(cpu_parts(h.v, h.parts), WORDS) * WORDS;
    h.parts = cpu_larger(1, cpu_parts(h.v, cpu_larger(1, h.words)));
    h.dtype = call->in[1].dtype;
    h.x = call->in[0].data;
    h.w = call->in[1].data;
    h.target = call->in[2].data;
    h.gradient = call->out[2].data != NULL;
    return h;
}

/* parts * R of any run of up to `rows` rows. */
static int64_t most_part_rows(int64_t rows)
{
    return cpu_larger(rows, cpu_smaller(PARTS * rows, TASKS * ROWS));
}

static void size(const struct kernel_call *largest, struct cpu_size *size)
{
    struct head h = head_of(largest);
    int64_t wide = h.gradient ? h.c : 0;
    size->shared = (size_t)(most_part_rows(h.r) * (4 + wide)) * sizeof(float);
    size->thread = (size_t)(WORDS * h.c + GEMM_DEPTH * WORDS + ROWS * WORDS) * sizeof(float);
    if (largest->params.head.compute == GRAFT_DTYPE_BF16)
        size->thread += (size_t)(ROWS * (WORDS + narrow_k(h.c))) * sizeof(uint16_t);
}

static struct parts parts_of(const struct head *h, void *shared)
{
    int64_t n = h->parts * h->r;
    struct parts p = {.largest = shared};
    p.sum = p.largest + n;
    p.wanted = p.sum + n;
    p.argmax = (int32_t *)(void *)(p.wanted + n);
    p.g = p.wanted + 2 * n;
    return p;
}

static bool any_output(const struct kernel_call *call)
{
    return call->out[0].data != NULL || call->out[1].data != NULL || call->out[2].data != NULL;
}

static uint32_t tasks(struct cpu_job *job)
{
    struct head h = head_of(&job->call);
    return h.r > 0 && any_output(&job->call) ? (uint32_t)(h.blocks * h.parts) : 0;
}

/* Row r's logits z of words first.. become exp(z - largest); what was summed is scaled. */
static void take_row(const struct head *h, const struct parts *p, int64_t part, int64_t r,
                     int64_t first, int64_t count, float *z)
{
    int64_t at = part * h->r + r, target = h->target[r];
    float before = p->largest[at], largest = row_max(z, count, before);
    if (target >= first && target < first + count) p->wanted[at] = z[target - first];
    if (largest > before) {
        int64_t i = 0;
        while (z[i] != largest) i++;
        p->argmax[at] = (int32_t)(first + i);
        p->largest[at] = largest;
        float scale = exp_f32(before - largest), *g = p->g + at * h->c;
        p->sum[at] *= scale;
        if (h->gradient && before > -INFINITY)
            for (int64_t c = 0; c < h->c; c++) g[c] *= scale;
    }
    PARALLEL_LOOP
    for (int64_t i = 0; i < count; i++) z[i] = exp_f32(z[i] - largest);
    p->sum[at] += row_sum(z, count);
}

/* What a task works in; the rows of x as they are or rounded. */
struct work {
    float *z;      /* [ROWS, WORDS] */
    float *panels; /* of either kind */
    float *tile;   /* [WORDS, C] */
    const float *x;
    uint16_t *x16, *z16; /* NULL: f32 */
    int64_t m, count;    /* rows; words at hand, whose weights are w [count, C] */
    const float *w;
};

static struct work work_of(const struct head *h, const struct cpu_job *job, struct cpu_range rows,
                           float *scratch)
{
    struct work k = {.z = scratch, .x = h->x + rows.begin * h->c, .m = rows.end - rows.begin};
    k.panels = k.z + ROWS * WORDS;
    k.tile = k.panels + GEMM_DEPTH * WORDS;
    if (job->narrow == NULL || job->call.params.head.compute != GRAFT_DTYPE_BF16) return k;
    k.z16 = (uint16_t *)(void *)(k.tile + WORDS * h->c);
    k.x16 = k.z16 + ROWS * WORDS;
    narrow_pack_a(k.x, h->c, k.m, h->c, k.x16);
    return k;
}

/* z = x · wᵀ for the words at hand */
static void logits(const struct head *h, const struct cpu_narrow *narrow, const struct work *k)
{
    struct gemm g = {.m = k->m, .n = k->count, .a_row = h->c, .a_col = 1, .b = k->panels};
    g.c = k->z;
    g.c_row = WORDS;
    for (int64_t c = 0; c < h->c; c += GEMM_DEPTH) {
        g.k = cpu_smaller(GEMM_DEPTH, h->c - c);
        g.a = k->x + c;
        g.add = c > 0;
        if (k->x16 != NULL) {
            uint16_t *panels = (uint16_t *)(void *)k->panels;
            narrow_pack_columns(k->w + c, h->c, g.k, k->count, panels);
            narrow->gemm(&(struct narrow_gemm){g.m, g.n, narrow_k(g.k), k->x16 + c, narrow_k(h->c),
                                               panels, g.c, WORDS, g.add});
        } else {
            gemm_pack_columns(k->w + c, h->c, g.k, k->count, k->panels);
            gemm(&g);
        }
    }
}

/* sum [m, C] += z · w */
static void weigh(const struct head *h, const struct cpu_narrow *narrow, const struct work *k,
                  float *sum)
{
    struct gemm g = {.m = k->m, .k = k->count, .a = k->z, .a_row = WORDS, .a_col = 1, .add = 1};
    g.b = k->panels;
    g.c_row = h->c;
    if (k->z16 != NULL) narrow_pack_a(k->z, WORDS, k->m, k->count, k->z16);
    for (int64_t c = 0; c < h->c; c += GEMM_DEPTH) {
        g.n = cpu_smaller(GEMM_DEPTH, h->c - c);
        g.c = sum + c;
        if (k->z16 != NULL) {
            uint16_t *panels = (uint16_t *)(void *)k->panels;
            int64_t wide = narrow_k(k->count);
            narrow_pack_rows(k->w + c, h->c, k->count, g.n, panels);
            narrow->gemm(
                &(struct narrow_gemm){g.m, g.n, wide, k->z16, wide, panels, g.c, h->c, true});
        } else {
            gemm_pack_rows(k->w + c, h->c, k->count, g.n, k->panels);
            gemm(&g);
        }
    }
}

static void run(const struct cpu_job *job, uint32_t index, void *scratch)
{
    struct head h = head_of(&job->call);
    struct parts p = parts_of(&h, job->shared);
    int64_t part = index / h.blocks;
    struct cpu_range rows = cpu_piece(h.r, h.rows, index % h.blocks);
    struct cpu_range words = cpu_piece(h.v, h.words, part);
    struct work k = work_of(&h, job, rows, scratch);
    int64_t at = part * h.r + rows.begin, m = k.m;
    for (int64_t i = at; i < at + m; i++) {
        p.largest[i] = -INFINITY;
        p.sum[i] = p.wanted[i] = 0.0f;
        p.argmax[i] = 0;
    }
    if (h.gradient && m > 0) memset(p.g + at * h.c, 0, (size_t)(m * h.c) * sizeof *p.g);
    for (int64_t v = words.begin; v < words.end; v += WORDS) {
        k.count = cpu_smaller(WORDS, words.end - v);
        k.w = k.tile;
        if (h.dtype == GRAFT_DTYPE_F32)
            k.w = (const float *)h.w + v * h.c;
        else
            cpu_dequantize(h.dtype, h.w, h.c, v, k.count, 0, h.c, k.tile);
        logits(&h, job->narrow, &k);
        for (int64_t i = 0; i < m; i++)
            take_row(&h, &p, part, rows.begin + i, v, k.count, k.z + i * WORDS);
        if (h.gradient) weigh(&h, job->narrow, &k, p.g + at * h.c);
    }
}

static uint32_t combine_tasks(struct cpu_job *job)
{
    return any_output(&job->call) ? (uint32_t)cpu_parts(job->call.in[0].shape.dim[0], COMBINE_ROWS)
                                  : 0;
}

/* g = sum over parts of exp(largest of the part - largest) / sum * its g, less w[target]. */
static void combine_gradient(const struct head *h, const struct parts *p, int64_t r, float largest,
                             float sum, float *g, float *row)
{
    memset(g, 0, (size_t)h->c * sizeof *g);
    if (h->target[r] < 0 || h->target[r] >= h->v) return;
    for (int64_t part = 0; part < h->parts; part++) {
        int64_t at = part * h->r + r;
        const float *from = p->g + at * h->c;
        float scale = exp_f32(p->largest[at] - largest) / sum;
        for (int64_t c = 0; c < h->c; c++) g[c] = FMA(scale, from[c], g[c]);
    }
    cpu_dequantize(h->dtype, h->w, h->c, h->target[r], 1, 0, h->c, row);
    for (int64_t c = 0; c < h->c; c++) g[c] -= row[c];
}

static void combine(const struct cpu_job *job, uint32_t index, void *scratch)
{
    const struct kernel_call *call = &job->call;
    struct head h = head_of(call);
    struct parts p = parts_of(&h, job->shared);
    float *nll = call->out[0].data, *g = call->out[2].data;
    int32_t *argmax = call->out[1].data;
    struct cpu_range rows = cpu_piece(h.r, COMBINE_ROWS, index);
    for (int64_t r = rows.begin; r < rows.end; r++) {
        float largest = p.largest[r], sum = 0.0f, wanted = 0.0f;
        int32_t best = p.argmax[r];
        for (int64_t at = r; at < h.parts * h.r; at += h.r) {
            if (p.largest[at] > largest) {
                largest = p.largest[at];
                best = p.argmax[at];
            }
        }
        for (int64_t at = r; at < h.parts * h.r; at += h.r) {
            sum += p.sum[at] * exp_f32(p.largest[at] - largest);
            wanted += p.wanted[at];
        }
        bool trained = h.target[r] >= 0 && h.target[r] < h.v;
        if (nll != NULL) nll[r] = trained ? largest - wanted + logf(sum) : 0.0f;
        if (argmax != NULL) argmax[r] = best;
        if (g != NULL) combine_gradient(&h, &p, r, largest, sum, g + r * h.c, scratch);
    }
}

const struct cpu_kernel cpu_head_loss = {size, {{tasks, run}, {combine_tasks, combine}}};

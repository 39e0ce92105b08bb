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

static void run(const struct cpu_job *job, uint32_t index, void *scratch)
{
    struct head h = head_of(&job->call);
    struct parts p = parts_of(&h, job->shared);
    int64_t part = index / h.blocks;
    struct cpu_range rows = cpu_piece(h.r, h.rows, index % h.blocks);
    struct cpu_range words = cpu_piece(h.v, h.words, part);
    float *z = scratch, *panels = z + ROWS * WORDS, *tile = panels + GEMM_DEPTH * WORDS;
    int64_t at = part * h.r + rows.begin, m = rows.end - rows.begin;
    for (int64_t i = at; i < at + m; i++) {
        p.largest[i] = -INFINITY;
        p.sum[i] = p.wanted[i] = 0.0f;
        p.argmax[i] = 0;
    }
    if (h.gradient && m > 0) memset(p.g + at * h.c, 0, (size_t)(m * h.c) * sizeof *p.g);
    for (int64_t v = words.begin; v < words.end; v += WORDS) {
        int64_t count = cpu_smaller(WORDS, words.end - v);
        const float *w = tile;
        if (h.dtype == GRAFT_DTYPE_F32)
            w = (const float *)h.w + v * h.c;
        else
            cpu_dequantize(h.dtype, h.w, h.c, v, count, 0, h.c, tile);
        struct gemm g = {.m = m, .n = count, .a_row = h.c, .a_col = 1, .b = panels, .c = z};
        g.c_row = WORDS;
        for (int64_t c = 0; c < h.c; c += GEMM_DEPTH) {
            g.k = cpu_smaller(GEMM_DEPTH, h.c - c);
            g.a = h.x + rows.begin * h.c + c;
            g.add = c > 0;
            gemm_pack_columns(w + c, h.c, g.k, count, panels);
            gemm(&g);
        }
        for (int64_t i = 0; i < m; i++)
            take_row(&h, &p, part, rows.begin + i, v, count, z + i * WORDS);
        struct gemm back = {.m = m, .k = count, .a = z, .a_row = WORDS, .a_col = 1, .add = 1};
        back.b = panels;
        back.c_row = h.c;
        for (int64_t c = 0; h.gradient && c < h.c; c += GEMM_DEPTH) {
            back.n = cpu_smaller(GEMM_DEPTH, h.c - c);
            back.c = p.g + at * h.c + c;
            gemm_pack_rows(w + c, h.c, count, back.n, panels);
            gemm(&back);
        }
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

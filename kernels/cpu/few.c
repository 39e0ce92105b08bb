/* SPDX-License-Identifier: Apache-2.0
 *
 * The chains of a few rows run side by side over both panels, as many as the registers hold; those
 * of more rows over one panel at a time, so that latency is hidden either way.
 */
#include "cpu/few.h"

#include "cpu/panels.h"
#include "ref/quant.h"

#if defined(__AVX512F__)
enum { WIDE_ROWS = 6 }; /* of a tile over both panels */
#else
enum { WIDE_ROWS = 3 };
#endif
enum {
    MOST_ROWS = 6, /* of a tile */
    /* Columns at once, if a block is no larger: panels of 16 KiB, half of the first cache. */
    DEPTH = 4096 / FEW_COLUMNS
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

struct part {
    const float *x;
    int64_t x_row, k;
    const float *panels; /* [k, GEMM_PANEL], the second after the first */
    float *sum;
};

INLINE void compute(const struct part *p, int rows, int vecs)
{
    vec sum[MOST_ROWS][4];
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vecs; v++) sum[i][v] = vec_load(p->sum + i * FEW_COLUMNS + v * VEC);
    for (int64_t k = 0; k < p->k; k++) {
        vec right[4];
        for (int v = 0; v < vecs; v++)
            right[v] = vec_load(p->panels + (v / 2 * p->k + k) * GEMM_PANEL + v % 2 * VEC);
        for (int i = 0; i < rows; i++) {
            vec left = vec_set(p->x[i * p->x_row + k]);
            for (int v = 0; v < vecs; v++) sum[i][v] = vec_fma(left, right[v], sum[i][v]);
        }
    }
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vecs; v++) vec_store(p->sum + i * FEW_COLUMNS + v * VEC, sum[i][v]);
}

INLINE void compute_any(const struct part *p, int rows, int vecs)
{
    switch (rows) {
    case 1: compute(p, 1, vecs); break;
    case 2: compute(p, 2, vecs); break;
    case 3: compute(p, 3, vecs); break;
    case 4: compute(p, 4, vecs); break;
    case 5: compute(p, 5, vecs); break;
    default: compute(p, MOST_ROWS, vecs); break;
    }
}

static void compute_rows(struct part p, int rows, int64_t n)
{
    if (n > GEMM_PANEL && rows <= WIDE_ROWS) {
        compute_any(&p, rows, 4);
        return;
    }
    compute_any(&p, rows, 2);
    if (n <= GEMM_PANEL) return;
    p.panels += p.k * GEMM_PANEL;
    p.sum += GEMM_PANEL;
    compute_any(&p, rows, 2);
}

/* sum [m, FEW_COLUMNS] goes on with x [m, k] · panels of [k, n], n at most FEW_COLUMNS. */
static void multiply(const float *x, int64_t x_row, int64_t m, int64_t k, const float *panels,
                     int64_t n, float *sum)
{
    int64_t groups = (m + MOST_ROWS - 1) / MOST_ROWS;
    for (int64_t i = 0, left = m; left > 0; groups--) {
        int64_t rows = (left + groups - 1) / groups;
        struct part p = {x + i * x_row, x_row, k, panels, sum + i * FEW_COLUMNS};
        compute_rows(p, (int)rows, n);
        i += rows;
        left -= rows;
    }
}

struct few_ahead few_rows_ahead(const struct few *f, int64_t first, int64_t n, int64_t parts)
{
    int64_t bytes, there = smaller(n, f->rows - first);
    const uint8_t *at = cpu_weight_rows(f->dtype, f->weight, f->cols, first, there, &bytes);
    int64_t lines = (bytes + FEW_LINE * parts - 1) / (FEW_LINE * parts);
    return (struct few_ahead){at, at + bytes, lines * FEW_LINE};
}

/* sum = x times n <= FEW_COLUMNS weight rows, columns [k, end) of both. */
static void depth_sum(const struct few *f, int64_t first, int64_t n, int64_t k, int64_t end,
                      struct few_ahead *ahead, float *tile, float *panels, float *sum)
{
    int64_t depth = quant_block(f->dtype) > DEPTH ? GEMM_DEPTH : DEPTH;
    memset(sum, 0, (size_t)(f->m * FEW_COLUMNS) * sizeof *sum);
    for (; k < end; k += depth) {
        int64_t part = smaller(depth, end - k);
        for (int64_t i = 0; i < part; i += FEW_STRIP) few_fetch(ahead);
        cpu_panels(f->dtype, f->weight, f->cols, first, n, k, part, tile, panels);
        multiply(f->x + k, f->cols, f->m, part, panels, n, sum);
    }
}

/* Columns from j on. */
static void through_panels(const struct few *f, int64_t j, float *tile, float *panels)
{
    float sum[FEW_ROWS * FEW_COLUMNS];
    int64_t parts = f->cols / FEW_STRIP + 1;
    for (; j < f->n; j += FEW_COLUMNS) {
        int64_t n = smaller(FEW_COLUMNS, f->n - j);
        struct few_ahead ahead = few_rows_ahead(f, f->first + j + n, FEW_COLUMNS, parts);
        for (int64_t k = 0; k < f->cols || k == 0; k += GEMM_DEPTH) {
            depth_sum(f, f->first + j, n, k, smaller(k + GEMM_DEPTH, f->cols), &ahead, tile, panels,
                      sum);
            for (int64_t i = 0; i < f->m; i++) {
                float *c = f->c + i * f->c_row + j, *part = sum + i * FEW_COLUMNS;
                for (int64_t l = 0; l < n; l++) c[l] = k > 0 ? c[l] + part[l] : part[l];
            }
        }
    }
}

void few_product(const struct few *f, float *tile, float *panels)
{
    through_panels(f, few_stored(f), tile, panels);
}

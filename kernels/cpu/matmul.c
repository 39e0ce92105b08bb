/* SPDX-License-Identifier: Apache-2.0
 *
 * out [M, N] = a · b, b of any storage type. A task is a block of rows by a block of columns; it
 * turns its part of b chunk by chunk of K into panels and multiplies at once. The sum over K is
 * never split between tasks, so a number does not depend on where rows and columns are cut: they
 * are cut for the threads at hand.
 *
 * What is added to the product is added to each task's block, which is still in the cache.
 *
 * Up to FEW_ROWS rows (decoding) on a weight [N, K] go straight from its codes to the sums, or
 * through small panels that stay in the first cache. The sums are the same, so a row's bits do not
 * depend on how many rows there are.
 */
#include "cpu/cpu.h"
#include "cpu/dequantize.h"
#include "cpu/few.h"
#include "cpu/narrow.h"
#include "cpu/panels.h"

#include <stdbool.h>

enum {
    MOST_ROWS = 1536,                    /* of a task */
    DIRECT_ROWS = 48,                    /* fewer rows than this do not pay for packing b */
    STORED_ROWS = 24,                    /* that cost what turning b's part costs, dequantized */
    PLAIN_ROWS = 8,                      /* or f32, */
    ROUNDED_ROWS = 256,                  /* or rounded to what is multiplied faster */
    FEW_TASK = 32768,                    /* weights of a task of few rows, at least */
    ACROSS = GEMM_PANEL == 32 ? 96 : 48, /* columns of a task: b stored [N, K] */
    ALONG = 96,                          /* b stored [K, N]; a multiple of 32 */
    GATHERED = 1024,                     /* at most, where a is gathered for each task */
    LARGE_BLOCK = 256,                   /* of the K-quants */
    TILE = GEMM_DEPTH * LARGE_BLOCK
};

struct product {
    int64_t batch, m, n, k;
    int64_t a_row, a_col;
    bool turned;  /* b is stored [N, K] */
    bool stored;  /* b is not f32 */
    bool swapped; /* a and b, and the result is turned: m is out's width */
    int32_t dtype;
    int64_t rows, columns; /* of a task */
    bool few;
    const struct cpu_narrow *narrow; /* a is rounded first, then multiplied as bf16 */
};

/* Of a task: as many as keep every thread at work, since b's part is turned anew for each task. */
static int64_t rows_of_task(const struct product *p, int64_t threads)
{
    int64_t multiple = p->narrow != NULL ? 2 * NARROW_TILE : GEMM_ROWS;
    int64_t more = p->narrow != NULL ? ROUNDED_ROWS : p->stored ? STORED_ROWS : PLAIN_ROWS;
    int64_t across = p->batch * cpu_parts(p->n, p->columns), best = multiple, least = INT64_MAX;
    int64_t down = cpu_larger(1, cpu_parts(p->m, MOST_ROWS));
    for (int64_t end = down + threads; down < end; down++) {
        int64_t rows = cpu_larger(1, cpu_parts(cpu_parts(p->m, down), multiple)) * multiple;
        int64_t turns = cpu_parts(across * cpu_parts(p->m, rows), threads);
        if (turns * (rows + more) >= least) continue;
        least = turns * (rows + more);
        best = rows;
    }
    return best;
}

static bool wants_narrow(const struct kernel_call *call)
{
    return call->params.matmul.compute == GRAFT_DTYPE_BF16 && call->in[0].shape.rank == 2 &&
           !call->params.matmul.transpose_a;
}

/* The gradient of an adapter's up projection: its few columns would fill a part of a register. */
static void swap(struct product *p)
{
    int64_t columns = p->n;
    p->n = p->m;
    p->m = p->a_col = columns;
    p->swapped = true;
}

static struct product product_of(const struct cpu_job *job)
{
    const struct kernel_call *call = &job->call;
    const struct graft_shape *a = &call->in[0].shape, *b = &call->in[1].shape;
    int first = a->rank == 3;
    int ta = call->params.matmul.transpose_a != 0, tb = call->params.matmul.transpose_b != 0;
    struct product p = {.batch = first ? a->dim[0] : 1};
    p.m = a->dim[first + ta];
    p.k = a->dim[first + !ta];
    p.n = b->dim[first + !tb];
    p.a_row = ta ? 1 : p.k;
    p.a_col = ta ? p.m : 1;
    p.turned = tb;
    p.dtype = call->in[1].dtype;
    p.stored = p.dtype != GRAFT_DTYPE_F32;
    if (wants_narrow(call) && p.m > NARROW_TILE) p.narrow = job->narrow;
    if (ta && !tb && !p.stored && !first && p.n <= GEMM_ROWS && p.m > p.n) swap(&p);
    p.few = tb && !ta && p.m <= FEW_ROWS && p.narrow == NULL;
    p.columns = tb ? ACROSS : ALONG;
    if (p.a_col > GEMM_NEAR && !tb && !p.stored) {
        int64_t parts = cpu_larger(1, cpu_parts(p.n, GATHERED));
        p.columns = cpu_larger(1, cpu_parts(cpu_parts(p.n, parts), GEMM_PANEL)) * GEMM_PANEL;
    }
    if (p.few) p.columns = GEMM_PANEL * cpu_parts(FEW_TASK, GEMM_PANEL * cpu_larger(1, p.k));
    if (!tb && quant_block(p.dtype) == LARGE_BLOCK) p.columns = LARGE_BLOCK;
    p.rows = p.few ? FEW_ROWS : rows_of_task(&p, job->threads);
    return p;
}

static void size(const struct kernel_call *largest, struct cpu_size *size)
{
    const int64_t *a = largest->in[0].shape.dim;
    int64_t columns = largest->params.matmul.transpose_a != 0 ? GATHERED : LARGE_BLOCK;
    size->thread = (size_t)(TILE + GEMM_DEPTH * columns) * sizeof(float);
    if (largest->params.matmul.transpose_b != 0 && few_knows(FEW_ROWS, largest->in[1].dtype, a[1]))
        size->shared = (size_t)few_turned(cpu_smaller(a[0], FEW_ROWS), a[1]) * sizeof(float);
    /* a block's last tile reads on to whole rows of tiles */
    size_t words = wants_narrow(largest) ? (size_t)((a[0] + NARROW_TILE) * narrow_k(a[1])) : 0;
    if (words * sizeof(uint16_t) > size->shared) size->shared = words * sizeof(uint16_t);
}

static uint32_t tasks(struct cpu_job *job)
{
    if (job->call.out[0].data == NULL) return 0;
    struct product p = product_of(job);
    return (uint32_t)(p.batch * cpu_parts(p.m, p.rows) * cpu_parts(p.n, p.columns));
}

static void few_rows(const struct product *p, const void *b, int64_t column, const struct gemm *g,
                     const float *turned, float *tile)
{
    struct few f = {.dtype = p->dtype, .weight = b, .rows = p->n, .cols = p->k, .first = column};
    f.n = g->n;
    f.x = g->a;
    f.turned = turned;
    f.m = g->m;
    f.c = g->c;
    f.c_row = g->c_row;
    few_product(&f, tile, tile + TILE);
}

static void weight_rows(const struct product *p, const void *b, int64_t column, struct gemm *g,
                        float *tile)
{
    const float *a = g->a;
    float *panels = tile + TILE;
    int add = g->add;
    g->b = panels;
    g->b_row = 0;
    for (int64_t k = 0; k < p->k || k == 0; k += GEMM_DEPTH) {
        g->k = cpu_smaller(GEMM_DEPTH, p->k - k);
        g->a = a + k * g->a_col;
        g->add = add || k > 0;
        cpu_panels(p->dtype, b, p->k, column, g->n, k, g->k, tile, panels);
        gemm(g);
    }
}

static void weight_columns(const struct product *p, const void *b, int64_t column, struct gemm *g,
                           float *tile)
{
    const float *a = g->a, *plain = b;
    float *panels = tile + TILE;
    int add = g->add;
    if (!p->stored && g->m < DIRECT_ROWS) {
        g->b = plain + column;
        g->b_row = p->n;
        gemm(g);
        return;
    }
    g->b = panels;
    g->b_row = 0;
    for (int64_t k = 0; k < p->k || k == 0; k += GEMM_DEPTH) {
        g->k = cpu_smaller(GEMM_DEPTH, p->k - k);
        g->a = a + k * g->a_col;
        g->add = add || k > 0;
        if (p->stored) {
            cpu_dequantize(p->dtype, b, p->n, k, g->k, column, g->n, tile);
            gemm_pack_rows(tile, g->n, g->k, g->n, panels);
        } else {
            gemm_pack_rows(plain + k * p->n + column, p->n, g->k, g->n, panels);
        }
        gemm(g);
    }
}

/* What comes before the product: a is rounded, or its few rows are turned. */
static uint32_t prepare_tasks(struct cpu_job *job)
{
    if (job->call.out[0].data == NULL) return 0;
    struct product p = product_of(job);
    if (p.narrow != NULL) return cpu_row_tasks(p.m, p.k);
    return p.few && p.m > 1 && few_knows(p.m, p.dtype, p.k) ? 1 : 0;
}

static void prepare(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    struct product p = product_of(job);
    const float *a = job->call.in[0].data;
    if (p.narrow == NULL) {
        few_turn(a, p.m, p.k, job->shared);
        return;
    }
    struct cpu_range rows = cpu_piece(p.m, cpu_rows_per_task(p.k), index);
    narrow_pack_a(a + rows.begin * p.k, p.k, rows.end - rows.begin, p.k,
                  (uint16_t *)job->shared + rows.begin * narrow_k(p.k));
}

/* g is the task's product but for its operands: rows from `row` on of what was rounded. */
static void narrow_block(const struct product *p, const struct cpu_job *job, int64_t row,
                         int64_t column, const struct gemm *g, float *tile)
{
    const float *plain = job->call.in[1].data;
    uint16_t *panels = (uint16_t *)(void *)(tile + TILE);
    struct narrow_gemm product = {.m = g->m, .n = g->n, .a_row = narrow_k(p->k), .b = panels};
    product.c = g->c;
    product.c_row = g->c_row;
    for (int64_t k = 0; k < p->k; k += NARROW_DEPTH) {
        int64_t depth = cpu_smaller(NARROW_DEPTH, p->k - k);
        if (p->turned && p->stored) {
            narrow_panels(p->dtype, plain, p->k, column, g->n, k, depth, tile, panels);
        } else if (p->turned) {
            narrow_pack_columns(plain + column * p->k + k, p->k, depth, g->n, panels);
        } else if (p->stored) {
            cpu_dequantize(p->dtype, plain, p->n, k, depth, column, g->n, tile);
            narrow_pack_rows(tile, g->n, depth, g->n, panels);
        } else {
            narrow_pack_rows(plain + k * p->n + column, p->n, depth, g->n, panels);
        }
        product.k = narrow_k(depth);
        product.a = (const uint16_t *)job->shared + row * product.a_row + k;
        product.add = k > 0;
        p->narrow->gemm(&product);
    }
}

/* A block of a value of the output's shape. */
static void add_value(const struct kernel_tensor *value, const struct product *p,
                      const struct cpu_range *rows, const struct gemm *g, int64_t column)
{
    if (value->data == NULL) return;
    const float *from = (const float *)value->data + rows->begin * p->n + column;
    for (int64_t i = 0; i < g->m; i++) {
        const float *add = from + i * p->n;
        float *c = g->c + i * g->c_row;
        PARALLEL_LOOP
        for (int64_t j = 0; j < g->n; j++) c[j] += add[j];
    }
}

/* g: the block, without operands. */
static void add_product(const struct kernel_call *call, const struct product *p, int64_t row,
                        int64_t column, struct gemm g, float *tile)
{
    const struct kernel_tensor *a = &call->in[CPU_MATMUL_A2], *b = &call->in[CPU_MATMUL_B2];
    if (a->data == NULL) return;
    struct product second = {.n = p->n, .k = a->shape.dim[1], .turned = p->turned};
    second.dtype = GRAFT_DTYPE_F32;
    g.k = g.a_row = second.k;
    g.a_col = 1;
    g.a = (const float *)a->data + row * second.k;
    g.add = 1;
    if (p->turned)
        weight_rows(&second, b->data, column, &g, tile);
    else
        weight_columns(&second, b->data, column, &g, tile);
}

/* out [N, M] from a block of the other way round. */
static void turn_result(const struct product *p, const struct gemm *g, int64_t column, float *out)
{
    for (int64_t j = 0; j < g->n; j++)
        for (int64_t i = 0; i < g->m; i++) out[(column + j) * p->m + i] = g->c[i * g->c_row + j];
}

static void run(const struct cpu_job *job, uint32_t index, void *scratch)
{
    const struct kernel_call *call = &job->call;
    struct product p = product_of(job);
    int64_t across = cpu_parts(p.n, p.columns), down = cpu_parts(p.m, p.rows);
    int64_t batch = index / (across * down), at = index % (across * down);
    struct cpu_range rows = cpu_piece(p.m, p.rows, at / across);
    struct cpu_range columns = cpu_piece(p.n, p.columns, at % across);
    const float *a = call->in[p.swapped ? 1 : 0].data;
    const void *b = call->in[p.swapped ? 0 : 1].data;
    float *c = call->out[0].data;
    if (batch > 0) b = (const float *)b + batch * p.k * p.n;
    struct gemm g = {.m = rows.end - rows.begin, .n = columns.end - columns.begin, .k = p.k};
    g.a = a + batch * p.m * p.k + rows.begin * p.a_row;
    g.a_row = p.a_row;
    g.a_col = p.a_col;
    g.c = c + (batch * p.m + rows.begin) * p.n + columns.begin;
    g.c_row = p.n;
    if (p.swapped) {
        g.c = scratch;
        g.c_row = g.n;
    }
    const struct gemm block = g;
    if (p.narrow != NULL)
        narrow_block(&p, job, rows.begin, columns.begin, &g, scratch);
    else if (p.few)
        few_rows(&p, b, columns.begin, &g, job->shared, scratch);
    else if (p.turned)
        weight_rows(&p, b, columns.begin, &g, scratch);
    else
        weight_columns(&p, b, columns.begin, &g, scratch);
    g = block;
    if (p.swapped) turn_result(&p, &g, columns.begin, c);
    add_value(&call->in[CPU_MATMUL_BEFORE], &p, &rows, &g, columns.begin);
    add_product(call, &p, rows.begin, columns.begin, g, scratch);
    add_value(&call->in[CPU_MATMUL_AFTER], &p, &rows, &g, columns.begin);
}

const struct cpu_kernel cpu_matmul = {size, {{prepare_tasks, prepare}, {tasks, run}}};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights without panels: a register of codes becomes numbers once and is multiplied with every row
 * while they are there, so making them costs the same for one row and for sixteen, and no way
 * through memory.
 */
#include "cpu/few.h"
#include "cpu/lanes.h"

#if defined(__AVX2__)

enum {
    GROUPS = 4, /* of VEC weight rows for a single row: chains enough to hide latency */
    SUMS = FEW_PASS > 1 ? FEW_PASS : GROUPS,
    MAKE_NEXT = FEW_PASS > 1 /* column while one is multiplied: where registers are many */
};

/* Up to FEW_PASS rows of x by some groups of weight rows. */
struct pass {
    const struct few *f;
    int64_t row;    /* the first of the weight's */
    const float *x; /* of the first row; see few.turned */
    int rows;
    float *c;
    struct few_ahead *ahead;
};

/* From a column's numbers of x to the next one's. */
INLINE int64_t x_step(int rows)
{
    return rows == 1 ? 1 : FEW_PASS;
}

/* In a register: compilers would read it anew for each column. */
#if defined(__AVX512F__)
#define KEEP(value) __asm__("" : "+v"(value))
#else
#define KEEP(value) (void)(value)
#endif

/* sum + x weight. Compilers gather numbers of x before their turn, until registers are short. */
INLINE vec multiply_add(const float *x, vec weight, vec sum)
{
#if defined(__AVX512F__)
    __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(weight), "m"(*x));
    return sum;
#else
    return vec_fma(vec_set(*x), weight, sum);
#endif
}

/* The columns of one pass over a block. `pass` is a constant: a shift by a variable costs double.
 */
INLINE void multiply(int32_t dtype, int pass, int groups, int rows,
                     const struct turned *t /* [groups], 2 apart */, const float *x,
                     const vec map[TABLE], struct few_ahead *ahead, vec *sum /* [groups, rows] */)
{
    int columns = lanes_columns(dtype);
    for (int word = 0; word < lanes_words(dtype); word++) {
        words codes[GROUPS];
        vec next[GROUPS];
        for (int g = 0; g < groups; g++) {
            codes[g] = t[2 * g].words[word];
            if (rows > 1) KEEP(codes[g]);
            if (MAKE_NEXT) next[g] = column(dtype, t + 2 * g, pass, codes[g], 0, map);
        }
        for (int i = 0; i < columns; i++, x += x_step(rows)) {
            if (rows > 1) __builtin_prefetch(x + 8 * FEW_PASS, 0, 3);
            for (int g = 0; g < groups; g++) {
                vec weight = MAKE_NEXT ? next[g] : column(dtype, t + 2 * g, pass, codes[g], i, map);
                if (MAKE_NEXT && i + 1 < columns)
                    next[g] = column(dtype, t + 2 * g, pass, codes[g], i + 1, map);
                for (int r = 0; r < rows; r++)
                    sum[g * rows + r] = multiply_add(x + r, weight, sum[g * rows + r]);
            }
        }
        if ((word + 1) * columns % FEW_STRIP == 0) few_fetch(ahead);
    }
}

/* The sums over columns [k, k + depth). */
INLINE void chunk(int32_t dtype, int groups, int rows, const struct pass *p, int64_t k,
                  int64_t depth)
{
    const struct few *f = p->f;
    struct lanes l[GROUPS];
    struct turned t[GROUPS][2];
    vec map[TABLE], sum[SUMS];
    const float *x = p->x + k * x_step(rows);
    for (int g = 0; g < groups; g++)
        lanes_at(dtype, f->weight, f->cols, p->row + g * VEC, k, &l[g], map);
    for (int i = 0; i < groups * rows; i++) sum[i] = vec_set(0.0f);
    int64_t blocks = depth / BLOCK;
    for (int64_t block = 0; block < blocks; block += 2) {
        int count = block + 1 < blocks ? 2 : 1;
        for (int g = 0; g < groups; g++) turn(dtype, &l[g], block, count, t[g]);
        for (int b = 0; b < count; b++, x += BLOCK * x_step(rows)) {
            multiply(dtype, 0, groups, rows, &t[0][b], x, map, p->ahead, sum);
            if (lanes_passes(dtype) == 2)
                multiply(dtype, 1, groups, rows, &t[0][b], x + BLOCK / 2 * x_step(rows), map,
                         p->ahead, sum);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int g = 0; g < groups && r < p->rows; g++) {
            float *c = p->c + r * f->c_row + g * VEC;
            if (k > 0) sum[g * rows + r] += vec_load(c);
            vec_store(c, sum[g * rows + r]);
        }
}

INLINE void compute(int32_t dtype, int groups, int rows, const struct pass *p)
{
    for (int64_t k = 0; k < p->f->cols; k += GEMM_DEPTH) {
        int64_t left = p->f->cols - k;
        chunk(dtype, groups, rows, p, k, left < GEMM_DEPTH ? left : GEMM_DEPTH);
    }
}

/* Rows that are not there are zeros, and nobody's. */
INLINE void compute_any(int32_t dtype, int groups, const struct pass *p)
{
    if (groups == GROUPS)
        compute(dtype, GROUPS, 1, p);
    else if (p->f->m == 1)
        compute(dtype, 1, 1, p);
#if defined(__AVX512F__)
    else if (p->rows <= 4)
        compute(dtype, 1, 4, p);
    else if (p->rows <= 8)
        compute(dtype, 1, 8, p);
    else if (p->rows <= 12)
        compute(dtype, 1, 12, p);
    else
        compute(dtype, 1, FEW_PASS, p);
#endif
}

static void compute_groups(int groups, const struct pass *p)
{
#define CASE(type)                                                                                 \
    case type: compute_any(type, groups, p); break;
    switch (p->f->dtype) {
        LANES_TYPES(CASE)
    default: break;
    }
#undef CASE
}

bool few_knows(int64_t m, int32_t dtype, int64_t cols)
{
    return (m == 1 || FEW_PASS > 1) && lanes_know(dtype) && cols > 0 && cols % BLOCK == 0;
}

int64_t few_stored(const struct few *f)
{
    int64_t j = 0, parts = f->cols / FEW_STRIP + 1;
    if (!few_knows(f->m, f->dtype, f->cols)) return 0;
    struct few_ahead ahead = few_rows_ahead(f, f->first, VEC, 1);
    few_fetch(&ahead);
    while (j + VEC <= f->n) {
        int groups = f->m == 1 && j + GROUPS * VEC <= f->n ? GROUPS : 1;
        ahead = few_rows_ahead(f, f->first + j + groups * VEC, groups * VEC, parts);
        for (int64_t r = 0; r < f->m; r += FEW_PASS) {
            struct pass p = {.f = f, .row = f->first + j, .x = f->x, .ahead = &ahead};
            if (f->m > 1) p.x = f->turned + r * f->cols;
            p.rows = (int)(f->m - r < FEW_PASS ? f->m - r : FEW_PASS);
            p.c = f->c + r * f->c_row + j;
            compute_groups(groups, &p);
        }
        j += groups * VEC;
    }
    return j;
}

#else

bool few_knows(int64_t m, int32_t dtype, int64_t cols)
{
    (void)m, (void)dtype, (void)cols;
    return false;
}

int64_t few_stored(const struct few *f)
{
    (void)f;
    return 0;
}

#endif

#if defined(__AVX512F__)

/* m <= FEW_PASS rows, the others zeros. The copy keeps rows of 4 KiB out of each other's way. */
static void turn_pass(const float *x, int64_t m, int64_t cols, float *turned)
{
    enum { COLUMNS = 64 };
    float rows[FEW_PASS][COLUMNS + 16] = {{0.0f}};
    for (int64_t k = 0; k < cols; k += COLUMNS) {
        int64_t n = cols - k < COLUMNS ? cols - k : COLUMNS; /* whole blocks */
        for (int64_t r = 0; r < m; r++) memcpy(rows[r], x + r * cols + k, (size_t)n * sizeof *x);
        for (int64_t i = 0; i < n; i += 4, turned += 4 * FEW_PASS) {
            words column[4];
            words_turn((const uint8_t *)&rows[0][i], (int64_t)sizeof rows[0], column);
            for (int j = 0; j < 4; j++) vec_store(turned + j * FEW_PASS, (vec)column[j]);
        }
    }
}

void few_turn(const float *x, int64_t m, int64_t cols, float *turned)
{
    for (int64_t r = 0; r < m; r += FEW_PASS)
        turn_pass(x + r * cols, m - r < FEW_PASS ? m - r : FEW_PASS, cols, turned + r * cols);
}

#else

void few_turn(const float *x, int64_t m, int64_t cols, float *turned)
{
    (void)x, (void)m, (void)cols, (void)turned;
}

#endif

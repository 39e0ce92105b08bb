/* SPDX-License-Identifier: Apache-2.0
 *
 * A tile of GEMM_ROWS x GEMM_PANEL results is kept in registers while k runs. b's panel stays in
 * the first cache, a block of a's rows in the second; a is read where it lies, b from panels whose
 * numbers follow each other (Goto and van de Geijn 2008, without their packing of a).
 */
#include "cpu/gemm.h"

#include "cpu/lanes.h"

#include <stdbool.h>

enum { BLOCK_ROWS = 96 };

struct tile {
    int64_t k, a_step, b_row, c_row; /* a_step: what is not 1 of a_row, a_col */
    const float *a, *b;
    float *c;
    bool add;
};

/* Rows of a that are reached from one pointer. A tile of many rows has no register for a pointer to
 * each, but an address of x86 has four forms: p, p + step, p + 2 step and p + step3. */
enum { ROWS_OF_POINTER = GEMM_ROWS > 8 ? 4 : 1, MOST_ROWS = 12 };
_Static_assert((int)GEMM_ROWS <= (int)MOST_ROWS, "ROWS has every row of a tile");

/* Not a loop: where compilers unroll it late, the sums stay in memory. */
#define ROWS(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)

/* Keeps the compiler from making pointers of its own out of this one. */
#define OPAQUE(value) __asm__("" : "+r"(value))

/* a[row, p]; pointers that several rows share have gone on to p. */
INLINE float row_number(const char *const *pointer, int row, int64_t step, int64_t step3, int64_t p)
{
    const char *at = pointer[row / ROWS_OF_POINTER];
    float number;
    if (ROWS_OF_POINTER == 1) at += p * (int64_t)sizeof number;
    switch (row % ROWS_OF_POINTER) {
    case 1: at += step; break;
    case 2: at += 2 * step; break;
    case 3: at += step3; break;
    default: break;
    }
    memcpy(&number, at, sizeof number);
    return number;
}

/* c [rows, vecs * VEC] of one panel; by_rows: a's rows are contiguous, else its columns. */
INLINE void compute(const struct tile *t, int rows, int vecs, bool by_rows)
{
    vec sum[MOST_ROWS][2], right[2];
    const char *pointer[MOST_ROWS];
    const float *b = t->b, *column = t->a, *from = t->c;
    int64_t step = t->a_step * (int64_t)sizeof *b, step3 = 3 * step;
    float *c = t->c;
#define START(i)                                                                                   \
    if ((i) < rows) {                                                                              \
        for (int v = 0; v < vecs; v++) sum[i][v] = vec_set(0.0f);                                  \
        if ((i) % ROWS_OF_POINTER == 0)                                                            \
            pointer[(i) / ROWS_OF_POINTER] = (const char *)t->a + (i)*step;                        \
    }
#define MULTIPLY(i)                                                                                \
    if ((i) < rows) {                                                                              \
        vec left = vec_set(by_rows ? row_number(pointer, i, step, step3, p) : column[i]);          \
        for (int v = 0; v < vecs; v++) sum[i][v] = vec_fma(left, right[v], sum[i][v]);             \
    }
#define ADVANCE(i)                                                                                 \
    if (ROWS_OF_POINTER > 1 && by_rows && (i) < rows && (i) % ROWS_OF_POINTER == 0) {              \
        pointer[(i) / ROWS_OF_POINTER] += sizeof *b;                                               \
        OPAQUE(pointer[(i) / ROWS_OF_POINTER]);                                                    \
    }
#define ADD(i)                                                                                     \
    if ((i) < rows) {                                                                              \
        for (int v = 0; v < vecs; v++) sum[i][v] += vec_load(from + v * VEC);                      \
        from += t->c_row;                                                                          \
        OPAQUE(from);                                                                              \
    }
#define STORE(i)                                                                                   \
    if ((i) < rows) {                                                                              \
        for (int v = 0; v < vecs; v++) vec_store(c + v * VEC, sum[i][v]);                          \
        c += t->c_row;                                                                             \
        OPAQUE(c);                                                                                 \
    }
    ROWS(START)
    OPAQUE(step3);
    for (int64_t p = 0; p < t->k; p++) {
        for (int v = 0; v < vecs; v++) right[v] = vec_load(b + v * VEC);
        ROWS(MULTIPLY)
        ROWS(ADVANCE)
        b += t->b_row;
        column += t->a_step;
    }
    if (t->add) {
        ROWS(ADD)
    }
    ROWS(STORE)
#undef START
#undef MULTIPLY
#undef ADVANCE
#undef ADD
#undef STORE
}

#define CASE(n_)                                                                                   \
    case n_:                                                                                       \
        if (n_ <= GEMM_ROWS) compute(t, n_ <= GEMM_ROWS ? n_ : 1, vecs, by_rows);                  \
        break

INLINE void compute_any(const struct tile *t, int rows, int vecs, bool by_rows)
{
    switch (rows) {
        CASE(1);
        CASE(2);
        CASE(3);
        CASE(4);
        CASE(5);
        CASE(6);
        CASE(7);
        CASE(8);
        CASE(9);
        CASE(10);
        CASE(11);
        CASE(12);
    default: break;
    }
}

typedef void tile_function(const struct tile *t, int rows);

static void rows_wide(const struct tile *t, int rows)
{
    compute_any(t, rows, 2, true);
}

static void rows_narrow(const struct tile *t, int rows)
{
    compute_any(t, rows, 1, true);
}

static void columns_wide(const struct tile *t, int rows)
{
    compute_any(t, rows, 2, false);
}

static void columns_narrow(const struct tile *t, int rows)
{
    compute_any(t, rows, 1, false);
}

/* A tile at the right edge: through a full tile of its own. */
static void edge(tile_function *function, struct tile *t, int rows, int64_t columns)
{
    float full[GEMM_ROWS * GEMM_PANEL];
    float *c = t->c;
    int64_t c_row = t->c_row;
    bool add = t->add;
    t->c = full;
    t->c_row = GEMM_PANEL;
    t->add = false;
    function(t, rows);
    for (int i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            c[i * c_row + j] =
                add ? c[i * c_row + j] + full[i * GEMM_PANEL + j] : full[i * GEMM_PANEL + j];
    t->c = c;
    t->c_row = c_row;
    t->add = add;
}

/* Rows [i0, i1) of one panel of `columns` columns. */
static void panel(const struct gemm *g, struct tile *t, const float *a, float *c, int64_t columns,
                  int64_t i0, int64_t i1)
{
    bool by_rows = g->a_col == 1;
    bool narrow = columns <= VEC;
    tile_function *function =
        by_rows ? (narrow ? rows_narrow : rows_wide) : (narrow ? columns_narrow : columns_wide);
    bool whole = columns == (narrow ? VEC : GEMM_PANEL);
    for (int64_t i = i0; i < i1; i += GEMM_ROWS) {
        int rows = (int)(i1 - i < GEMM_ROWS ? i1 - i : GEMM_ROWS);
        t->a = a + i * g->a_row;
        t->c = c + i * g->c_row;
        if (whole)
            function(t, rows);
        else
            edge(function, t, rows, columns);
    }
}

void gemm(const struct gemm *g)
{
    _Alignas(64) float last[GEMM_DEPTH * GEMM_PANEL]; /* b's columns past the last whole panel */
    bool packed = g->b_row == 0;
    for (int64_t p = 0; p < g->k || (p == 0 && !g->add); p += GEMM_DEPTH) {
        int64_t k = g->k - p < GEMM_DEPTH ? g->k - p : GEMM_DEPTH;
        int64_t tail = g->n % GEMM_PANEL;
        if (!packed && tail != 0)
            gemm_pack_rows(g->b + p * g->b_row + g->n - tail, g->b_row, k, tail, last);
        for (int64_t i = 0; i < g->m; i += BLOCK_ROWS) {
            int64_t end = g->m - i < BLOCK_ROWS ? g->m : i + BLOCK_ROWS;
            for (int64_t j = 0; j < g->n; j += GEMM_PANEL) {
                int64_t columns = g->n - j < GEMM_PANEL ? g->n - j : GEMM_PANEL;
                struct tile t = {.k = k,
                                 .a_step = g->a_col == 1 ? g->a_row : g->a_col,
                                 .b_row = GEMM_PANEL,
                                 .c_row = g->c_row,
                                 .b = last,
                                 .add = g->add || p > 0};
                if (packed) {
                    t.b = g->b + j * k;
                } else if (columns == GEMM_PANEL) {
                    t.b = g->b + p * g->b_row + j;
                    t.b_row = g->b_row;
                }
                panel(g, &t, g->a + p * g->a_col, g->c + j, columns, i, end);
            }
        }
    }
}

void gemm_pack_rows(const float *from, int64_t row, int64_t k, int64_t n, float *panels)
{
    for (int64_t j = 0; j < n; j += GEMM_PANEL) {
        int64_t columns = n - j < GEMM_PANEL ? n - j : GEMM_PANEL;
        float *to = panels + j * k;
        for (int64_t p = 0; p < k; p++, to += GEMM_PANEL) {
            if (columns == GEMM_PANEL) {
                memcpy(to, from + p * row + j, GEMM_PANEL * sizeof *to);
            } else {
                for (int64_t i = 0; i < GEMM_PANEL; i++)
                    to[i] = i < columns ? from[p * row + j + i] : 0.0f;
            }
        }
    }
}

#if defined(__AVX2__)

enum { TURNED = LANES };

/* Four columns of TURNED rows, turned. */
INLINE void turn_rows(const float *from, int64_t row, float *to)
{
    __m256i column[4];
    turn_bytes((const uint8_t *)from, row * (int64_t)sizeof *from, column);
    for (int i = 0; i < 4; i++)
        _mm256_storeu_ps(to + i * GEMM_PANEL, _mm256_castsi256_ps(column[i]));
}

#else

enum { TURNED = 4 };

/* Four columns of TURNED rows, turned. */
INLINE void turn_rows(const float *from, int64_t row, float *to)
{
    typedef float four __attribute__((vector_size(16)));
    typedef int32_t index __attribute__((vector_size(16)));
    four r[4];
    for (int i = 0; i < 4; i++) memcpy(&r[i], from + i * row, sizeof r[i]);
#if defined(__clang__)
#define SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, (index){i, j, k, l})
#endif
    four low0 = SHUFFLE(r[0], r[1], 0, 4, 1, 5), high0 = SHUFFLE(r[0], r[1], 2, 6, 3, 7);
    four low1 = SHUFFLE(r[2], r[3], 0, 4, 1, 5), high1 = SHUFFLE(r[2], r[3], 2, 6, 3, 7);
    four c[4] = {SHUFFLE(low0, low1, 0, 1, 4, 5), SHUFFLE(low0, low1, 2, 3, 6, 7),
                 SHUFFLE(high0, high1, 0, 1, 4, 5), SHUFFLE(high0, high1, 2, 3, 6, 7)};
    (void)sizeof(index);
    for (int i = 0; i < 4; i++) memcpy(to + i * GEMM_PANEL, &c[i], sizeof c[i]);
}

#endif

void gemm_pack_columns(const float *from, int64_t row, int64_t k, int64_t n, float *panels)
{
    for (int64_t j = 0; j < n; j += GEMM_PANEL) {
        int64_t columns = n - j < GEMM_PANEL ? n - j : GEMM_PANEL;
        const float *rows = from + j * row;
        float *to = panels + j * k;
        int64_t whole_columns = columns / TURNED * TURNED, whole_k = k / 4 * 4;
        for (int64_t p = 0; p < whole_k; p += 4)
            for (int64_t i = 0; i < whole_columns; i += TURNED)
                turn_rows(rows + i * row + p, row, to + p * GEMM_PANEL + i);
        for (int64_t p = 0; p < k; p++)
            for (int64_t i = p < whole_k ? whole_columns : 0; i < GEMM_PANEL; i++)
                to[p * GEMM_PANEL + i] = i < columns ? rows[i * row + p] : 0.0f;
    }
}

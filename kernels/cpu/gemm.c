/* SPDX-License-Identifier: Apache-2.0
 *
 * A tile of GEMM_ROWS x GEMM_PANEL results is kept in registers while k runs. b's panel stays in
 * the first cache, a block of a's rows in the second; a is read where it lies, b from panels whose
 * numbers follow each other (Goto and van de Geijn 2008, without their packing of a).
 */
#include "cpu/gemm.h"

#include "cpu/lanes.h"

#include <stdbool.h>

enum {
    BLOCK_ROWS = 96,
    AHEAD = 32, /* rows of b */
    /* From a gathered tile to the next: a line more than it has, lest all begin in one set. */
    TILE_STEP = GEMM_DEPTH * GEMM_ROWS + 16
};

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
        for (int v = 0; v < vecs; v++) __builtin_prefetch(c + (i)*t->c_row + v * VEC, 1);          \
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
        if (!by_rows) /* b may lie where it was made: the hardware does not see so wide a step */
            for (int v = 0; v < vecs; v++) __builtin_prefetch(b + AHEAD * t->b_row + v * VEC);
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

/* m rows of one panel of `columns` columns; a's tiles are a_tile numbers apart. */
static void panel(struct tile *t, int64_t a_tile, bool by_rows, int64_t columns, int64_t m)
{
    bool narrow = columns <= VEC;
    tile_function *function =
        by_rows ? (narrow ? rows_narrow : rows_wide) : (narrow ? columns_narrow : columns_wide);
    bool whole = columns == (narrow ? VEC : GEMM_PANEL);
    for (; m > 0; m -= GEMM_ROWS) {
        int rows = (int)(m < GEMM_ROWS ? m : GEMM_ROWS);
        if (whole)
            function(t, rows);
        else
            edge(function, t, rows, columns);
        t->a += a_tile;
        t->c += GEMM_ROWS * t->c_row;
    }
}

/* k columns of a block of a's rows, those of a tile one after the other: where they lie each would
 * be a miss in the TLB and in the first cache. */
static void gather_columns(const float *a, int64_t column, int64_t rows, int64_t k, float *tiles)
{
    for (int64_t p = 0; p < k; p++, a += column) {
        float *to = tiles + p * GEMM_ROWS;
        int64_t i = 0;
        for (; i + GEMM_ROWS <= rows; i += GEMM_ROWS, to += TILE_STEP)
            memcpy(to, a + i, GEMM_ROWS * sizeof *to);
        for (int64_t r = 0; i + r < rows; r++) to[r] = a[i + r];
    }
}

/* The k of a chunk, from p on. */
struct chunk {
    int64_t p, k;
    const float *last; /* b's columns past the last whole panel, packed */
    float *gathered;   /* room for a's */
};

/* Rows [i, i + m) of a chunk's product. */
static void block(const struct gemm *g, const struct chunk *h, int64_t i, int64_t m)
{
    bool by_rows = g->a_col == 1, far = !by_rows && g->a_col > GEMM_NEAR;
    const float *a = g->a + i * g->a_row + h->p * g->a_col;
    int64_t a_tile = far ? TILE_STEP : GEMM_ROWS * g->a_row;
    if (far) gather_columns(a, g->a_col, m, h->k, h->gathered);
    for (int64_t j = 0; j < g->n; j += GEMM_PANEL) {
        int64_t columns = g->n - j < GEMM_PANEL ? g->n - j : GEMM_PANEL;
        struct tile t = {.k = h->k, .a = far ? h->gathered : a, .b = h->last, .b_row = GEMM_PANEL};
        t.a_step = far ? GEMM_ROWS : by_rows ? g->a_row : g->a_col;
        t.c = g->c + i * g->c_row + j;
        t.c_row = g->c_row;
        t.add = g->add || h->p > 0;
        if (g->b_row == 0) {
            t.b = g->b + j * h->k;
        } else if (columns == GEMM_PANEL) {
            t.b = g->b + h->p * g->b_row + j;
            t.b_row = g->b_row;
        }
        panel(&t, a_tile, by_rows, columns, m);
    }
}

void gemm(const struct gemm *g)
{
    _Alignas(64) float last[GEMM_DEPTH * GEMM_PANEL];
    _Alignas(64) float gathered[TILE_STEP * (BLOCK_ROWS / GEMM_ROWS)];
    struct chunk h = {.last = last, .gathered = gathered};
    for (; h.p < g->k || (h.p == 0 && !g->add); h.p += GEMM_DEPTH) {
        h.k = g->k - h.p < GEMM_DEPTH ? g->k - h.p : GEMM_DEPTH;
        int64_t tail = g->n % GEMM_PANEL;
        if (g->b_row != 0 && tail != 0)
            gemm_pack_rows(g->b + h.p * g->b_row + g->n - tail, g->b_row, h.k, tail, last);
        for (int64_t i = 0; i < g->m; i += BLOCK_ROWS)
            block(g, &h, i, g->m - i < BLOCK_ROWS ? g->m - i : BLOCK_ROWS);
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
        if (columns < GEMM_PANEL) memset(to, 0, (size_t)(k * GEMM_PANEL) * sizeof *to);
        for (int64_t p = 0; p < whole_k; p += 4)
            for (int64_t i = 0; i < whole_columns; i += TURNED)
                turn_rows(rows + i * row + p, row, to + p * GEMM_PANEL + i);
        for (int64_t i = whole_columns; i < columns; i++)
            for (int64_t p = 0; p < whole_k; p++) to[p * GEMM_PANEL + i] = rows[i * row + p];
        for (int64_t p = whole_k; p < k; p++)
            for (int64_t i = 0; i < columns; i++) to[p * GEMM_PANEL + i] = rows[i * row + p];
    }
}

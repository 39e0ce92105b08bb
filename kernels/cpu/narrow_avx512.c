/* SPDX-License-Identifier: Apache-2.0
 *
 * AVX-512 BF16: eight rows by two panels of sums in registers; VDPBF16PS adds two products a lane.
 */
#include "cpu/narrow_kernels.h"

#ifdef NARROW_INTRINSICS
#include NARROW_INTRINSICS
#else
#include <immintrin.h>
#endif

#include <string.h>

enum { ROWS = 8, PANELS = 2 }; /* ROWS divides NARROW_TILE: a's rows are there */

struct block {
    const uint16_t *a, *b;
    int64_t a_row, k;
};

INLINE void multiply(const struct block *t, int panels, float *tile)
{
    __m512 sum[ROWS][PANELS];
    for (int i = 0; i < ROWS; i++)
        for (int v = 0; v < panels; v++) sum[i][v] = _mm512_setzero_ps();
    for (int64_t p = 0; p < t->k; p += 2) {
        __m512i right[PANELS];
        for (int v = 0; v < panels; v++)
            right[v] = _mm512_loadu_si512(t->b + v * t->k * NARROW_TILE + p * NARROW_TILE);
        for (int i = 0; i < ROWS; i++) {
            int word;
            memcpy(&word, t->a + i * t->a_row + p, sizeof word);
            __m512i left = _mm512_set1_epi32(word);
            for (int v = 0; v < panels; v++)
                sum[i][v] = _mm512_dpbf16_ps(sum[i][v], (__m512bh)left, (__m512bh)right[v]);
        }
    }
    for (int i = 0; i < ROWS; i++)
        for (int v = 0; v < panels; v++)
            _mm512_storeu_ps(tile + (i * PANELS + v) * NARROW_TILE, sum[i][v]);
}

static void gemm_avx512(const struct narrow_gemm *g)
{
    enum { WIDE = PANELS * NARROW_TILE };
    for (int64_t j = 0; j < g->n; j += WIDE)
        for (int64_t i = 0; i < g->m; i += ROWS) {
            int64_t m = g->m - i < ROWS ? g->m - i : ROWS, n = g->n - j < WIDE ? g->n - j : WIDE;
            _Alignas(64) float tile[ROWS * WIDE];
            struct block t = {g->a + i * g->a_row, g->b + j * g->k, g->a_row, g->k};
            if (n > NARROW_TILE)
                multiply(&t, 2, tile);
            else
                multiply(&t, 1, tile);
            narrow_edge(tile, WIDE, m, n, g->c + i * g->c_row + j, g->c_row, g->add);
        }
}

const struct cpu_narrow cpu_narrow_avx512 = {"AVX-512 BF16", gemm_avx512};

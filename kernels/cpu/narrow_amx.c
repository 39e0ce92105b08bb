/* SPDX-License-Identifier: Apache-2.0
 *
 * AMX: two tiles of a's rows by two panels of b, four tiles of sums (Intel, "Advanced Matrix
 * Extensions"). A tile is 16 rows of 64 bytes. The process needs the kernel's permission first
 * (processor.c).
 */
#include "cpu/narrow_kernels.h"

#ifdef NARROW_INTRINSICS
#include NARROW_INTRINSICS
#else
#include <immintrin.h>
#endif

enum { SUMS = 2 * NARROW_TILE };

struct config { /* of TILELOADCONFIG, palette 1 */
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
};

struct block {
    const uint16_t *a, *b;
    int64_t a_row, k;
    float *c;
    int64_t c_row;
    bool add;
};

/* Tiles 0 to 3: sums; 4, 5: a; 6, 7: b. Their numbers must be literals. */
INLINE void multiply(const struct block *t, bool two_down, bool two_across)
{
    const size_t c_bytes = (size_t)t->c_row * sizeof(float), a_bytes = (size_t)t->a_row * 2;
    float *below = t->c + NARROW_TILE * t->c_row;
    const uint16_t *a1 = t->a + NARROW_TILE * t->a_row, *b1 = t->b + t->k * NARROW_TILE;
    if (t->add) {
        _tile_loadd(0, t->c, c_bytes);
        if (two_across) _tile_loadd(1, t->c + NARROW_TILE, c_bytes);
        if (two_down) _tile_loadd(2, below, c_bytes);
        if (two_down && two_across) _tile_loadd(3, below + NARROW_TILE, c_bytes);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t p = 0; p < t->k; p += NARROW_STEP) {
        _tile_loadd(4, t->a + p, a_bytes);
        _tile_loadd(6, t->b + p * NARROW_TILE, 64);
        _tile_dpbf16ps(0, 4, 6);
        if (two_across) {
            _tile_loadd(7, b1 + p * NARROW_TILE, 64);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (two_down) {
            _tile_loadd(5, a1 + p, a_bytes);
            _tile_dpbf16ps(2, 5, 6);
        }
        if (two_down && two_across) _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, t->c, c_bytes);
    if (two_across) _tile_stored(1, t->c + NARROW_TILE, c_bytes);
    if (two_down) _tile_stored(2, below, c_bytes);
    if (two_down && two_across) _tile_stored(3, below + NARROW_TILE, c_bytes);
}

static void multiply_any(const struct block *t, bool two_down, bool two_across)
{
    if (two_down && two_across)
        multiply(t, true, true);
    else if (two_down)
        multiply(t, true, false);
    else if (two_across)
        multiply(t, false, true);
    else
        multiply(t, false, false);
}

static void gemm_amx(const struct narrow_gemm *g)
{
    struct config config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.bytes[i] = 64;
        config.rows[i] = NARROW_TILE;
    }
    _tile_loadconfig(&config);
    for (int64_t j = 0; j < g->n; j += SUMS)
        for (int64_t i = 0; i < g->m; i += SUMS) {
            int64_t m = g->m - i < SUMS ? g->m - i : SUMS, n = g->n - j < SUMS ? g->n - j : SUMS;
            bool two_down = m > NARROW_TILE, two_across = n > NARROW_TILE;
            bool whole = m % NARROW_TILE == 0 && n % NARROW_TILE == 0;
            _Alignas(64) float edge[SUMS * SUMS];
            float *c = g->c + i * g->c_row + j;
            struct block t = {.a = g->a + i * g->a_row,
                              .b = g->b + j * g->k,
                              .a_row = g->a_row,
                              .k = g->k,
                              .c = whole ? c : edge,
                              .c_row = whole ? g->c_row : SUMS,
                              .add = whole && g->add};
            multiply_any(&t, two_down, two_across);
            if (!whole) narrow_edge(edge, SUMS, m, n, c, g->c_row, g->add);
        }
    _tile_release();
}

const struct cpu_narrow cpu_narrow_amx = {"AMX bf16", gemm_amx};

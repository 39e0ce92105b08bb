/* SPDX-License-Identifier: Apache-2.0
 *
 * Rounding and packing: two numbers of k that follow each other make one word, as the instructions
 * take them.
 */
#include "cpu/narrow.h"

#include "cpu/vec.h"
#include "ref/half.h"

#include <string.h>

static uint32_t pair(float low, float high)
{
    return (uint32_t)bf16_from_f32(low) | (uint32_t)bf16_from_f32(high) << 16;
}

void narrow_pack_a(const float *from, int64_t row, int64_t rows, int64_t k, uint16_t *to)
{
    int64_t wide = narrow_k(k);
    for (int64_t i = 0; i < rows; i++, from += row, to += wide) {
        PARALLEL_LOOP
        for (int64_t p = 0; p < k; p++) to[p] = bf16_from_f32(from[p]);
        memset(to + k, 0, (size_t)(wide - k) * sizeof *to);
    }
}

void narrow_pack_rows(const float *from, int64_t row, int64_t k, int64_t n, uint16_t *panels)
{
    for (int64_t j = 0; j < n; j += NARROW_TILE) {
        int64_t columns = n - j < NARROW_TILE ? n - j : NARROW_TILE;
        for (int64_t p = 0; p < narrow_k(k); p += 2, panels += 2 * NARROW_TILE) {
            uint32_t words[NARROW_TILE] = {0};
            const float *even = from + p * row + j, *odd = even + row;
            if (p + 1 < k) {
                PARALLEL_LOOP
                for (int64_t i = 0; i < columns; i++) words[i] = pair(even[i], odd[i]);
            } else if (p < k) {
                for (int64_t i = 0; i < columns; i++) words[i] = pair(even[i], 0.0f);
            }
            memcpy(panels, words, sizeof words);
        }
    }
}

void narrow_pack_columns(const float *from, int64_t row, int64_t k, int64_t n, uint16_t *panels)
{
    int64_t wide = narrow_k(k);
    for (int64_t j = 0; j < n; j += NARROW_TILE, panels += wide * NARROW_TILE) {
        int64_t columns = n - j < NARROW_TILE ? n - j : NARROW_TILE;
        for (int64_t p = 0; p < wide; p += 2 * NARROW_TILE) {
            /* words[column][pair], turned as it is stored */
            uint32_t words[NARROW_TILE][NARROW_TILE] = {{0}};
            int64_t count = k - p < 2 * NARROW_TILE ? k - p : 2 * NARROW_TILE;
            for (int64_t i = 0; i < columns; i++) {
                const float *line = from + (j + i) * row + p;
                PARALLEL_LOOP
                for (int64_t q = 0; q < count / 2; q++)
                    words[i][q] = pair(line[2 * q], line[2 * q + 1]);
                if (count % 2 != 0) words[i][count / 2] = pair(line[count - 1], 0.0f);
            }
            uint32_t turned[NARROW_TILE][NARROW_TILE];
            for (int64_t q = 0; q < NARROW_TILE; q++)
                for (int64_t i = 0; i < NARROW_TILE; i++) turned[q][i] = words[i][q];
            memcpy(panels + p * NARROW_TILE, turned, sizeof turned);
        }
    }
}

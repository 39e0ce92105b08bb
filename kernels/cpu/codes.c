/* SPDX-License-Identifier: Apache-2.0
 *
 * Block-wise 8-bit codes (Dettmers et al. 2022): scale = max |x| of a block, the code is the map's
 * entry nearest to x / scale, found among the middles between entries; 0 in a block of zeros. A
 * task has whole blocks.
 */
#include "cpu/cpu.h"
#include "cpu/row.h"

#include <math.h>

enum { MAP = 256 };

static int64_t blocks_of(const struct cpu_job *job)
{
    int64_t n = job->call.op == GRAFT_OP_ENCODE ? job->call.in[0].shape.dim[0]
                                                : job->call.out[0].shape.dim[0];
    return cpu_parts(n, job->call.params.codes.block);
}

static uint32_t encode_tasks(struct cpu_job *job)
{
    if (job->call.out[0].data == NULL && job->call.out[1].data == NULL) return 0;
    return cpu_row_tasks(blocks_of(job), job->call.params.codes.block);
}

static float largest_of(const float *x, int64_t n)
{
    enum { LANES = 4 * VEC };
    float lane[LANES] = {0.0f}, largest = 0.0f;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++) {
            float size = fabsf(x[i + j]);
            lane[j] = size > lane[j] ? size : lane[j];
        }
    for (; i < n; i++) largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    for (int j = 0; j < LANES; j++) largest = lane[j] > largest ? lane[j] : largest;
    return largest;
}

/* How many of the 255 middles lie below each x / scale: eight halvings, without a branch. */
static void nearest(const float *middle, const float *x, float scale, uint8_t *code, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float quotient = x[i] / scale;
        uint32_t at = 0;
        for (uint32_t half = MAP / 2; half > 0; half /= 2)
            at += middle[at + half - 1] < quotient ? half : 0;
        code[i] = (uint8_t)at;
    }
}

static void encode(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    const float *x = job->call.in[0].data, *map = job->call.in[1].data; /* [n], [256] */
    uint8_t *code = job->call.out[0].data;                              /* [n] */
    float *scale = job->call.out[1].data, middle[MAP];                  /* [n / block] */
    int64_t n = job->call.in[0].shape.dim[0], block = job->call.params.codes.block;
    struct cpu_range r = cpu_piece(blocks_of(job), cpu_rows_per_task(block), index);
    for (int i = 0; i + 1 < MAP; i++) middle[i] = 0.5f * map[i] + 0.5f * map[i + 1];
    for (int64_t b = r.begin; b < r.end; b++) {
        int64_t from = b * block, count = cpu_smaller(block, n - from);
        float largest = largest_of(x + from, count);
        if (scale != NULL) scale[b] = largest;
        if (code == NULL) continue;
        if (largest > 0.0f)
            nearest(middle, x + from, largest, code + from, count);
        else
            memset(code + from, 0, (size_t)count);
    }
}

static uint32_t decode_tasks(struct cpu_job *job)
{
    if (job->call.out[0].data == NULL) return 0;
    return cpu_row_tasks(blocks_of(job), job->call.params.codes.block);
}

static void decode(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    const uint8_t *code = job->call.in[0].data;
    const float *scale = job->call.in[1].data, *map = job->call.in[2].data;
    float *x = job->call.out[0].data;
    int64_t n = job->call.in[0].shape.dim[0], block = job->call.params.codes.block;
    struct cpu_range r = cpu_piece(blocks_of(job), cpu_rows_per_task(block), index);
    for (int64_t b = r.begin; b < r.end; b++)
        for (int64_t i = b * block; i < cpu_smaller(n, (b + 1) * block); i++)
            x[i] = map[code[i]] * scale[b];
}

const struct cpu_kernel cpu_encode = {.phase = {{encode_tasks, encode}}};
const struct cpu_kernel cpu_decode = {.phase = {{decode_tasks, decode}}};

/* SPDX-License-Identifier: Apache-2.0
 *
 * out[t, c] = x[t, c] * keep / (1 - rate). keep compares 24 random bits with the rate: word c % 4
 * of the Philox draw (graft/philox.h) with counter (step, row[t], token[t], c / 4) and the node's
 * key. LANES draws go side by side. The output may be x.
 */
#include "cpu/cpu.h"
#include "cpu/vec.h"

#include <math.h>

enum { LANES = 16, WORDS = 4 };

static uint32_t tasks(struct cpu_job *job)
{
    const struct graft_shape *s = &job->call.in[0].shape;
    return job->call.out[0].data == NULL ? 0 : cpu_row_tasks(s->dim[0], 4 * s->dim[1]);
}

#if defined(__clang__)
#define UNROLL_ROUNDS _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define UNROLL_ROUNDS _Pragma("GCC unroll 10")
#else
#define UNROLL_ROUNDS
#endif

/* Draws first .. first + LANES of one token; word[w][i]: word w of draw i. The rounds are unrolled,
 * so that the loop over draws is what vectorizes. */
static void draw(const uint32_t key[2], const uint32_t counter[3], uint32_t first,
                 uint32_t word[WORDS][LANES])
{
    for (uint32_t i = 0; i < LANES; i++) {
        uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = first + i;
        uint32_t k0 = key[0], k1 = key[1];
        UNROLL_ROUNDS
        for (int round = 0; round < 10; round++) {
            uint64_t p0 = (uint64_t)c0 * 0xD2511F53u, p1 = (uint64_t)c2 * 0xCD9E8D57u;
            c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
            c1 = (uint32_t)p1;
            c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
            c3 = (uint32_t)p0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        word[0][i] = c0;
        word[1][i] = c1;
        word[2][i] = c2;
        word[3][i] = c3;
    }
}

/* The smallest 24-bit number that is kept: unit >= rate compared in whole numbers, exactly. */
static uint32_t threshold(double rate)
{
    return (uint32_t)ceil(rate * 16777216.0);
}

static void run(const struct cpu_job *job, uint32_t index, void *scratch)
{
    (void)scratch;
    const struct kernel_call *call = &job->call;
    const int32_t *row = call->in[1].data, *token = call->in[2].data, *step = call->in[3].data;
    int64_t channels = call->in[0].shape.dim[1];
    uint32_t least = threshold(call->params.dropout.rate);
    float scale = (float)(1.0 / (1.0 - call->params.dropout.rate));
    struct cpu_range r =
        cpu_piece(call->in[0].shape.dim[0], cpu_rows_per_task(4 * channels), index);
    for (int64_t t = r.begin; t < r.end; t++) {
        const float *x = (const float *)call->in[0].data + t * channels;
        float *out = (float *)call->out[0].data + t * channels;
        uint32_t counter[3] = {(uint32_t)step[0], (uint32_t)row[t], (uint32_t)token[t]};
        for (int64_t c0 = 0; c0 < channels; c0 += LANES * WORDS) {
            uint32_t word[WORDS][LANES];
            float factor[LANES * WORDS];
            int64_t n = cpu_smaller(LANES * WORDS, channels - c0);
            draw(call->params.dropout.key, counter, (uint32_t)(c0 / WORDS), word);
            for (int i = 0; i < LANES; i++)
                for (int w = 0; w < WORDS; w++)
                    factor[i * WORDS + w] = word[w][i] >> 8 >= least ? scale : 0.0f;
            PARALLEL_LOOP
            for (int64_t i = 0; i < n; i++)
                out[c0 + i] = factor[i] > 0.0f ? x[c0 + i] * factor[i] : 0.0f;
        }
    }
}

const struct cpu_kernel cpu_dropout = {.phase = {{tasks, run}}};

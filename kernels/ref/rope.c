/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotary position embedding (Su et al. 2021). A table row holds n = rotary / 2 cosines, then n
 * sines, of position * inverse frequency, times a factor. Pair i of a head is turned by
 *   (x, y) -> (x cos - y sin, x sin + y cos),   inverse: the sine negated.
 * Pairs are (i, i + n) as in Hugging Face's rotate_half, interleaved: (2i, 2i + 1) as in the paper.
 */
#include "ref/real.h"

#include <math.h>

void REF_NAME(rope_table)(const struct kernel_call *call)
{
    const int32_t *positions = call->in[0].data; /* [T] */
    const real *frequency = call->in[1].data;    /* [n] */
    real *out = call->out[0].data;               /* [T, 2n] */
    int64_t tokens = call->in[0].shape.dim[0], n = call->in[1].shape.dim[0];
    double factor = call->params.rope.factor;
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t i = 0; i < n; i++) {
            double angle = (double)positions[t] * frequency[i];
            out[t * 2 * n + i] = (real)(factor * cos(angle));
            out[t * 2 * n + n + i] = (real)(factor * sin(angle));
        }
}

static void turn(const union graft_params *p, const real *x, const real *table, real *out)
{
    int64_t n = p->rope.rotary / 2;
    for (int64_t i = 0; i < n; i++) {
        int64_t first = p->rope.interleaved ? 2 * i : i;
        int64_t second = p->rope.interleaved ? 2 * i + 1 : i + n;
        double a = x[first], b = x[second];
        double cosine = table[i], sine = p->rope.inverse ? -table[n + i] : table[n + i];
        out[first] = (real)(a * cosine - b * sine);
        out[second] = (real)(a * sine + b * cosine);
    }
    for (int64_t i = 2 * n; i < p->rope.head_size; i++) out[i] = x[i];
}

void REF_NAME(rope)(const struct kernel_call *call)
{
    const real *x = call->in[0].data, *table = call->in[1].data; /* [T, H*D], [T, rotary] */
    real *out = call->out[0].data;
    int64_t tokens = call->in[0].shape.dim[0], width = call->in[0].shape.dim[1];
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t h = 0; h < width; h += call->params.rope.head_size)
            turn(&call->params, x + t * width + h, table + t * call->params.rope.rotary,
                 out + t * width + h);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Block-wise 8-bit codes (Dettmers et al. 2022, "8-bit optimizers via block-wise quantization").
 *   encode: scale = max |x| of a block, code = the map's entry nearest to x / scale, of two equally
 *           near the lower; 0 in a block of zeros
 *   decode: x = map[code] * scale
 */
#include "ref/real.h"

#include <math.h>

enum { MAP = 256 };

static uint8_t nearest(const real *map, double x)
{
    int low = 0, high = MAP - 1;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (map[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    return (uint8_t)(map[high] - x < x - map[low] ? high : low);
}

void REF_NAME(encode)(const struct kernel_call *call)
{
    const real *x = call->in[0].data, *map = call->in[1].data; /* [n], [256] */
    uint8_t *code = call->out[0].data;                         /* [n] */
    real *scale = call->out[1].data;                           /* [n / block] */
    int64_t n = call->in[0].shape.dim[0], block = call->params.codes.block;
    for (int64_t from = 0, b = 0; from < n; from += block, b++) {
        int64_t to = n - from < block ? n : from + block;
        double largest = 0.0;
        for (int64_t i = from; i < to; i++)
            largest = fabs((double)x[i]) > largest ? fabs((double)x[i]) : largest;
        if (scale) scale[b] = (real)largest;
        for (int64_t i = from; code && i < to; i++)
            code[i] = largest > 0.0 ? nearest(map, x[i] / largest) : 0;
    }
}

void REF_NAME(decode)(const struct kernel_call *call)
{
    const uint8_t *code = call->in[0].data;
    const real *scale = call->in[1].data, *map = call->in[2].data;
    real *x = call->out[0].data;
    int64_t n = call->in[0].shape.dim[0], block = call->params.codes.block;
    for (int64_t i = 0; i < n; i++) x[i] = map[code[i]] * scale[i / block];
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * out[t, c] = x[t, c] * keep / (1 - rate). keep compares 24 random bits with the rate: word c % 4
 * of the Philox draw with counter (step, row[t], token[t], c / 4) and the node's key.
 */
#include "ref/real.h"

#include <graft/philox.h>

void REF_NAME(dropout)(const struct kernel_call *call)
{
    const real *x = call->in[0].data; /* [T, C] */
    const int32_t *row = call->in[1].data, *token = call->in[2].data, *step = call->in[3].data;
    real *out = call->out[0].data;
    int64_t tokens = call->in[0].shape.dim[0], channels = call->in[0].shape.dim[1];
    double rate = call->params.dropout.rate, scale = 1.0 / (1.0 - rate);
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t c = 0; c < channels; c += 4) {
            uint32_t word[4], counter[4] = {(uint32_t)step[0], (uint32_t)row[t], (uint32_t)token[t],
                                            (uint32_t)(c / 4)};
            graft_philox(call->params.dropout.key, counter, word);
            for (int64_t i = 0; i < 4 && c + i < channels; i++) {
                int64_t at = t * channels + c + i;
                out[at] = graft_unit(word[i]) >= rate ? (real)(x[at] * scale) : 0;
            }
        }
}

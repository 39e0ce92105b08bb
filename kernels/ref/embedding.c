/* SPDX-License-Identifier: Apache-2.0
 *
 * out[t, :] = table[ids[t], :]; the table [V, C] may be of any storage type.
 */
#include "ref/real.h"

void REF_NAME(embedding)(const struct kernel_call *call)
{
    const int32_t *ids = call->in[0].data; /* [T] */
    real *out = call->out[0].data;         /* [T, C] */
    int64_t tokens = call->in[0].shape.dim[0], channels = call->in[1].shape.dim[1];
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t c = 0; c < channels; c += REF_PIECE) {
            int64_t count = channels - c < REF_PIECE ? channels - c : REF_PIECE;
            REF_NAME(load)(&call->in[1], ids[t], c, count, out + t * channels + c);
        }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * out[t, :] = table[ids[t] - first, :]; the table [V, C] may be of any storage type. Zeros where
 * the table has no such row. Backward: dtable[v, :] = sum of dy[t, :] where ids[t] - first = v.
 */
#include "ref/real.h"

static int64_t piece(int64_t channels, int64_t c)
{
    return channels - c < REF_PIECE ? channels - c : REF_PIECE;
}

void REF_NAME(embedding)(const struct kernel_call *call)
{
    const int32_t *ids = call->in[0].data; /* [T] */
    real *out = call->out[0].data;         /* [T, C] */
    int64_t tokens = call->in[0].shape.dim[0], rows = call->in[1].shape.dim[0];
    int64_t channels = call->in[1].shape.dim[1];
    for (int64_t t = 0; t < tokens; t++, out += channels) {
        int64_t row = ids[t] - call->params.embedding.first;
        if (row < 0 || row >= rows) {
            for (int64_t c = 0; c < channels; c++) out[c] = 0;
            continue;
        }
        for (int64_t c = 0; c < channels; c += REF_PIECE)
            REF_NAME(load)(&call->in[1], row, c, piece(channels, c), out + c);
    }
}

void REF_NAME(embedding_backward)(const struct kernel_call *call)
{
    const real *dy = call->in[0].data;     /* [T, C] */
    const int32_t *ids = call->in[1].data; /* [T] */
    real *out = call->out[0].data;         /* [V, C] */
    int64_t tokens = call->in[1].shape.dim[0], channels = call->in[0].shape.dim[1];
    for (int64_t v = 0; v < call->params.embedding.rows; v++)
        for (int64_t c = 0; c < channels; c += REF_PIECE) {
            double sum[REF_PIECE] = {0.0};
            int64_t n = piece(channels, c);
            for (int64_t t = 0; t < tokens; t++) {
                if (ids[t] - call->params.embedding.first != v) continue;
                for (int64_t i = 0; i < n; i++) sum[i] += dy[t * channels + c + i];
            }
            for (int64_t i = 0; i < n; i++) out[v * channels + c + i] = (real)sum[i];
        }
}

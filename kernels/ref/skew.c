/* SPDX-License-Identifier: Apache-2.0
 *
 * Skew-symmetric matrices from their strictly upper triangles, and the gradient of that.
 */
#include "ref/real.h"

/* out[r, i, j] = v = -out[r, j, i] for i < j, v row-major over the triangle; the diagonal is 0 */
void REF_NAME(skew)(const struct kernel_call *call)
{
    const real *v = call->in[0].data; /* [R, b (b - 1) / 2] */
    real *out = call->out[0].data;    /* [R, b, b] */
    int64_t rows = call->in[0].shape.dim[0], b = call->params.skew.size;
    for (int64_t r = 0; r < rows; r++, out += b * b)
        for (int64_t i = 0; i < b; i++) {
            out[i * b + i] = 0;
            for (int64_t j = i + 1; j < b; j++) {
                out[i * b + j] = *v;
                out[j * b + i] = -*v++;
            }
        }
}

/* out[r, (i, j)] = m[r, i, j] - m[r, j, i] for i < j */
void REF_NAME(skew_backward)(const struct kernel_call *call)
{
    const real *m = call->in[0].data; /* [R, b, b] */
    real *out = call->out[0].data;    /* [R, b (b - 1) / 2] */
    int64_t rows = call->in[0].shape.dim[0], b = call->params.skew.size;
    for (int64_t r = 0; r < rows; r++, m += b * b)
        for (int64_t i = 0; i < b; i++)
            for (int64_t j = i + 1; j < b; j++) *out++ = m[i * b + j] - m[j * b + i];
}

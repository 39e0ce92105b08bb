/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums over axes, in double. A sum over no live rows is 0.
 */
#include "ref/real.h"

void REF_NAME(sum)(const struct kernel_call *call)
{
    const struct graft_shape *s = &call->in[0].shape;
    const real *x = call->in[0].data;
    real *out = call->out[0].data;
    int64_t keep[GRAFT_MAX_RANK], fold[GRAFT_MAX_RANK], stride[GRAFT_MAX_RANK], step = 1, n = 0;
    for (int k = GRAFT_MAX_RANK - 1; k >= 0; k--) {
        int folded = call->params.sum.axes >> k & 1;
        keep[k] = folded ? 1 : s->dim[k];
        fold[k] = folded ? s->dim[k] : 1;
        stride[k] = step;
        step *= s->dim[k];
    }
    int64_t count = keep[0] * keep[1] * keep[2] * keep[3];
    int64_t folds = fold[0] * fold[1] * fold[2] * fold[3];
    for (n = 0; n < count; n++) {
        int64_t from = 0, rest = n;
        for (int k = GRAFT_MAX_RANK - 1; k >= 0; k--) {
            from += rest % keep[k] * stride[k];
            rest /= keep[k];
        }
        double total = 0.0;
        for (int64_t f = 0; f < folds; f++) {
            int64_t at = from;
            rest = f;
            for (int k = GRAFT_MAX_RANK - 1; k >= 0; k--) {
                at += rest % fold[k] * stride[k];
                rest /= fold[k];
            }
            total += x[at];
        }
        out[n] = (real)total;
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Factors of a matrix on the host, in double and the same on every run.
 */
#ifndef CORE_ADAPT_FACTOR_H
#define CORE_ADAPT_FACTOR_H

#include <stdbool.h>
#include <stddef.h>

/* What is factored and where to; all row-major. rank is at most min(out, in). */
struct factor {
    const float *weight; /* [out, in] */
    size_t out, in, rank;
    float *left /* [out, rank] */, *right /* [rank, in] */;
};

/* W = U S V^T: left = U sqrt(S), right = sqrt(S) V^T, of the largest singular values, largest
 * first. False when memory ran out. */
bool factor_svd(const struct factor *f);
/* W = Q R: the first columns of Q and rows of R. */
bool factor_qr(const struct factor *f);

#endif

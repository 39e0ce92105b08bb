/* SPDX-License-Identifier: Apache-2.0
 *
 * out[m, n] = sum over k of a[m, k] * b[k, n], accumulated in double; a and b as stored or
 * transposed, b of any storage type. The output is overwritten; K = 0 gives zeros.
 *
 * A tile of b is loaded along its stored rows (so that quantized blocks stay whole), then a few
 * rows of a go over it.
 */
#include "ref/real.h"

enum { LINES = 16 }; /* rows of a at once; stored rows of b at once */

struct product {
    int64_t m, n, k;
    const real *a;
    int64_t am, ak;         /* steps in a */
    struct kernel_tensor b; /* rank 2 */
    real *out;
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* b stored [K, N]: a piece of N, all of K. */
static void plain(const struct product *p, int64_t m0, int64_t mn)
{
    double sum[LINES][REF_PIECE];
    real line[REF_PIECE];
    for (int64_t n0 = 0; n0 < p->n; n0 += REF_PIECE) {
        int64_t nn = smaller(REF_PIECE, p->n - n0);
        for (int64_t m = 0; m < mn; m++)
            for (int64_t n = 0; n < nn; n++) sum[m][n] = 0.0;
        for (int64_t k = 0; k < p->k; k++) {
            REF_NAME(load)(&p->b, k, n0, nn, line);
            for (int64_t m = 0; m < mn; m++) {
                double a = p->a[(m0 + m) * p->am + k * p->ak];
                for (int64_t n = 0; n < nn; n++) sum[m][n] += a * line[n];
            }
        }
        for (int64_t m = 0; m < mn; m++)
            for (int64_t n = 0; n < nn; n++) p->out[(m0 + m) * p->n + n0 + n] = (real)sum[m][n];
    }
}

/* b stored [N, K]: a few rows of N, K in pieces. */
static void transposed(const struct product *p, int64_t m0, int64_t mn)
{
    real tile[REF_PIECE][LINES], line[REF_PIECE];
    for (int64_t n0 = 0; n0 < p->n; n0 += LINES) {
        int64_t nn = smaller(LINES, p->n - n0);
        double sum[LINES][LINES] = {{0.0}};
        for (int64_t k0 = 0; k0 < p->k; k0 += REF_PIECE) {
            int64_t kn = smaller(REF_PIECE, p->k - k0);
            for (int64_t n = 0; n < nn; n++) {
                REF_NAME(load)(&p->b, n0 + n, k0, kn, line);
                for (int64_t k = 0; k < kn; k++) tile[k][n] = line[k];
            }
            for (int64_t m = 0; m < mn; m++)
                for (int64_t k = 0; k < kn; k++) {
                    double a = p->a[(m0 + m) * p->am + (k0 + k) * p->ak];
                    for (int64_t n = 0; n < nn; n++) sum[m][n] += a * tile[k][n];
                }
        }
        for (int64_t m = 0; m < mn; m++)
            for (int64_t n = 0; n < nn; n++) p->out[(m0 + m) * p->n + n0 + n] = (real)sum[m][n];
    }
}

/* One matrix of the batch; at: index of the first dimension of three. */
static struct product pick(const struct kernel_call *call, int64_t at)
{
    int first = call->in[0].shape.rank - 2;
    const int64_t *da = call->in[0].shape.dim + first, *db = call->in[1].shape.dim + first;
    int ta = call->params.matmul.transpose_a != 0, tb = call->params.matmul.transpose_b != 0;
    struct product p = {.m = da[ta], .k = da[!ta], .n = db[!tb], .b = call->in[1]};
    const real *a = call->in[0].data;
    real *out = call->out[0].data;
    p.a = a + at * p.m * p.k;
    p.am = ta ? 1 : p.k;
    p.ak = ta ? p.m : 1;
    if (first) {
        const real *b = call->in[1].data;
        p.b.data = (void *)(b + at * p.k * p.n);
        p.b.shape = graft_shape2(db[0], db[1]);
    }
    p.out = out + at * p.m * p.n;
    return p;
}

void REF_NAME(matmul)(const struct kernel_call *call)
{
    int64_t batch = call->in[0].shape.rank == 3 ? call->in[0].shape.dim[0] : 1;
    for (int64_t i = 0; i < batch; i++) {
        struct product p = pick(call, i);
        for (int64_t m = 0; m < p.m; m += LINES) {
            int64_t mn = smaller(LINES, p.m - m);
            if (call->params.matmul.transpose_b)
                transposed(&p, m, mn);
            else
                plain(&p, m, mn);
        }
    }
}

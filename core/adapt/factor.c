/* SPDX-License-Identifier: Apache-2.0
 *
 * QR by Householder's reflections; SVD by the eigenvectors of the smaller of W W^T and W^T W, which
 * are found by tridiagonal form and implicit QL (Golub and Van Loan, Matrix
 * Computations, 5.2, 8.3).
 */
#include "adapt/factor.h"

#include "base/memory.h"

#include <float.h>
#include <math.h>
#include <string.h>

static double dot(const double *x, const double *y, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) sum += x[i] * y[i];
    return sum;
}

static void add(double *y, double factor, const double *x, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] += factor * x[i];
}

/* x becomes the v of I - beta v v^T, which takes x to (*first, 0, ..); gives beta. */
static double reflector(double *x, size_t count, double *first)
{
    double norm = sqrt(dot(x, x, count));
    *first = x[0] > 0.0 ? -norm : norm;
    x[0] -= *first;
    double square = dot(x, x, count);
    return square > 0.0 ? 2.0 / square : 0.0;
}

/* ---- QR ---- */

bool factor_qr(const struct factor *f)
{
    size_t m = f->out, n = f->in, r = f->rank;
    /* the columns of W, then those of Q; both as rows */
    double *columns = mem_zalloc(m * n, sizeof *columns), *q = mem_zalloc(r * m, sizeof *q);
    double *v = mem_zalloc(r * m, sizeof *v), *beta = mem_zalloc(r, sizeof *beta);
    bool done = columns != NULL && q != NULL && v != NULL && beta != NULL;
    for (size_t i = 0; done && i < m * n; i++) columns[i % n * m + i / n] = (double)f->weight[i];
    for (size_t k = 0; done && k < r; k++) {
        double first, *x = v + k * m + k;
        memcpy(x, columns + k * m + k, (m - k) * sizeof *x);
        beta[k] = reflector(x, m - k, &first);
        for (size_t j = k; j < n; j++) {
            double *column = columns + j * m + k;
            add(column, -beta[k] * dot(x, column, m - k), x, m - k);
        }
        for (size_t j = 0; j < n; j++)
            f->right[k * n + j] = j < k ? 0.0F : (float)columns[j * m + k];
    }
    for (size_t j = 0; done && j < r; j++) {
        q[j * m + j] = 1.0;
        for (size_t k = r; k-- > 0;) {
            double *x = v + k * m + k, *column = q + j * m + k;
            add(column, -beta[k] * dot(x, column, m - k), x, m - k);
        }
        for (size_t i = 0; i < m; i++) f->left[i * r + j] = (float)q[j * m + i];
    }
    mem_free(columns);
    mem_free(q);
    mem_free(v);
    mem_free(beta);
    return done;
}

/* ---- eigenvectors of a symmetric matrix ---- */

struct symmetric {
    size_t n;
    double *a;     /* [n, n]; then the reflectors */
    double *z;     /* [n, n]; rows: the eigenvectors */
    double *d, *e; /* [n]: eigenvalues; off the diagonal */
    double *p;     /* [n] of scratch */
};

/* a = z^T T z, with T of diagonal d and off-diagonal e. */
static void tridiagonal(const struct symmetric *s)
{
    size_t n = s->n;
    for (size_t k = 0; k + 1 < n; k++) {
        /* row k holds v from column k + 1 on; column k below the diagonal is not read again */
        size_t count = n - k - 1;
        double *v = s->a + k * n + k + 1, *p = s->p;
        double beta = reflector(v, count, &s->e[k]);
        s->d[k] = s->a[k * n + k];
        for (size_t i = 0; i < count; i++)
            p[i] = beta * dot(s->a + (k + 1 + i) * n + k + 1, v, count);
        add(p, -0.5 * beta * dot(p, v, count), v, count);
        for (size_t i = 0; i < count; i++) {
            double *row = s->a + (k + 1 + i) * n + k + 1;
            add(row, -v[i], p, count);
            add(row, -p[i], v, count);
        }
        s->a[k * n + k] = beta;
    }
    s->d[n - 1] = s->a[n * n - 1];
    for (size_t i = 0; i < n; i++) s->z[i * n + i] = 1.0;
    for (size_t k = n - 1; k-- > 0;) {
        const double *v = s->a + k * n + k + 1;
        size_t count = n - k - 1;
        for (size_t i = k + 1; i < n; i++) {
            double *row = s->z + i * n + k + 1;
            add(row, -s->a[k * n + k] * dot(row, v, count), v, count);
        }
    }
}

static void rotate(double *x, double *y, double cosine, double sine, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double t = y[i];
        y[i] = sine * x[i] + cosine * t;
        x[i] = cosine * x[i] - sine * t;
    }
}

/* One implicit QL step on rows first .. last. */
static void ql_step(const struct symmetric *s, size_t first, size_t last)
{
    double *d = s->d, *e = s->e;
    double g = (d[first + 1] - d[first]) / (2.0 * e[first]), r = hypot(g, 1.0);
    double sine = 1.0, cosine = 1.0, shift = 0.0;
    g = d[last] - d[first] + e[first] / (g + copysign(r, g));
    for (size_t i = last; i-- > first;) {
        double f = sine * e[i], b = cosine * e[i];
        e[i + 1] = r = hypot(f, g);
        if (!(r > 0.0)) {
            d[i + 1] -= shift;
            e[last] = 0.0;
            return;
        }
        sine = f / r;
        cosine = g / r;
        g = d[i + 1] - shift;
        r = (d[i] - g) * sine + 2.0 * cosine * b;
        shift = sine * r;
        d[i + 1] = g + shift;
        g = cosine * r - b;
        rotate(s->z + i * s->n, s->z + (i + 1) * s->n, cosine, sine, s->n);
    }
    d[first] -= shift;
    e[first] = g;
    e[last] = 0.0;
}

static void eigenvectors(const struct symmetric *s)
{
    enum { MOST_STEPS = 60 }; /* two or three are usual */
    tridiagonal(s);
    s->e[s->n - 1] = 0.0;
    for (size_t l = 0; l < s->n; l++)
        for (int step = 0; step < MOST_STEPS; step++) {
            size_t m = l;
            while (m + 1 < s->n &&
                   fabs(s->e[m]) > DBL_EPSILON * (fabs(s->d[m]) + fabs(s->d[m + 1])))
                m++;
            if (m == l) break;
            ql_step(s, l, m);
        }
}

/* ---- SVD ---- */

/* From eigenvector u and singular value S of W [m, n], m <= n: u sqrt(S), and u^T W / sqrt(S). */
static void put_pair(const struct factor *f, const double *w, size_t k, const double *u,
                     double value, double *row)
{
    bool wide = f->out <= f->in;
    size_t m = wide ? f->out : f->in, n = wide ? f->in : f->out;
    double root = sqrt(value);
    memset(row, 0, n * sizeof *row);
    for (size_t i = 0; i < m && root > 0.0; i++) add(row, u[i] / root, w + i * n, n);
    for (size_t i = 0; i < f->out; i++)
        f->left[i * f->rank + k] = (float)(wide ? root * u[i] : row[i]);
    for (size_t j = 0; j < f->in; j++)
        f->right[k * f->in + j] = (float)(wide ? row[j] : root * u[j]);
}

static void find_pairs(const struct factor *f, struct symmetric *s, double *w, double *row)
{
    size_t m = s->n, n = f->out <= f->in ? f->in : f->out;
    for (size_t i = 0; i < m * n; i++)
        w[i] = (double)f->weight[f->out <= f->in ? i : i % n * f->in + i / n];
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j <= i; j++)
            s->a[i * m + j] = s->a[j * m + i] = dot(w + i * n, w + j * n, n);
    eigenvectors(s);
    for (size_t k = 0; k < f->rank; k++) {
        size_t best = 0;
        for (size_t i = 1; i < m; i++)
            if (s->d[i] > s->d[best]) best = i;
        put_pair(f, w, k, s->z + best * m, sqrt(fmax(s->d[best], 0.0)), row);
        s->d[best] = -INFINITY;
    }
}

bool factor_svd(const struct factor *f)
{
    size_t m = f->out <= f->in ? f->out : f->in, n = f->out <= f->in ? f->in : f->out;
    struct symmetric s = {.n = m};
    double *w = mem_zalloc(m * n, sizeof *w), *row = mem_zalloc(n, sizeof *row);
    s.a = mem_zalloc(m * m, sizeof *s.a);
    s.z = mem_zalloc(m * m, sizeof *s.z);
    s.d = mem_zalloc(3 * m, sizeof *s.d);
    bool done = w != NULL && row != NULL && s.a != NULL && s.z != NULL && s.d != NULL;
    if (done) {
        s.e = s.d + m;
        s.p = s.d + 2 * m;
        find_pairs(f, &s, w, row);
    }
    mem_free(w);
    mem_free(row);
    mem_free(s.a);
    mem_free(s.z);
    mem_free(s.d);
    return done;
}

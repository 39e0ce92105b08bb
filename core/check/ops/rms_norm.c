/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of RMS norm, forward and backward.
 */
#include "check/case.h"

#include <math.h>

static const int64_t sizes[][3] = {/* tokens, live, channels */
                                   {1, 1, 1},  {1, 1, 64},   {5, 5, 33},    {70, 41, 576},
                                   {9, 0, 16}, {3, 3, 4099}, {300, 300, 7}, {11, 8, 24}};
static const double scales[] = {0, 1e-3, 30}; /* of x; a small one lets eps matter */

enum { SIZES = sizeof sizes / sizeof sizes[0], SCALES = sizeof scales / sizeof scales[0] };

static void make(uint32_t index, struct check_case *c)
{
    const int64_t *s = sizes[index % SIZES];
    double scale = scales[index / SIZES];
    bool by_head = s[0] == 11; /* [T, H, D]: queries normed head by head */
    struct graft_shape x = by_head ? graft_shape3(s[0], 3, s[2]) : graft_shape2(s[0], s[2]);
    case_begin(c, GRAFT_OP_RMS_NORM, "tokens %d live %d channels %d scale %g", (int)s[0], (int)s[1],
               (int)s[2], scale);
    case_input(c, FILL_NORMAL, x, GRAFT_ROWS_TOKENS)->scale = scale;
    case_input(c, FILL_NORMAL, graft_shape1(s[2]), GRAFT_ROWS_FIXED);
    case_live(c, s[1], 0);
    c->params.norm.eps = 1e-5;
}

static void make_backward(uint32_t index, struct check_case *c)
{
    make(index, c);
    c->op = GRAFT_OP_RMS_NORM_BACKWARD;
    struct check_input x = c->in[0], w = c->in[1];
    c->in[0].scale = 0; /* dy */
    c->in[1] = x;
    c->in[2] = w;
    c->input_count = 3;
}

static int64_t magnitude(struct check_data *d)
{
    int64_t count = graft_shape_count(d->call.out[0].shape);
    for (int64_t i = 0; i < count; i++) d->budget[0][i] = fabs(f64_out(d, 0)[i]);
    return d->c.in[1].shape.dim[0];
}

/* |r w dy| + |r^3 x| mean |dy w x| */
static int64_t magnitude_backward(struct check_data *d)
{
    const double *dy = f64_in(d, 0), *x = f64_in(d, 1), *w = f64_in(d, 2);
    int64_t channels = d->c.in[2].shape.dim[0];
    int64_t rows = graft_shape_count(d->call.in[1].shape) / channels;
    for (int64_t t = 0; t < rows; t++) {
        double squares = 0.0, terms = 0.0;
        for (int64_t c = 0; c < channels; c++) {
            int64_t i = t * channels + c;
            squares += x[i] * x[i];
            terms += fabs(dy[i] * w[c] * x[i]);
        }
        double r = 1.0 / sqrt(squares / (double)channels + d->c.params.norm.eps);
        for (int64_t c = 0; c < channels; c++) {
            int64_t i = t * channels + c;
            d->budget[0][i] =
                r * (fabs(w[c] * dy[i]) + fabs(x[i]) * r * r * terms / (double)channels);
        }
    }
    return channels;
}

const struct check_family check_rms_norm = {SIZES * SCALES, make, NULL, magnitude, NULL};
const struct check_family check_rms_norm_backward = {SIZES * SCALES, make_backward, NULL,
                                                     magnitude_backward, NULL};

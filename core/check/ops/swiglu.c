/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of SwiGLU, forward and backward.
 */
#include "check/case.h"

#include <math.h>

static const int64_t sizes[][3] = {/* tokens, live, channels */
                                   {1, 1, 1},  {5, 5, 33},    {70, 41, 576},
                                   {9, 0, 16}, {300, 300, 7}, {2, 2, 5001}};
static const double scales[] = {0, 10};

enum { SIZES = sizeof sizes / sizeof sizes[0], SCALES = sizeof scales / sizeof scales[0] };

static void make_inputs(struct check_case *c, uint32_t index, int32_t op, int inputs)
{
    const int64_t *s = sizes[index % SIZES];
    case_begin(c, op, "tokens %d live %d channels %d scale %g absent %u", (int)s[0], (int)s[1],
               (int)s[2], scales[index / SIZES % SCALES], index / (SIZES * SCALES));
    for (int i = 0; i < inputs; i++)
        case_input(c, FILL_NORMAL, graft_shape2(s[0], s[2]), GRAFT_ROWS_TOKENS)->scale =
            scales[index / SIZES % SCALES];
    case_live(c, s[1], 0);
}

static void make(uint32_t index, struct check_case *c)
{
    make_inputs(c, index, GRAFT_OP_SWIGLU, 2);
}

static void make_backward(uint32_t index, struct check_case *c)
{
    make_inputs(c, index, GRAFT_OP_SWIGLU_BACKWARD, 3);
    c->absent = index / (SIZES * SCALES);
}

static int64_t magnitude(struct check_data *d)
{
    int64_t count = graft_shape_count(d->call.out[0].shape);
    for (int64_t i = 0; i < count; i++)
        d->budget[0][i] = fabs(f64_out(d, 0)[i]) * (1.0 + fabs(f64_in(d, 0)[i]));
    return 0;
}

static int64_t magnitude_backward(struct check_data *d)
{
    int64_t count = graft_shape_count(d->call.out[0].shape);
    for (int64_t i = 0; i < count; i++) {
        double dy = f64_in(d, 0)[i], g = f64_in(d, 1)[i], up = f64_in(d, 2)[i];
        double s = 1.0 / (1.0 + exp(-g)), rest = 1.0 / (1.0 + exp(g));
        d->budget[0][i] = fabs(dy * up) * s * (1.0 + fabs(g) * rest) * (1.0 + fabs(g));
        d->budget[1][i] = fabs(f64_out(d, 1)[i]) * (1.0 + fabs(g));
    }
    return 0;
}

const struct check_family check_swiglu = {SIZES * SCALES, make, NULL, magnitude, NULL};
const struct check_family check_swiglu_backward = {3 * SIZES * SCALES, make_backward, NULL,
                                                   magnitude_backward, NULL};

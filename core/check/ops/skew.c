/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of skew-symmetric matrices and of their gradient.
 */
#include "check/case.h"

#include <math.h>

static const int64_t sizes[][3] = {/* matrices, live (-1: none), size */
                                   {1, -1, 2}, {5, -1, 3}, {18, -1, 32}, {2, -1, 130},
                                   {12, 7, 5}, {12, 0, 4}, {700, -1, 4}};

enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void make(uint32_t index, struct check_case *c)
{
    const int64_t *s = sizes[index % SIZES];
    bool forward = index < SIZES;
    case_begin(c, forward ? GRAFT_OP_SKEW : GRAFT_OP_SKEW_BACKWARD, "%d of %d, live %d", (int)s[0],
               (int)s[2], (int)s[1]);
    case_input(c, FILL_NORMAL,
               forward ? graft_shape2(s[0], s[2] * (s[2] - 1) / 2) : graft_shape3(s[0], s[2], s[2]),
               s[1] >= 0 ? GRAFT_ROWS_TOKENS : GRAFT_ROWS_FIXED);
    case_live(c, s[1] >= 0 ? s[1] : 0, 0);
    c->params.skew.size = (int32_t)s[2];
}

static int64_t magnitude(struct check_data *d)
{
    int64_t count = graft_shape_count(d->call.out[0].shape);
    for (int64_t i = 0; i < count; i++) d->budget[0][i] = fabs(f64_out(d, 0)[i]);
    return 0;
}

const struct check_family check_skew = {2 * SIZES, make, NULL, magnitude, NULL};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of axis sums: every mask up to rank 4, long and short sums, live rows.
 */
#include "check/case.h"

#include "ref/ref.h"

#include <math.h>

static const struct row {
    struct graft_shape x;
    int32_t axes;
    int64_t live;
} rows[] = {
    {{{1, 1, 1, 1}, 1}, 1, -1},     {{{5, 1, 1, 1}, 1}, 1, -1},
    {{{4097, 1, 1, 1}, 1}, 1, -1},  {{{100003, 1, 1, 1}, 1}, 1, -1},
    {{{7, 33, 1, 1}, 2}, 0, -1},    {{{7, 33, 1, 1}, 2}, 1, -1},
    {{{7, 33, 1, 1}, 2}, 2, -1},    {{{7, 33, 1, 1}, 2}, 3, -1},
    {{{700, 3, 1, 1}, 2}, 1, -1},   {{{3, 700, 1, 1}, 2}, 2, -1},
    {{{3, 5, 6, 1}, 3}, 2, -1},     {{{3, 5, 6, 1}, 3}, 5, -1},
    {{{2, 3, 4, 5}, 4}, 10, -1},    {{{2, 3, 4, 5}, 4}, 15, -1},
    {{{300, 65, 1, 1}, 2}, 1, 211}, {{{300, 65, 1, 1}, 2}, 2, 211},
    {{{300, 65, 1, 1}, 2}, 3, 1},   {{{300, 65, 1, 1}, 2}, 1, 0},
    {{{300, 1, 1, 1}, 1}, 1, 299},  {{{1025, 257, 1, 1}, 2}, 1, -1},
};

static void make(uint32_t index, struct check_case *c)
{
    const struct row *r = &rows[index];
    char text[64];
    case_begin(c, GRAFT_OP_SUM, "%s over mask %d, live %d", shape_text(r->x, text), r->axes,
               (int)r->live);
    case_input(c, FILL_NORMAL, r->x, r->live >= 0 ? GRAFT_ROWS_TOKENS : GRAFT_ROWS_FIXED);
    case_live(c, r->live >= 0 ? r->live : 0, 0);
    c->params.sum.axes = r->axes;
}

/* The same op on absolute values. */
static int64_t magnitude(struct check_data *d)
{
    struct kernel_call call = d->call;
    int64_t count = graft_shape_count(call.in[0].shape);
    int64_t sums = graft_shape_count(call.out[0].shape);
    double *x = arena_alloc(&d->arena, (size_t)count + 1, sizeof *x);
    for (int64_t i = 0; x != NULL && i < count; i++) x[i] = fabs(f64_in(d, 0)[i]);
    call.in[0].data = x;
    call.out[0].data = d->budget[0];
    if (x != NULL) ref_kernel_f64(GRAFT_OP_SUM)(&call);
    return sums > 0 ? count / sums : 0;
}

const struct check_family check_sum = {sizeof rows / sizeof rows[0], make, NULL, magnitude, NULL};

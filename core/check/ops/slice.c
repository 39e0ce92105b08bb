/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of parts of axes and of axes in another order: every axis, whole and single ones, long and
 * short runs, live rows.
 */
#include "check/case.h"

static const struct part {
    struct graft_shape whole;
    int32_t axis;
    int64_t begin, length, live; /* live -1: none */
} parts[] = {
    {{{1, 1, 1, 1}, 1}, 0, 0, 1, -1},         {{{9, 1, 1, 1}, 1}, 0, 3, 5, -1},
    {{{70001, 1, 1, 1}, 1}, 0, 7, 69000, -1}, {{{7, 19, 1, 1}, 2}, 0, 6, 1, -1},
    {{{7, 19, 1, 1}, 2}, 1, 0, 19, -1},       {{{7, 19, 1, 1}, 2}, 1, 18, 1, -1},
    {{{300, 65, 1, 1}, 2}, 1, 16, 33, -1},    {{{3, 40000, 1, 1}, 2}, 1, 1, 20001, -1},
    {{{3, 5, 7, 1}, 3}, 1, 1, 3, -1},         {{{3, 5, 7, 2}, 4}, 2, 2, 4, -1},
    {{{3, 5, 7, 2}, 4}, 3, 1, 1, -1},         {{{12, 40, 1, 1}, 2}, 1, 8, 16, 5},
    {{{12, 40, 1, 1}, 2}, 1, 8, 16, 0},       {{{12, 4, 10, 1}, 3}, 1, 3, 1, 12},
};

static const struct order {
    struct graft_shape x;
    int32_t axis[GRAFT_MAX_RANK];
    int64_t live;
} orders[] = {
    {{{5, 1, 1, 1}, 1}, {0}, -1},          {{{7, 19, 1, 1}, 2}, {0, 1}, -1},
    {{{7, 19, 1, 1}, 2}, {1, 0}, -1},      {{{300, 130, 1, 1}, 2}, {1, 0}, -1},
    {{{3, 5, 7, 1}, 3}, {1, 0, 2}, -1},    {{{3, 5, 7, 1}, 3}, {2, 0, 1}, -1},
    {{{3, 5, 7, 1}, 3}, {1, 2, 0}, -1},    {{{2, 3, 4, 5}, 4}, {3, 1, 0, 2}, -1},
    {{{2, 3, 4, 5}, 4}, {0, 2, 1, 3}, -1}, {{{2, 70, 9, 33}, 4}, {2, 0, 3, 1}, -1},
    {{{12, 4, 10, 1}, 3}, {0, 2, 1}, 5},   {{{12, 4, 10, 1}, 3}, {0, 2, 1}, 0},
};

enum { PARTS = sizeof parts / sizeof parts[0], ORDERS = sizeof orders / sizeof orders[0] };

static void make_part(struct check_case *c, bool slice, const struct part *p)
{
    char text[64];
    struct graft_shape x = p->whole;
    if (!slice) x.dim[p->axis] = p->length;
    case_begin(c, slice ? GRAFT_OP_SLICE : GRAFT_OP_PLACE, "%d of %s from %d on axis %d, live %d",
               (int)p->length, shape_text(p->whole, text), (int)p->begin, p->axis, (int)p->live);
    case_input(c, FILL_NORMAL, x, p->live >= 0 ? GRAFT_ROWS_TOKENS : GRAFT_ROWS_FIXED);
    case_live(c, p->live >= 0 ? p->live : 0, 0);
    c->params.slice.axis = p->axis;
    c->params.slice.begin = p->begin;
    c->params.slice.length = slice ? p->length : p->whole.dim[p->axis];
}

static void make_order(struct check_case *c, const struct order *o)
{
    char text[64];
    case_begin(c, GRAFT_OP_PERMUTE, "%s to %d %d %d %d, live %d", shape_text(o->x, text),
               o->axis[0], o->axis[1], o->axis[2], o->axis[3], (int)o->live);
    case_input(c, FILL_NORMAL, o->x, o->live >= 0 ? GRAFT_ROWS_TOKENS : GRAFT_ROWS_FIXED);
    case_live(c, o->live >= 0 ? o->live : 0, 0);
    for (int i = 0; i < GRAFT_MAX_RANK; i++) c->params.permute.axis[i] = o->axis[i];
}

static void make(uint32_t index, struct check_case *c)
{
    if (index < 2 * PARTS)
        make_part(c, index < PARTS, &parts[index % PARTS]);
    else
        make_order(c, &orders[index - 2 * PARTS]);
}

static int64_t magnitude(struct check_data *d)
{
    (void)d;
    return 0;
}

const struct check_family check_slice = {2 * PARTS + ORDERS, make, NULL, magnitude, NULL};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of rows gathered (distinct or repeated) and scattered: between token rows and trained rows,
 * both partly live.
 */
#include "check/case.h"

static const int64_t sizes[][5] = {/* tokens, live, trained, live, channels */
                                   {1, 1, 1, 1, 1},          {7, 7, 5, 5, 33},
                                   {64, 50, 20, 13, 65},     {64, 50, 20, 0, 8},
                                   {300, 299, 300, 299, 16}, {9, 9, 3, 2, 2000}};

enum { SIZES = sizeof sizes / sizeof sizes[0] };

/* Kinds: gather of any rows, of distinct rows, scatter. */
static void make(uint32_t index, struct check_case *c)
{
    const int64_t *s = sizes[index % SIZES];
    uint32_t kind = index / SIZES;
    bool gather = kind < 2;
    case_begin(c, gather ? GRAFT_OP_GATHER_ROWS : GRAFT_OP_SCATTER_ROWS,
               "tokens %d live %d trained %d live %d channels %d%s", (int)s[0], (int)s[1],
               (int)s[2], (int)s[3], (int)s[4], kind == 0 ? ", repeated" : "");
    case_input(c, FILL_NORMAL, graft_shape2(gather ? s[0] : s[2], s[4]),
               gather ? GRAFT_ROWS_TOKENS : GRAFT_ROWS_TRAINED);
    case_input(c, kind == 0 ? FILL_INDEX : FILL_DISTINCT, graft_shape1(s[2]), GRAFT_ROWS_TRAINED)
        ->limit = s[1];
    case_live(c, s[1], s[3]);
    if (gather) return;
    c->params.rows.capacity = s[0];
    c->params.rows.kind = GRAFT_ROWS_TOKENS;
}

static int64_t magnitude(struct check_data *d)
{
    (void)d;
    return 0;
}

const struct check_family check_rows = {3 * SIZES, make, NULL, magnitude, NULL};

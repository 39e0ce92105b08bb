/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of writes into stored values: guards, sums, rows put into a cache.
 */
#include "check/case.h"

#include <math.h>

static const int64_t counts[] = {1, 7, 4099, 70001};
static const int64_t caches[][4] = {/* rows of the cache, tokens, live, channels */
                                    {1, 1, 1, 1},
                                    {50, 7, 7, 33},
                                    {50, 7, 3, 64},
                                    {50, 7, 0, 8},
                                    {300, 299, 298, 5}};

enum { COUNTS = sizeof counts / sizeof counts[0], CACHES = sizeof caches / sizeof caches[0] };

static void make_rows(struct check_case *c, const int64_t *s)
{
    case_begin(c, GRAFT_OP_WRITE_ROWS, "cache %d tokens %d live %d channels %d", (int)s[0],
               (int)s[1], (int)s[2], (int)s[3]);
    case_input(c, FILL_NORMAL, graft_shape2(s[0], s[3]), GRAFT_ROWS_FIXED);
    case_input(c, FILL_NORMAL, graft_shape2(s[1], s[3]), GRAFT_ROWS_TOKENS);
    case_input(c, FILL_DISTINCT, graft_shape1(s[1]), GRAFT_ROWS_TOKENS)->limit = s[0];
    case_live(c, s[2], 0);
}

static void make(uint32_t index, struct check_case *c)
{
    static const char *const guards[] = {"no guard", "guard 0", "guard 1",
                                         "sum",      "codes",   "codes, guard 0"};
    uint32_t kind = index / COUNTS;
    if (kind > 5) {
        make_rows(c, caches[index - 6 * COUNTS]);
        return;
    }
    enum fill fill = kind > 3 ? FILL_CODE : FILL_NORMAL;
    struct graft_shape s = graft_shape1(counts[index % COUNTS]);
    if (index % COUNTS == 2) s = graft_shape3(3, 5, 17);
    case_begin(c, kind == 3 ? GRAFT_OP_ACCUMULATE : GRAFT_OP_ASSIGN, "%d numbers, %s",
               (int)graft_shape_count(s), guards[kind]);
    case_input(c, fill, s, GRAFT_ROWS_FIXED);
    case_input(c, fill, s, GRAFT_ROWS_FIXED);
    if (kind == 1 || kind == 2 || kind == 5)
        case_input(c, kind != 2 ? FILL_ZERO : FILL_ONE, graft_shape1(1), GRAFT_ROWS_FIXED);
}

static int64_t magnitude(struct check_data *d)
{
    int64_t count = graft_shape_count(d->call.out[0].shape);
    if (d->call.out[0].dtype != GRAFT_DTYPE_F64) return 0;
    for (int64_t i = 0; i < count; i++) d->budget[0][i] = fabs(f64_out(d, 0)[i]);
    return 0;
}

const struct check_family check_assign = {6 * COUNTS + CACHES, make, NULL, magnitude, NULL};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of dropout: the mask is a function of key and counters alone.
 */
#include "check/case.h"

#include <math.h>

static const int64_t sizes[][3] = {/* tokens, live, channels */
                                   {1, 1, 1},  {5, 5, 33},   {70, 41, 64},
                                   {9, 0, 16}, {3, 3, 1027}, {300, 300, 6}};
static const double rates[] = {0, 0.1, 0.5, 0.95};

enum { SIZES = sizeof sizes / sizeof sizes[0], RATES = sizeof rates / sizeof rates[0] };

static void make(uint32_t index, struct check_case *c)
{
    const int64_t *s = sizes[index % SIZES];
    case_begin(c, GRAFT_OP_DROPOUT, "tokens %d live %d channels %d rate %g", (int)s[0], (int)s[1],
               (int)s[2], rates[index / SIZES]);
    case_input(c, FILL_NORMAL, graft_shape2(s[0], s[2]), GRAFT_ROWS_TOKENS);
    case_input(c, FILL_WORD, graft_shape1(s[0]), GRAFT_ROWS_TOKENS);
    case_input(c, FILL_COUNT, graft_shape1(s[0]), GRAFT_ROWS_TOKENS);
    case_input(c, FILL_WORD, graft_shape1(1), GRAFT_ROWS_FIXED);
    case_live(c, s[1], 0);
    c->params.dropout.rate = rates[index / SIZES];
    c->params.dropout.key[0] = 0x9E3779B9u * (index + 1);
    c->params.dropout.key[1] = index;
}

static int64_t magnitude(struct check_data *d)
{
    int64_t count = graft_shape_count(d->call.out[0].shape);
    for (int64_t i = 0; i < count; i++) d->budget[0][i] = fabs(f64_out(d, 0)[i]);
    return 0;
}

const struct check_family check_dropout = {SIZES * RATES, make, NULL, magnitude, NULL};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Who goes on.
 */
#include "compare/halving.h"

#include <math.h>

size_t halving_rungs(size_t rates, bool halving)
{
    size_t rungs = 0;
    if (rates < 2) return 0;
    if (!halving) return 1;
    while (((size_t)1 << rungs) < rates && rungs < HALVING_RUNGS) rungs++;
    return rungs;
}

int64_t halving_step(size_t rates, bool halving, int64_t total, size_t rung)
{
    return halving ? total >> (halving_rungs(rates, true) - rung) : total;
}

enum graft_status halving_check(size_t rates, bool halving, int64_t total, struct error *e)
{
    size_t rungs = halving_rungs(rates, halving);
    if (rungs == 0 || halving_step(rates, halving, total, 0) >= 1) return GRAFT_OK;
    return error_set(e, GRAFT_E_INVALID,
                     "%lld steps are too few for a sweep over %zu rates, whose first rung would be "
                     "shorter than one step; at least %lld, or compare.halving: false",
                     (long long)total, rates, (long long)1 << rungs);
}

/* Of equal losses the earlier candidate; a loss that is not finite is worse than any. */
static bool better(const struct candidate *c, size_t a, size_t b, size_t rung)
{
    double x = c[a].loss[rung], y = c[b].loss[rung];
    if (!isfinite(x) || !isfinite(y)) return isfinite(x) || (!isfinite(y) && a < b);
    return x < y || (x <= y && a < b);
}

/* How many of those in `in` that did not fail are better than candidate i at this rung. */
static size_t place_of(const struct candidate *c, size_t count, uint64_t in, size_t i, size_t rung)
{
    size_t place = 0;
    for (size_t k = 0; k < count; k++)
        place += k != i && (in >> k & 1) != 0 && !c[k].failed && better(c, k, i, rung);
    return place;
}

static size_t bits(uint64_t in)
{
    size_t n = 0;
    for (; in != 0; in &= in - 1) n++;
    return n;
}

struct halving_next halving_next(const struct candidate *c, size_t count, size_t rungs)
{
    uint64_t in = count >= 64 ? UINT64_MAX : ((uint64_t)1 << count) - 1;
    for (size_t rung = 0; rung < rungs; rung++) {
        uint64_t kept = 0;
        /* The last rung leaves one. Who failed makes room for the next best. */
        size_t room = rung + 1 == rungs ? 1 : (bits(in) + 1) / 2;
        for (size_t i = 0; i < count; i++)
            if ((in >> i & 1) != 0 && !c[i].failed && c[i].rungs <= rung)
                return (struct halving_next){HALVING_RUN, i, rung};
        for (size_t i = 0; i < count; i++)
            if ((in >> i & 1) != 0 && !c[i].failed && place_of(c, count, in, i, rung) < room)
                kept |= (uint64_t)1 << i;
        in = kept;
    }
    for (size_t i = 0; i < count; i++)
        if ((in >> i & 1) != 0 && !c[i].failed) return (struct halving_next){HALVING_CHOSEN, i, 0};
    return (struct halving_next){HALVING_NONE, 0, 0};
}

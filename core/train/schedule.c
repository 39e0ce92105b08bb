/* SPDX-License-Identifier: Apache-2.0
 *
 * One function per schedule. t update, W warm-up, T total, p progress after the warm-up.
 */
#include "train/schedule.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

static double at_least_0(double x)
{
    return x > 0 ? x : 0;
}

static double share(int64_t part, int64_t whole)
{
    return (double)part / (double)(whole > 1 ? whole : 1);
}

static int64_t warmup_steps(const struct settings_schedule *s, int64_t total)
{
    if (s->kind == SCHEDULE_CONSTANT) return 0;
    if (s->warmup_steps > 0) return s->warmup_steps;
    return (int64_t)ceil((double)total * s->warmup_ratio);
}

static double half_cosine(double cycles, double p)
{
    return at_least_0(0.5 * (1 + cos(2 * pi * cycles * p)));
}

static double restarts(double cycles, double p)
{
    return p >= 1 ? 0 : at_least_0(0.5 * (1 + cos(pi * fmod(cycles * p, 1.0))));
}

static double polynomial(const struct settings_schedule *s, double p, double lr)
{
    if (p > 1) return s->lr_end / lr;
    return ((lr - s->lr_end) * pow(1 - p, s->power) + s->lr_end) / lr;
}

static double inverse_sqrt(const struct settings_schedule *s, int64_t t, int64_t W)
{
    int64_t scale = s->timescale > 0 ? s->timescale : W > 0 ? W : 10000;
    return 1 / sqrt((double)(t + scale - W) / (double)scale);
}

static double min_rate(const struct settings_schedule *s, double lr)
{
    return s->has_min_lr ? s->min_lr / lr : s->min_lr_rate;
}

static double between(double factor, double least)
{
    return factor * (1 - least) + least;
}

static double curve(int32_t kind, double cycles, double p)
{
    switch (kind) {
    case CURVE_COSINE: return half_cosine(cycles, p);
    case CURVE_ONE_MINUS_SQRT: return 1 - sqrt(p);
    default: return 1 - p;
    }
}

static double stable_decay(const struct settings_schedule *s, int64_t t, int64_t W, int64_t T)
{
    int64_t stable = s->num_stable_steps >= 0 ? s->num_stable_steps : T - W - s->num_decay_steps;
    if (t < W) return between(curve(s->warmup_type, 0.5, 1 - share(t, W)), s->min_lr_ratio);
    if (t < W + stable) return 1;
    if (t < W + stable + s->num_decay_steps) {
        double p = share(t - W - stable, s->num_decay_steps);
        return between(curve(s->decay_type, s->num_cycles, p), s->min_lr_ratio);
    }
    return s->min_lr_ratio;
}

double schedule_multiplier(const struct settings_schedule *s, int64_t t, int64_t T, double lr)
{
    int64_t W = warmup_steps(s, T);
    double p = share(t - W, T - W);

    if (s->kind == SCHEDULE_CONSTANT) return 1;
    if (s->kind == SCHEDULE_WARMUP_STABLE_DECAY) return stable_decay(s, t, W, T);
    if (t < W) return share(t, W);
    switch (s->kind) {
    case SCHEDULE_LINEAR: return at_least_0(share(T - t, T - W));
    case SCHEDULE_COSINE: return half_cosine(s->num_cycles, p);
    case SCHEDULE_COSINE_WITH_RESTARTS: return restarts(s->num_cycles, p);
    case SCHEDULE_POLYNOMIAL: return polynomial(s, p, lr);
    case SCHEDULE_INVERSE_SQRT: return inverse_sqrt(s, t, W);
    case SCHEDULE_COSINE_WITH_MIN_LR:
        return between(half_cosine(s->num_cycles, p), min_rate(s, lr));
    default: return 1;
    }
}

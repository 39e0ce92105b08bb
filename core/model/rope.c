/* SPDX-License-Identifier: Apache-2.0
 *
 * Inverse frequencies of rotary position embeddings (Su et al. 2021) under every scaling, in
 * double, as transformers' modeling_rope_utils.py has them. Letters: D turning dimensions of a
 * head, L0 the context before scaling.
 */
#include "model/parts.h"

#include <math.h>

#define PI 3.14159265358979323846

double rope_yarn_scale(double factor, double multiplier)
{
    return factor <= 1.0 ? 1.0 : 0.1 * multiplier * log(factor) + 1.0;
}

/* Grattafiori et al. 2024: long waves are stretched, short ones kept, a blend between. */
static double llama3(const struct model_config *c, double f)
{
    double wave = 2.0 * PI / f, context = (double)c->rope.original_context;
    if (wave < context / c->rope.high_freq) return f;
    if (wave > context / c->rope.low_freq) return f / c->rope.factor;
    double s = (context / wave - c->rope.low_freq) / (c->rope.high_freq - c->rope.low_freq);
    return (1.0 - s) * f / c->rope.factor + s * f;
}

/* The dimension that turns `rotations` times within L0. */
static double yarn_dimension(const struct model_config *c, double rotations)
{
    double turns = (double)c->rope.original_context / (rotations * 2.0 * PI);
    return c->rope.rotary * log(turns) / (2.0 * log(c->rope.theta));
}

/* Peng et al. 2023: a ramp over dimensions from the plain frequency to the interpolated one. */
static double yarn(const struct model_config *c, double f, int32_t i)
{
    double low = yarn_dimension(c, c->rope.beta_fast), high = yarn_dimension(c, c->rope.beta_slow);
    if (c->rope.truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0.0);
    high = fmin(high, c->rope.rotary - 1);
    if (low == high) high += 0.001;
    double ramp = fmin(fmax((i - low) / (high - low), 0.0), 1.0);
    return f / c->rope.factor * ramp + f * (1.0 - ramp);
}

void rope_frequencies(const struct model_config *c, float *out)
{
    for (int32_t i = 0; i < c->rope.rotary / 2; i++) {
        double f = pow(c->rope.theta, -2.0 * i / c->rope.rotary);
        switch (c->rope.scaling) {
        case ROPE_PLAIN: break;
        case ROPE_LINEAR: f /= c->rope.factor; break;
        case ROPE_LLAMA3: f = llama3(c, f); break;
        case ROPE_YARN: f = yarn(c, f, i); break;
        case ROPE_FACTORS: f /= (double)c->rope.factors[i]; break;
        }
        out[i] = (float)f;
    }
}

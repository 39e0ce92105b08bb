/* SPDX-License-Identifier: Apache-2.0
 *
 * Which keys change nothing in a combination. One function for both uses: a given key without
 * effect is an error, a default without effect is left out of the effective recipe.
 */
#include "recipe/read.h"

#include <string.h>

/* Which schedules read a key of the learning-rate schedule. */
static const struct {
    const char *key;
    uint32_t schedules; /* bits */
    const char *reason;
} schedule_keys[] = {
#define BIT(name) (1u << SCHEDULE_##name)
    {"train.warmup_ratio", ~BIT(CONSTANT),
     "has no effect with schedule constant (constant_with_warmup has a warm-up)"},
    {"train.warmup_steps", ~BIT(CONSTANT),
     "has no effect with schedule constant (constant_with_warmup has a warm-up)"},
    {"train.num_cycles",
     BIT(COSINE) | BIT(COSINE_WITH_RESTARTS) | BIT(COSINE_WITH_MIN_LR) | BIT(WARMUP_STABLE_DECAY),
     "has an effect with the cosine schedules only"},
    {"train.lr_end", BIT(POLYNOMIAL), "has an effect with schedule polynomial only"},
    {"train.power", BIT(POLYNOMIAL), "has an effect with schedule polynomial only"},
    {"train.timescale", BIT(INVERSE_SQRT), "has an effect with schedule inverse_sqrt only"},
    {"train.min_lr", BIT(COSINE_WITH_MIN_LR),
     "has an effect with schedule cosine_with_min_lr only"},
    {"train.min_lr_rate", BIT(COSINE_WITH_MIN_LR),
     "has an effect with schedule cosine_with_min_lr only"},
    {"train.num_stable_steps", BIT(WARMUP_STABLE_DECAY),
     "has an effect with schedule warmup_stable_decay only"},
    {"train.num_decay_steps", BIT(WARMUP_STABLE_DECAY),
     "has an effect with schedule warmup_stable_decay only"},
    {"train.min_lr_ratio", BIT(WARMUP_STABLE_DECAY),
     "has an effect with schedule warmup_stable_decay only"},
    {"train.warmup_type", BIT(WARMUP_STABLE_DECAY),
     "has an effect with schedule warmup_stable_decay only"},
    {"train.decay_type", BIT(WARMUP_STABLE_DECAY),
     "has an effect with schedule warmup_stable_decay only"},
#undef BIT
};

static bool is(const char *key, const char *other)
{
    return strcmp(key, other) == 0;
}

static const char *schedule_effect(const struct settings *s, const char *key)
{
    const struct settings_schedule *c = &s->train.schedule;
    for (size_t i = 0; i < sizeof schedule_keys / sizeof schedule_keys[0]; i++)
        if (is(key, schedule_keys[i].key) && (schedule_keys[i].schedules >> c->kind & 1u) == 0)
            return schedule_keys[i].reason;
    if (is(key, "train.warmup_ratio") && c->warmup_steps > 0)
        return "has no effect beside train.warmup_steps: keep one";
    if (is(key, "train.min_lr_rate") && c->has_min_lr)
        return "has no effect beside train.min_lr: keep one";
    if (is(key, "train.min_lr") && !c->has_min_lr) return "is given by train.min_lr_rate";
    if (is(key, "train.num_cycles") && c->kind == SCHEDULE_WARMUP_STABLE_DECAY &&
        c->decay_type != CURVE_COSINE)
        return "has no effect without decay_type cosine";
    return NULL;
}

const char *effect_missing(const struct settings *s, const char *key)
{
    if (is(key, "train.max_steps") && s->train.max_steps == 0) return "is given by train.epochs";
    if (is(key, "train.epochs") && s->train.max_steps != 0)
        return "has no effect beside train.max_steps: keep one";
    if (strncmp(key, "train.early_stopping", 20) == 0) {
        if (s->data.valid == NULL) return "has no effect without data.valid";
        if (s->eval.every == 0) return "has no effect with eval.every 0: nothing is measured";
    }
    if (is(key, "eval.every") && s->data.valid == NULL) return "has no effect without data.valid";
    if (strncmp(key, "eval.", 5) == 0 && s->data.valid == NULL && s->data.test == NULL)
        return "has no effect without data.valid or data.test";
    if (is(key, "backend.device") && is(s->backend.name, "auto"))
        return "has no effect with backend auto: name the backend";
    return schedule_effect(s, key);
}

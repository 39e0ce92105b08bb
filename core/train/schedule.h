/* SPDX-License-Identifier: Apache-2.0
 *
 * Learning-rate schedules: the multiplier of each update, as transformers' optimization.py has it.
 */
#ifndef CORE_TRAIN_SCHEDULE_H
#define CORE_TRAIN_SCHEDULE_H

#include "recipe/settings.h"

/* The multiplier of update t = 0, 1, ... (the first with warm-up has 0); lr is the peak rate, which
 * the schedules with an absolute end need. */
double schedule_multiplier(const struct settings_schedule *s, int64_t t, int64_t total, double lr);

#endif
